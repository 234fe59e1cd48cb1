//! What an application may ask: the members, some at random, those that changed; what the node knows of itself.

use core::time::Duration;

use super::Node;
use crate::address::Address;
use crate::config::Config;
use crate::coordinate::Coordinate;
use crate::counters::Counters;
use crate::member::{MemberState, Metadata};
use crate::members::{SELF, Slot};
use crate::name::split_name;
use crate::permutation::Permutation;
use crate::rng::Rng;
use crate::sync::digest;

/// A member as a node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a, A> {
    /// Its address.
    pub addr: A,
    /// What is held to be true of it.
    pub state: MemberState,
    /// Its incarnation.
    pub incarnation: u32,
    /// Its metadata.
    pub metadata: &'a [u8],
    /// Their version: 0 when it never stated any, and higher with each change.
    pub metadata_version: u32,
}

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
    /// This node's address.
    #[must_use]
    pub fn local(&self) -> A {
        self.members.local()
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Live members, this node included: what an application calls the size of the cluster.
    #[must_use]
    pub fn live_members(&self) -> u32 {
        self.members.live_count()
    }

    /// All remembered members, this node first. The order is stable: as long as a member is remembered it keeps its place
    /// among the others, whatever happens to them; a newcomer takes the place of one that was forgotten, or the last. It
    /// follows from the inputs alone, so it is the same on every machine.
    pub fn members(&self) -> impl Iterator<Item = Member<'_, A>> {
        self.members.slots_from(SELF).map(|slot| self.member_at(slot))
    }

    /// The member at an address.
    #[must_use]
    pub fn member(&self, addr: &A) -> Option<Member<'_, A>> {
        self.members.find(addr).map(|slot| self.member_at(slot))
    }

    /// What was dropped, refused, bounded and repaired so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters { datagrams_accepted: self.accepted, ..self.counters.total() }
    }

    /// Lifeguard's local health score: 0 is healthy.
    #[must_use]
    pub fn health_score(&self) -> u8 {
        self.awareness.score()
    }

    /// The smoothed round trip to a member (SRTT of RFC 6298). `None` when it was not measured since the member last failed to
    /// answer, or when the configuration does not ask for it ([`Config::probe_timeout_min`]).
    #[must_use]
    pub fn round_trip(&self, addr: &A) -> Option<Duration> {
        self.members.find(addr).and_then(|slot| self.round_trips.smoothed(slot))
    }

    /// Where this node is in the space of round trips. `None` when coordinates are switched off
    /// ([`Config::coordinates_max`]).
    #[must_use]
    pub fn coordinate(&self) -> Option<Coordinate> {
        self.coordinates.as_ref().map(|coordinates| coordinates.own())
    }

    /// Where a live member is, if it told so and that is remembered.
    #[must_use]
    pub fn coordinate_of(&self, addr: &A) -> Option<Coordinate> {
        let coordinates = self.coordinates.as_ref()?;
        self.members.find(addr).filter(|&slot| self.members.entry(slot).state.is_live())?;
        if *addr == self.local() { Some(coordinates.own()) } else { coordinates.of(addr) }
    }

    /// Digest of the live members and of the kept events: two nodes with equal digests know the same, but for a chance of
    /// 2⁻³².
    #[must_use]
    pub fn digest(&self) -> u32 {
        digest(self.members.digest(), self.rumors.digest())
    }

    fn member_at(&self, slot: Slot) -> Member<'_, A> {
        let entry = self.members.entry(slot);
        let Metadata { version, bytes } = self.members.metadata(slot);
        Member {
            addr: entry.addr(),
            state: entry.state,
            incarnation: entry.incarnation,
            metadata: bytes,
            metadata_version: version,
        }
    }

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
