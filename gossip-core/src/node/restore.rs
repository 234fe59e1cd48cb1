//! A node writes down what it needs to come back, and comes back.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::transmit::Outgoing;
use super::{Node, SEEDS_MAX, Setup, stored};
use crate::address::Address;
use crate::config::Config;
use crate::io::Event;
use crate::member::{MemberState, Metadata, next_incarnation};
use crate::members::{Entry, SELF};
use crate::rng::Rng;
use crate::snapshot::{Composer, RestoreError, Snapshot, SnapshotError};
use crate::time::Instant;

/// Former acquaintances that a node which knows nobody asks to let it in, in each gossip round. The first that answers tells of all
/// members, so more would cost more than they gain.
const CALLS_PER_ROUND: usize = 3;

/// Former acquaintances that are looked at in a protocol period in search of one that is no member.
const LOOKS_PER_PERIOD: usize = 64;

/// Numbers of events that a restored node leaves out: those that it may have used after the snapshot was taken.
const SEQUENCES_SKIPPED: u64 = 1 << 32;

/// Members that a restored node knew in its former life.
#[derive(Debug)]
pub(super) struct Acquaintances<A> {
    /// In random order.
    addresses: Vec<A>,
    next: usize,
}

impl<A: Copy> Acquaintances<A> {
    fn new(mut addresses: Vec<A>, rng: &mut Rng) -> Self {
        for last in (1..addresses.len()).rev() {
            addresses.swap(last, rng.below(last as u32 + 1) as usize);
        }
        Self { addresses, next: 0 }
    }

    /// The next in a cycle over all.
    fn next(&mut self) -> Option<A> {
        let address = self.addresses.get(self.next).or_else(|| self.addresses.first()).copied()?;
        self.next = (self.next + 1) % self.addresses.len();
        Some(address)
    }
}

impl<A: Address> Node<A> {
    /// Appends to `out` what this node needs to come back after a restart: its incarnation, the number of its next event, its
    /// seeds, the addresses of its members, and the identities of the events that it remembers.
    ///
    /// Costs two to eight bytes for each member (IPv4) and about five for each event of the last one and a half lifetimes, and
    /// 20 to 35 ns for each (10,000 members: 20 to 40 kB and 0.3 ms on a machine of two cores): once a minute is nothing, once
    /// per datagram would be much. What waits for [`poll_event`](Self::poll_event) counts as not delivered.
    pub fn snapshot(&self, now: Instant, out: &mut Vec<u8>) {
        let mut composer = Composer::begin(out, self.config.cluster);
        let own = self.members.entry(SELF);
        composer.node(own.addr(), own.incarnation, self.next_sequence, self.members.metadata(SELF));
        composer.addresses(self.seeds.iter().copied());
        let members = self.members.slots_from(SELF + 1).map(|slot| self.members.entry(slot));
        let members = members.filter(|entry| entry.state != MemberState::Left).map(Entry::addr);
        // A node that did not find its cluster yet must not forget where to look.
        let others = self
            .acquaintances
            .iter()
            .flat_map(|known| &known.addresses)
            .filter(|address| self.members.find(address).is_none());
        composer.addresses(members.chain(others.copied()));
        let waiting: BTreeSet<_> = self.events.iter().filter_map(undelivered).collect();
        let (horizon, seen) = self.rumors.remembered(now);
        // What is older was refused, or delivered and forgotten: a next life may have a longer lifetime, and is not to take it for
        // new.
        let horizon = Some(horizon.map_or(self.config.event_lifetime, |age| age.min(self.config.event_lifetime)));
        composer.seen(horizon, seen.filter(|entry| !waiting.contains(&entry.id)));
        composer.finish();
    }

