//! How a node comes to be.

use super::{Node, Phase, Setup};
use crate::address::Address;
use crate::config::{Config, ConfigError};
use crate::member::{INCARNATION_MAX, Metadata};
use crate::time::Instant;
use crate::view::SharedView;

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
    /// A node that knows nobody yet.
    ///
    /// # Errors
    /// The first value of the configuration that makes no sense, `metadata_max` for metadata that are too long, or
    /// `incarnation` for one above 2^30, `session` for a keyring without one.
    pub fn new(now: Instant, config: Config, setup: &Setup<'_, A>) -> Result<Self, ConfigError> {
        Self::born(now, config, setup, None)
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
        config: Config,
        setup: &Setup<'_, A>,
        view: &SharedView<A>,
    ) -> Result<Self, ConfigError> {
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
