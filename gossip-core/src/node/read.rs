//! What an application reads of the membership, beside all of it: members at random, and those that changed.

use super::{Member, Node};
use crate::address::Address;
use crate::io::Event;
use crate::members::Slot;
use crate::name::split_name;
use crate::permutation::Permutation;
use crate::rng::Rng;

/// A member that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<'a, A> {
    /// Its address.
    pub addr: A,
    /// What is held to be true of it now; `None` when it is no longer remembered.
    pub member: Option<Member<'a, A>>,
}

impl<'a, A> Member<'a, A> {
    /// The name in front of its metadata, in a cluster where there are names (see [`name`](crate::name)).
    #[must_use]
    pub fn name(&self) -> Option<&'a str> {
        split_name(self.metadata).map(|(name, _)| name)
    }
}

impl<A: Address> Node<A> {
    /// A live member other than this node, drawn by `random`; `None` when there is none.
    ///
    /// The draw is the caller's: equal numbers draw equal members as long as the membership is the same, and reading does not
    /// disturb the protocol's own random numbers.
    #[must_use]
    pub fn random_member(&self, random: u64) -> Option<Member<'_, A>> {
        self.random_members(random).next()
    }

    /// The live members other than this node, each once, in an order drawn by `random`: the first k of them are k distinct
    /// members at random. Costs what is taken, not what is there.
    ///
    /// The order is a keyed permutation: every member is equally likely at every place, though not every order can be drawn
    /// once there are more orders than keys.
    pub fn random_members(&self, random: u64) -> impl Iterator<Item = Member<'_, A>> {
        let live = self.members.peers();
        let order = Permutation::new(live.len() as u32, &mut Rng::new(random));
        (0..order.len()).map(move |position| self.member_at(*live.at(order.at(position))))
    }

    /// The remembered members, live or not, that have a name in front of their metadata: one, unless two took it (see
    /// [`name`](crate::name)). Nobody without [`Config::names`](crate::Config::names).
    pub fn members_named<'n>(&'n self, name: &'n str) -> impl Iterator<Item = Member<'n, A>> {
        self.members.named(name).map(|slot| self.member_at(slot))
    }

    /// Tells of another live member that has the name of this one.
    pub(super) fn check_name(&mut self, slot: Slot) {
        let is_live = |slot| self.members.entry(slot).state.is_live();
        let Some((name, _)) = split_name(self.members.metadata(slot).bytes).filter(|_| is_live(slot)) else { return };
        if let Some(other) = self.members.named(name).find(|&other| other != slot && is_live(other)) {
            let [addr, other] = [slot, other].map(|slot| self.members.entry(slot).addr());
            self.events.push_back(Event::NameConflict { addr, other });
        }
    }

    /// Changes of the membership so far: a member was added, changed its state, its incarnation or its metadata, or was
    /// forgotten. This node itself counts among the members.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.members.changes().version()
    }

    /// The members that changed after `version`, which [`version`](Self::version) was once, in the order of the changes. One that
    /// changed several times may come several times, each time as it is now.
    ///
    /// `None` when that is further back than [`changes_max`](crate::Config::changes_max): then read all
    /// [`members`](Self::members). Costs what changed, not what is there.
    pub fn changes_since(&self, version: u64) -> Option<impl Iterator<Item = Change<'_, A>>> {
        let changed = self.members.changes().since(version)?;
        Some(changed.map(|addr| {
            let addr = addr.into();
            Change { addr, member: self.member(&addr) }
        }))
    }
}
