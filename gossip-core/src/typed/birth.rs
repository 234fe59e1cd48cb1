//! How a recorded node came to be: all that [`Node::new`] and [`Node::restore`] were given, but for secrets.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{RecordedKeyring, TypedError, address, parse};
use crate::address::Address;
use crate::config::{Config, ConfigError};
use crate::node::{Node, Setup};
use crate::snapshot::{RestoreError, Snapshot, SnapshotError};
use crate::time::Instant;

/// What a node was born with. Its address is in the wire form; the bytes of its snapshot follow as entries of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birth {
    /// When, in nanoseconds since the driver's origin.
    pub at_ns: u64,
    /// [`Setup::local`].
    pub local: Vec<u8>,
    /// [`Setup::seed`].
    pub seed: u64,
    /// [`Setup::incarnation`].
    pub incarnation: u32,
    /// [`Setup::first_sequence`].
    pub first_sequence: u64,
    /// [`Setup::metadata`].
    pub metadata: Vec<u8>,
    /// `Setup::session`, 0 without the feature `keyring`.
    pub session: u64,
    /// The ids of the keys: no secret is ever written.
    pub keyring: Option<RecordedKeyring>,
    /// The configuration.
    pub config: Box<Config>,
    /// The snapshot from which it came back.
    pub snapshot: Option<RecordedSnapshot>,
}

/// About the snapshot from which a node came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedSnapshot {
    /// Its length, bytes.
    pub len: u64,
    /// How long before the birth it was taken.
    pub taken_ago: Duration,
}

/// Why a recorded node cannot be born again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BirthError {
    /// The recording.
    Typed(TypedError),
    /// The configuration or the setup.
    Config(ConfigError),
    /// The snapshot.
    Snapshot(SnapshotError),
    /// The recording has not the whole snapshot.
    SnapshotCutOff,
}

impl fmt::Display for BirthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Typed(error) => error.fmt(f),
            Self::Config(error) => error.fmt(f),
            Self::Snapshot(error) => error.fmt(f),
            Self::SnapshotCutOff => f.write_str("the recording does not hold the whole snapshot"),
        }
    }
}

impl core::error::Error for BirthError {}

impl From<TypedError> for BirthError {
    fn from(error: TypedError) -> Self {
        Self::Typed(error)
    }
}

impl From<ConfigError> for BirthError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<RestoreError> for BirthError {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Config(error) => Self::Config(error),
            RestoreError::Snapshot(error) => Self::Snapshot(error),
        }
    }
}

impl Birth {
    /// The birth of a node that [`Node::new`] makes of `config` and `setup` at `now`.
    ///
    /// # Errors
    /// [`TypedError::Encode`] for an address that has no wire form.
    pub fn new<A: Address>(now: Instant, config: &Config, setup: &Setup<'_, A>) -> Result<Self, TypedError> {
        #[cfg(feature = "keyring")]
        let (session, keyring) = (setup.session, setup.keyring.map(RecordedKeyring::from));
        #[cfg(not(feature = "keyring"))]
        let (session, keyring) = (0, None);
        Ok(Self {
            at_ns: now.as_nanos(),
            local: address(&setup.local)?,
            seed: setup.seed,
            incarnation: setup.incarnation,
            first_sequence: setup.first_sequence,
            metadata: setup.metadata.into(),
            session,
            keyring,
            config: Box::new(config.clone()),
            snapshot: None,
        })
    }

    /// The address.
    ///
    /// # Errors
    /// [`TypedError::Decode`] when it is none of this type.
    pub fn local<A: Address>(&self) -> Result<A, TypedError> {
        parse(&self.local)
    }

    /// The node as it was at its birth. `snapshot` are the bytes that the recording holds of it, `keys` all keys that were ever in
    /// its keyrings.
    ///
    /// # Errors
    /// [`BirthError`].
    pub fn node<A: Address>(&self, snapshot: &[u8], keys: &[super::AnyKey]) -> Result<Node<A>, BirthError> {
        #[cfg(feature = "keyring")]
        let keyring = self.keyring.as_ref().map(|recorded| super::find_keys(recorded, keys)).transpose()?;
        #[cfg(not(feature = "keyring"))]
        if self.keyring.is_some() {
            let _: &[super::AnyKey] = keys;
            return Err(TypedError::Keyring.into());
        }
        let setup = Setup {
            local: parse(&self.local)?,
            seed: self.seed,
            incarnation: self.incarnation,
            first_sequence: self.first_sequence,
            metadata: &self.metadata,
            #[cfg(feature = "keyring")]
            session: self.session,
            #[cfg(feature = "keyring")]
            keyring: keyring.as_ref(),
        };
        let (now, config) = (Instant::from_nanos(self.at_ns), Config::clone(&self.config));
        let Some(about) = self.snapshot else { return Ok(Node::new(now, config, &setup)?) };
        if about.len != snapshot.len() as u64 {
            return Err(BirthError::SnapshotCutOff);
        }
        let snapshot = Snapshot::parse(snapshot).map_err(BirthError::Snapshot)?;
        Ok(Node::restore(now, config, &setup, &snapshot, about.taken_ago)?)
    }
}

/// What a recording says of itself before its first entry, in words: who made it, when, of whom. Readable whatever becomes of
/// the configuration in later versions.
pub type Labels = Vec<(String, String)>;
