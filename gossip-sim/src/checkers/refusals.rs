//! Nodes do not refuse what nodes send.
//!
//! *Promised*: no datagram of our own is `Malformed`, ever; none is refused as foreign, damaged, forged or of another version or
//! cluster, unless the network damages datagrams; and once all is calm none is refused at all. *Not promised* in trouble: that
//! sealed datagrams are accepted while keys are replaced, twice, or after their sender began another life.

use core::time::Duration;

use gossip_core::wire::DecodeError;
use gossip_core::{InputError, Outcome};

use super::world::World;
use super::{Checker, Verdict};
use crate::addresses::{Addresses, NodeId};

/// See the head of this file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Refusals {
    /// Whether the network damages datagrams.
    pub damaged: bool,
}

/// Within which what was under way when the trouble ended has arrived.
const UNDER_WAY: Duration = Duration::from_secs(30);

impl<A: Addresses> Checker<A> for Refusals {
    fn name(&self) -> &'static str {
        "refusals"
    }

    fn on_delivered(&mut self, world: &World, to: NodeId, result: &Result<Outcome<A>, InputError>) -> Verdict {
        let Err(InputError::Datagram(error)) = result else { return Ok(()) };
        let calm = world.calm_since().is_some_and(|since| world.now() > since + UNDER_WAY);
        let allowed = match error {
            DecodeError::Malformed => false,
            DecodeError::Foreign
            | DecodeError::Version(_)
            | DecodeError::Cluster(_)
            | DecodeError::Checksum
            | DecodeError::Forged => self.damaged,
            DecodeError::Sealed
            | DecodeError::Plain
            | DecodeError::UnknownKey(_)
            | DecodeError::Replayed
            | DecodeError::SendersFull => true,
        };
        if allowed && !calm {
            return Ok(());
        }
        Err(format!("node {to} refused a datagram: {error}"))
    }
}
