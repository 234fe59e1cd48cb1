//! Memory that many nodes of one process have in common, and memory that is given back.

use core::cmp::Reverse;

use super::Node;
use super::transmit::Outgoing;
use super::watch::Watch;
use crate::address::Address;
use crate::members::{Members, Slot};
use crate::rtt::RoundTrips;
use crate::time::Instant;
use crate::view::SharedView;

impl<A: Address> Node<A> {
    /// Refers to `view` from now on for what it holds of the members, and keeps only its differences from it: for a simulator, or a
    /// host of many nodes, once they have learnt the same. Gives back the room that bursts took as well, as
    /// [`shrink`](Self::shrink) does. False, and nothing is done, while a query of this node is open or an answer of anti-entropy
    /// waits to be sent.
    ///
    /// What the node knows, holds to be true and has to tell stays as it was: its members and their metadata, suspicions and when
    /// they end, digests, events, deadlines. What may be otherwise is order: that of [`members`](Self::members); that in which
    /// members are drawn and probed, which begins a new cycle (SWIM §4.3: who shares anew more often than a cycle lasts,
    /// probes at random); and of the dead that were forgotten or came back nothing is left that would be called again. It
    /// follows from the inputs and from the views alone, so it is the same on every machine.
    ///
    /// Costs what changed if `view` is the node's own one [`renewed`](SharedView::renewed), else a look at all members. The view need
    /// not be equal to what the node holds, and the less it is the more is kept.
    pub fn share(&mut self, view: &SharedView<A>) -> bool {
        let names_slots =
            |outgoing: &Outgoing<A>| matches!(outgoing, Outgoing::Exchange { .. } | Outgoing::Page { .. });
        if self.queries.as_ref().is_some_and(|queries| queries.open() > 0) || self.outgoing.any(names_slots) {
            return false;
        }
        let members = &self.members;
        let holds = |slot: Slot, incarnation: u32| {
            members.get(slot).is_some_and(|entry| !entry.state.is_live() && entry.incarnation == incarnation)
        };
        if let Some(watch) = self.watch.get_mut() {
            watch.tombstones.retain(|&(_, slot, incarnation)| holds(slot, incarnation));
        }
        let moved = self.members.rebase(&view.inner());
        let slot_of = |slot: Slot| moved.slot(slot);
        self.updates = self.updates.moved(self.members.len(), slot_of);
        let known = core::mem::replace(&mut self.round_trips, RoundTrips::of_few());
        self.round_trips.take_over(&known, slot_of);
        let suspicions = core::mem::take(&mut self.suspicions).into_iter();
        self.suspicions = suspicions.filter_map(|(slot, suspicion)| Some((slot_of(slot)?, suspicion))).collect();
        if let Some(watch) = self.watch.get_mut() {
            for (_, slot, _) in &mut watch.tombstones {
                *slot = slot_of(*slot).unwrap_or(*slot);
            }
            let deadlines = core::mem::take(&mut watch.suspicion_deadlines).into_iter();
            let deadlines = deadlines.filter_map(|Reverse((at, slot))| Some(Reverse((at, slot_of(slot)?))));
            let held = |Reverse((_, slot)): &Reverse<(Instant, Slot)>| self.suspicions.contains_key(slot);
            watch.suspicion_deadlines = deadlines.filter(held).collect();
        }
        if let Some(probe) = &mut self.probe {
            probe.move_slots(slot_of);
        }
        self.shrink();
        true
    }

    /// Whether the live members that this node knows, itself included, are exactly those of `view`, with their incarnations and
    /// metadata. Costs what differs if this is the view that the node shares, else a look at all members.
    #[must_use]
    pub fn holds(&self, view: &SharedView<A>) -> bool {
        self.members.equals(&view.inner())
    }

    /// Gives back the room that bursts took: of queues, of lists that are reused, of what was forgotten. They grow again where it
    /// is needed.
    pub fn shrink(&mut self) {
        self.members.shrink();
        self.updates.shrink();
        self.round_trips.shrink();
        self.outgoing.shrink();
        self.events.shrink();
        if let Some(watch) = self.watch.get_mut() {
            watch.shrink();
        }
        self.watch.shrink(Watch::is_empty);
        self.drawn.shrink_to_fit();
        self.fresh.shrink_to_fit();
    }

    pub(crate) fn table(&self) -> &Members<A> {
        &self.members
    }
}