    /// A node that comes back. It calls some of those that it knew at once, and goes on until one answers: `Command::Join` is not
    /// needed, but does no harm.
    ///
    /// `taken_ago` is how long ago the snapshot was taken; zero if that is not known, and then identities of events are
    /// remembered for longer than they need be. The snapshot may be stale, and the node may have gone on after it was taken:
    /// - its incarnation is above that of the snapshot, so that a death which was declared since is overruled at once; if the
    ///   former life went higher, the node hears of it and takes that over, or goes above it if it is held for anything but
    ///   alive, as after any restart;
    /// - the numbers of its events begin 2^32 above that of the snapshot, or with [`Setup::first_sequence`] if that is higher;
    /// - its metadata are those of `setup`, with a version above those of the snapshot if they differ;
    /// - events that it heard of after the snapshot was taken are delivered again.
    ///
    /// # Errors
    /// [`SnapshotError::Cluster`] and [`SnapshotError::Address`] when the snapshot is of a node of another cluster than `config`
    /// names, or at another address than `setup`; and those of [`Node::new`].
    pub fn restore(
        now: Instant,
        config: impl Into<Arc<Config>>,
        setup: &Setup<'_, A>,
        snapshot: &Snapshot<'_, A>,
        taken_ago: Duration,
    ) -> Result<Self, RestoreError> {
        let config = config.into();
        if snapshot.cluster != config.cluster {
            return Err(SnapshotError::Cluster(snapshot.cluster).into());
        }
        if A::Stored::from(snapshot.local) != A::Stored::from(setup.local) {
            return Err(SnapshotError::Address.into());
        }
        let setup = Setup {
            incarnation: setup.incarnation.max(next_incarnation(snapshot.incarnation)),
            first_sequence: setup.first_sequence.max(snapshot.next_sequence.saturating_add(SEQUENCES_SKIPPED)),
            ..*setup
        };
        let mut node = Self::new(now, config, &setup)?;
        node.recall_metadata(snapshot.metadata);
        let local = node.local();
        let stranger = |address: &A| *address != local;
        node.seeds = snapshot.seeds().map(stored).filter(stranger).take(SEEDS_MAX).collect();
        let members = snapshot.members().map(stored).filter(stranger).take(node.config.members_max);
        node.acquaintances = Some(Box::new(Acquaintances::new(members.collect(), &mut node.rng)));
        let forgotten = node.rumors.recall(now, snapshot.horizon, snapshot.seen(), taken_ago, &node.config);
        node.counters.add(forgotten, |cold| &mut cold.seen_evicted);
        node.call_seeds();
        node.call_acquaintances();
        Ok(node)
    }

    fn recall_metadata(&mut self, former: Metadata<'_>) {
        let own = self.members.metadata(SELF);
        let version = former.version.saturating_add(u32::from(own.bytes != former.bytes));
        if version > own.version {
            let bytes = Vec::from(own.bytes);
            let claim = self.members.entry(SELF).claim();
            self.members.set(SELF, claim, Some(Metadata { version, bytes: &bytes }));
        }
    }

    /// A node that knows nobody asks some of those that it once knew to let it in.
    pub(super) fn call_acquaintances(&mut self) {
        if !self.members.peers().is_empty() {
            return;
        }
        let known = self.acquaintances.as_ref().map_or(0, |known| known.addresses.len());
        for _ in 0..CALLS_PER_ROUND.min(known) {
            if let Some(to) = self.acquaintances.as_mut().and_then(|known| known.next()) {
                self.enqueue(Outgoing::Join { to });
            }
        }
    }

    /// A node that is in its cluster calls those of its former acquaintances that the cluster does not know, each once, one in a
    /// protocol period: there may be others on the far side of a partition.
    pub(super) fn look_for_acquaintances(&mut self) {
        for _ in 0..LOOKS_PER_PERIOD {
            let Some(to) = self.acquaintances.as_mut().and_then(|known| known.addresses.pop()) else {
                self.acquaintances = None;
                return;
            };
            if self.members.find(&to).is_none() {
                self.enqueue(Outgoing::Gossip { to, answer: true });
                return;
            }
        }
    }
}

fn undelivered<A: Copy>(event: &Event<A>) -> Option<crate::rumors::EventId<A>> {
    match event {
        Event::UserEvent { id, .. } | Event::Query { id, .. } => Some(*id),
        _ => None,
    }
}
