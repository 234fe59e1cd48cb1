//! The √-tree: telling a range of the members on, and trying another head where one did not answer.

use alloc::collections::VecDeque;

use super::Node;
use super::transmit::Outgoing;
use crate::address::Address;
use crate::config::Strategy;
use crate::members::Slot;
use crate::rumors::EventId;
use crate::rumors::strategies::Branch;
use crate::sync::member_identity;
use crate::time::Instant;

/// Members that are told one by one at the end of a branch, at most. Eight are expected there.
const LEAVES_MAX: usize = 32;

/// Branches whose heads are to acknowledge them, at most; beyond it no other head is tried.
const PENDING_MAX: usize = 1024;

/// The branches that were handed on and not acknowledged yet.
#[derive(Debug)]
pub(super) struct Branches<A> {
    pending: VecDeque<Pending<A>>,
    /// The number of the first of them; the others follow.
    first: u32,
}

impl<A> Default for Branches<A> {
    fn default() -> Self {
        Self { pending: VecDeque::new(), first: 0 }
    }
}

impl<A> Branches<A> {
    /// Whether one is still to be acknowledged.
    pub(super) fn wait(&self) -> bool {
        !self.pending.is_empty()
    }
}

#[derive(Debug)]
struct Pending<A> {
    id: EventId<A>,
    branch: Branch,
    head: A,
    sent: Instant,
    /// Whether its head acknowledged it.
    done: bool,
}

impl<A: Address> Node<A> {
    /// This node is the head of a branch for an event: the root, or one whom another told.
    pub(super) fn serve_branch(&mut self, now: Instant, id: EventId<A>, branch: Branch) {
        let Strategy::SqrtTree { split_max, .. } = self.config.strategy else { return };
        // What is sent counts until the round ends, and what is not acknowledged is sent again in one.
        self.beat(now);
        let Some(parts) = branch.parts(self.members.live_count(), split_max) else {
            let mut leaves = core::mem::take(&mut self.drawn);
            leaves.clear();
            leaves.extend(
                self.members.within(branch.range()).filter(|&slot| self.addr_of(slot) != id.origin).take(LEAVES_MAX),
            );
            for &slot in &leaves {
                let to = self.addr_of(slot);
                let identity = member_identity(&to);
                let leaf = Branch { start: identity, end: identity };
                if !self.hand_on(Outgoing::Branch { to, id, seq: 0, branch: leaf }) {
                    break;
                }
            }
            self.drawn = leaves;
            return;
        };
        for part in (0..parts).map(|number| branch.part(number, parts)) {
            if !self.hand_branch(now, id, part, None) {
                break;
            }
        }
    }

    /// Hands a branch to a random head in it, if there is one, but not to `silent`, who was tried. False at the bound.
    fn hand_branch(&mut self, now: Instant, id: EventId<A>, branch: Branch, silent: Option<A>) -> bool {
        let from = branch.at((self.rng.next_u64() >> 32) as u32);
        let except = silent.and_then(|silent| self.members.find(&silent));
        let Some(head) = self.members.successor(branch.range(), from, except) else { return true };
        let to = self.addr_of(head);
        let (first, waiting) =
            self.branches.as_ref().map_or((0, 0), |branches| (branches.first, branches.pending.len()));
        // No head is tried after the second: what it acknowledges is nobody's.
        let tracked = silent.is_none() && waiting < PENDING_MAX;
        let seq = if tracked { first.wrapping_add(waiting as u32) } else { first.wrapping_sub(1) };
        if !self.hand_on(Outgoing::Branch { to, id, seq, branch }) {
            return false;
        }
        if tracked {
            let branches = self.branches.get_or_insert_default();
            branches.pending.push_back(Pending { id, branch, head: to, sent: now, done: false });
        }
        true
    }

    /// Sends it, unless that would be too many in this round.
    fn hand_on(&mut self, outgoing: Outgoing<A>) -> bool {
        if self.forwards >= self.config.forwards_max {
            self.counters.add(1, |cold| &mut cold.events_not_forwarded);
            return false;
        }
        self.forwards += 1;
        self.counters.events_forwarded += 1;
        self.enqueue(outgoing);
        true
    }

    /// Somebody made this node the head of a branch for an event that it knows.
    pub(super) fn on_branch(&mut self, now: Instant, from: A, seq: u32, branch: Branch, id: EventId<A>) {
        if !matches!(self.config.strategy, Strategy::SqrtTree { .. }) || !self.rumors.keeps(&id) {
            // Not acknowledged: another head may do it.
            return;
        }
        if branch.start < branch.end {
            self.enqueue(Outgoing::BranchAck { to: from, seq });
            self.serve_branch(now, id, branch);
        }
    }

    pub(super) fn on_branch_ack(&mut self, from: A, seq: u32) {
        let Some(branches) = &mut self.branches else { return };
        let place = seq.wrapping_sub(branches.first) as usize;
        if let Some(pending) = branches.pending.get_mut(place).filter(|pending| pending.head == from) {
            pending.done = true;
        }
    }

    /// Tries another head, once, for each branch whose head did not acknowledge it for half a round at least. What is lost then is
    /// left to the rounds.
    pub(super) fn retry_branches(&mut self, now: Instant) {
        let patience = self.config.gossip_interval / 2;
        let overdue = |branches: &mut Branches<A>| {
            let pending =
                branches.pending.pop_front_if(|pending| pending.done || now.since(pending.sent) >= patience)?;
            branches.first = branches.first.wrapping_add(1);
            Some(pending)
        };
        while let Some(pending) = self.branches.as_deref_mut().and_then(overdue) {
            if !pending.done
                && self.rumors.keeps(&pending.id)
                && !self.hand_branch(now, pending.id, pending.branch, Some(pending.head))
            {
                break;
            }
        }
    }

    fn addr_of(&self, slot: Slot) -> A {
        self.members.entry(slot).addr()
    }
}
