//! When there is nothing left to tell.
//!
//! SWIM tells each update λ·log N times (§4.1), whether anybody still needs it or not. Where a thousand members join at once everybody
//! has a thousand updates to tell that often, and goes on for long after all know all. But every datagram says in four bytes what its
//! sender knows. Who is called, probed or answered by as many members in a row as it would have told an update to, and all of them know
//! exactly what it knows, has been told often enough that nobody needs to hear it: rumor mongering with feedback (Demers et al.,
//! PODC 1987, §1.4), the feedback being the digest. Who lacks something all the same finds out by anti-entropy.
//!
//! Only where there is more than a datagram can hold: what rides along with the rest costs nothing, and a refutation is to be heard by all
//! at once rather than found out.

use alloc::vec::Vec;

use super::Node;
use crate::address::Address;
use crate::member::MemberState;
use crate::members::Slot;
use crate::rumors::strategies::Situation;
use crate::wire::Message;

/// Bytes that an update takes at least, about.
const UPDATE_LEN: usize = 8;

/// How many members in a row knew just what this node knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agreement<A: Address> {
    digest: u32,
    members: u8,
    /// The last of them: one that says so again is no other.
    last: Option<A::Stored>,
}

impl<A: Address> Default for Agreement<A> {
    fn default() -> Self {
        Self { digest: 0, members: 0, last: None }
    }
}

impl<A: Address> Node<A> {
    /// Whether there is more to tell than a datagram can hold.
    pub(super) fn is_crowded(&self) -> bool {
        self.updates.len() * UPDATE_LEN > self.config.datagram_max
    }

    /// A live member said whether it knows what this node knows, of which `digest` is the digest, while there was something to tell.
    pub(super) fn settle(&mut self, from: A, digest: u32, differ: bool, message: &Message<'_, A>) {
        if differ || self.agreement.digest != digest {
            self.agreement = Agreement { digest, ..Agreement::default() };
        }
        // These come from members that are drawn at random; others may come from one again and again.
        let drawn =
            matches!(message, Message::Gossip { .. } | Message::Answer | Message::Ping { .. } | Message::Ack { .. });
        let again = self.agreement.last == Some(from.into());
        if differ || !drawn || again || !self.is_crowded() {
            return;
        }
        self.agreement.members += 1;
        self.agreement.last = Some(from.into());
        if self.agreement.members < Situation::new(&self.config, &self.members, true).transmissions {
            return;
        }
        // What is left is not looked through again at each further one.
        self.agreement = Agreement { digest, ..Agreement::default() };
        // Only what the digest covers: not that somebody is suspected or dead.
        let alive = |&(slot, _): &(u32, u8)| self.members.entry(slot).state == MemberState::Alive;
        let settled: Vec<Slot> = self.updates.iter().filter(alive).map(|(slot, _)| slot).collect();
        settled.iter().for_each(|&slot| self.updates.remove(slot));
        self.counters.add(settled.len() as u64, |cold| &mut cold.updates_settled);
    }
}
