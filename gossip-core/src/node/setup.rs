//! How a node comes to be.

use alloc::sync::Arc;

use super::{Node, Phase};
use crate::address::Address;
use crate::config::{Config, ConfigError};
#[cfg(feature = "keyring")]
use crate::keyring::Keyring;
use crate::member::{INCARNATION_MAX, Metadata};
use crate::time::Instant;
use crate::view::SharedView;

/// What a node is born with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup<'a, A> {
    /// The address under which the others know this node, and from which its datagrams come.
    pub local: A,
    /// Seed of all its randomness. Nodes of one cluster need different ones.
    pub seed: u64,
    /// Its first incarnation. 0 will do: a restarted node learns from the others that it must raise it.
    pub incarnation: u32,
    /// The number of its first event. It must exceed every number that this address used in a former life, or the others
    /// take new events for old ones. The time in milliseconds, shifted left by 16, will do.
    pub first_sequence: u64,
    /// Bytes that every member can read beside its address.
    pub metadata: &'a [u8],
    /// The number of this life of the address: greater than in every former one, whatever became of that, and so never taken
    /// from something stored. With 0 a node takes no keyring. The time in nanoseconds will do.
    ///
    /// Two lives with one number would seal different datagrams with one nonce, which gives away their contents and lets others
    /// forge. A smaller number than in a former life (a clock that was set back) is as bad, and has the node's datagrams
    /// dropped as replays by everyone who remembers that life.
    #[cfg(feature = "keyring")]
    pub session: u64,
    /// What datagrams are sealed and opened with; [`Command::SetKeyring`](crate::Command::SetKeyring) replaces it.
    #[cfg(feature = "keyring")]
    pub keyring: Option<&'a Keyring>,
}

impl<A> Setup<'_, A> {
    /// A node at `local` with seed, incarnation and sequence 0 and without metadata.
    pub const fn new(local: A) -> Self {
        Self {
            local,
            seed: 0,
            incarnation: 0,
            first_sequence: 0,
            metadata: &[],
            #[cfg(feature = "keyring")]
            session: 0,
            #[cfg(feature = "keyring")]
            keyring: None,
        }
    }

    pub(crate) fn check_incarnation(&self) -> Result<(), ConfigError> {
        if self.incarnation > INCARNATION_MAX {
            return Err(ConfigError { name: "incarnation", rule: "must be at most 2^30" });
        }
        Ok(())
    }

    /// The metadata as the node states them.
    pub(crate) fn stated_metadata(&self) -> Metadata<'_> {
        Metadata { version: u32::from(!self.metadata.is_empty()), bytes: self.metadata }
    }
}

impl<A: Address> Node<A> {
    /// A node that knows nobody yet. Nodes of one process can share one configuration: give each a clone of an `Arc` of it.
    ///
    /// # Errors
    /// The first value of the configuration that makes no sense, `metadata_max` for metadata that are too long, or
    /// `incarnation` for one above 2^30, `session` for a keyring without one.
    pub fn new(now: Instant, config: impl Into<Arc<Config>>, setup: &Setup<'_, A>) -> Result<Self, ConfigError> {
        Self::born(now, config.into(), setup, None)
    }

    /// A node that knows the members of `view` and is one of them: it has no news to tell and need not join. Its own metadata
    /// and incarnation are those of `setup`; what the view says of its address does not count.
    ///
    /// For simulations and tests of large clusters. The node shares the view and keeps only its differences from it; an index of
    /// [`names`](Config::names) is not shared.
    ///
    /// # Errors
    /// As [`new`](Self::new); also `members_max` for a view that is too large, and `metadata_max` for a view with metadata that
    /// are too long.
    pub fn with_view(
        now: Instant,
        config: impl Into<Arc<Config>>,
        setup: &Setup<'_, A>,
        view: &SharedView<A>,
    ) -> Result<Self, ConfigError> {
        let config = config.into();
        if view.metadata_len_max() > config.metadata_max {
            return Err(ConfigError { name: "metadata_max", rule: "must not be less than the metadata of the view" });
        }
        let mut node = Self::born(now, config, setup, Some(view.inner()))?;
        if node.members.len() > node.config.members_max {
            return Err(ConfigError { name: "members_max", rule: "must not be less than the members of the view" });
        }
        if !node.members.peers().is_empty() {
            node.phase = Phase::Member;
        }
        Ok(node)
    }
}
