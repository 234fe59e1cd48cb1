//! The one schema: what an experiment is ([`plan`]), under what circumstances it ran ([`manifest`]), what happened
//! ([`record`]), and what the master and its nodes say to each other ([`control`]).
//!
//! A log is a file of JSON Lines. Its first line is the [`manifest::Manifest`], every other line is a [`record::Line`].
//! [`write::Writer`] and [`read::read`] are the only code that knows the file format; the field names stand here and
//! nowhere else. Nobody parses human logs.

#![forbid(unsafe_code)]

pub mod circumstances;
pub mod clock;
pub mod control;
pub mod folder;
#[cfg(feature = "keyring")]
pub mod keyring;
#[cfg(feature = "tokio")]
pub mod lines;
pub mod manifest;
pub mod plan;
pub mod protocol;
pub mod read;
pub mod record;
pub mod trace;
pub mod write;

/// Version of everything in this crate that is stored or sent: `major.minor`. A reader refuses a major version that it
/// does not know and ignores fields that it does not know.
pub const SCHEMA: Version = Version { major: 1, minor: 1 };

/// A schema version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Version {
    /// Raised when an old reader would misread new data.
    pub major: u32,
    /// Raised when something was added.
    pub minor: u32,
}

impl core::fmt::Display for Version {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
