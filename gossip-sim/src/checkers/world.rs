//! What is true: who is there, since when nothing disturbs it, and what each node was told to believe of the others.
//!
//! Checkers compare what nodes do with this. Who disturbs nodes says so ([`World::disturb`]); processes that come and go are seen.
//! A node is *well* while it is up, wants to be a member, and nothing disturbs it or the network around it. Promises are made
//! to nodes that are well, whatever happens to the others.

use core::time::Duration;

use gossip_core::{Config, Event, MemberState};

use super::Nodes;
use super::bounds::Bounds;
use crate::addresses::{Addresses, NodeId};

/// What one node believes of another, since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Belief {
    /// `None`: it does not know it, or forgot it.
    pub state: Option<MemberState>,
    /// Since when it believes just this.
    pub since: Duration,
    /// Since when it holds it for live, or does not.
    pub live_since: Duration,
}

impl Belief {
    /// Whether it counts as a member there.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state.is_some_and(MemberState::is_live)
    }
}

/// The truth about one node.
#[derive(Debug, Clone)]
pub struct Truth {
    /// Its process is there.
    pub up: bool,
    /// Its application asked to join, and did not leave.
    pub member: bool,
    /// Of how many lives this is the last.
    pub life: u32,
    /// The number that its address stands for: another's for a process that took the address of another.
    pub address: NodeId,
    /// Since when it is gone: crashed, or its goodbye said.
    pub gone_since: Duration,
    /// The configuration in force, once it is known.
    pub config: Option<Config>,
    /// This life held another for live at some time.
    pub met: bool,
    /// The highest health score since it is well, or since somebody went.
    pub health: u8,
    disturbances: u32,
    well_since: Duration,
    beliefs: Vec<Belief>,
}

/// The truth about all.
#[derive(Debug, Clone, Default)]
pub struct World {
    now: Duration,
    nodes: Vec<Truth>,
    /// Since when nothing happened that would have to be found out.
    calm_since: Option<Duration>,
    settled_since: Option<Duration>,
    idle_since: Option<Duration>,
    everywhere: u32,
}

impl World {
    /// The time of the last that happened.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// All that ever were.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        0..self.nodes.len() as NodeId
    }

    /// The truth about one, if it ever was.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Truth> {
        self.nodes.get(id as usize)
    }

    /// Whether its process is there and wants to be a member.
    #[must_use]
    pub fn is_member(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(|truth| truth.up && truth.member)
    }

    /// The members.
    pub fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.ids().filter(|&id| self.is_member(id))
    }

    /// Since when a member is well; `None` while it is not.
    #[must_use]
    pub fn well_since(&self, id: NodeId) -> Option<Duration> {
        let truth = self.node(id).filter(|truth| truth.up && truth.member && truth.disturbances == 0)?;
        (self.everywhere == 0).then_some(truth.well_since)
    }

    /// Since when nothing disturbs a node, there or not; `None` while something does.
    #[must_use]
    pub fn undisturbed_since(&self, id: NodeId) -> Option<Duration> {
        self.node(id).filter(|truth| truth.disturbances == 0).map(|truth| truth.well_since)
    }

    /// What one believes of another.
    #[must_use]
    pub fn belief(&self, of: NodeId, about: NodeId) -> Option<&Belief> {
        self.node(of)?.beliefs.get(about as usize)
    }

    /// The bounds that hold at a node, once its configuration is known.
    #[must_use]
    pub fn bounds(&self, id: NodeId) -> Option<Bounds<'_>> {
        let truth = self.node(id)?;
        Some(Bounds { config: truth.config.as_ref()?, members: self.nodes.len(), health: truth.health })
    }

    /// Since when all is over: nobody is disturbed any more, and nobody came or went.
    #[must_use]
    pub fn calm_since(&self) -> Option<Duration> {
        self.calm_since
    }

    /// Since when all know the same, as far as the caller found.
    #[must_use]
    pub fn settled_since(&self) -> Option<Duration> {
        self.settled_since
    }

    /// Since when there is nothing to tell either.
    #[must_use]
    pub fn idle_since(&self) -> Option<Duration> {
        self.idle_since
    }

    /// All is over from now on, or it is not: whoever still is to be found dead, or to be met, is so from now on.
    pub fn set_calm(&mut self, calm: bool) {
        self.calm_since = calm.then_some(self.now);
        (self.settled_since, self.idle_since) = (None, None);
    }

    /// All know the same from now on.
    pub fn set_settled(&mut self) {
        self.settled_since = Some(self.now);
    }

    /// And there is nothing to tell, or there is again.
    pub fn set_idle(&mut self, idle: bool) {
        self.idle_since = idle.then_some(self.now);
    }

    /// Something disturbs a node from now on, beside what does already.
    pub fn disturb(&mut self, id: NodeId) {
        self.truth(id).disturbances += 1;
    }

    /// It does so no more.
    pub fn relieve(&mut self, id: NodeId) {
        let now = self.now;
        let truth = self.truth(id);
        truth.disturbances = truth.disturbances.saturating_sub(1);
        if truth.disturbances == 0 {
            truth.is_well_from(now);
        }
    }

    /// Something disturbs everybody.
    pub fn disturb_all(&mut self) {
        self.everywhere += 1;
    }

    /// It does so no more.
    pub fn relieve_all(&mut self) {
        self.everywhere = self.everywhere.saturating_sub(1);
        if self.everywhere == 0 {
            let now = self.now;
            self.nodes.iter_mut().for_each(|truth| truth.is_well_from(now));
        }
    }

    pub(super) fn at(&mut self, now: Duration) {
        self.now = now;
    }

    /// A process starts: for the first time, or again.
    pub(super) fn on_start(&mut self, id: NodeId) {
        let now = self.now;
        let unknown = Belief { state: None, since: now, live_since: now };
        self.truth(id);
        let count = self.nodes.len();
        let truth = self.truth(id);
        (truth.up, truth.member, truth.met) = (true, false, false);
        truth.life += 1;
        truth.config = None;
        truth.beliefs = vec![unknown; count];
        truth.is_well_from(now);
    }

    /// A process has the address of another. It counts as no member, and both are disturbed from now on.
    pub fn set_twin(&mut self, id: NodeId, of: NodeId) {
        self.truth(id).address = of;
        self.disturb(id);
        self.disturb(of);
    }

    pub(super) fn on_member(&mut self, id: NodeId) {
        let now = self.now;
        let truth = self.truth(id);
        if !truth.member && truth.address == id {
            truth.member = true;
            truth.is_well_from(now);
        }
    }

    pub(super) fn on_config(&mut self, id: NodeId, config: &Config) {
        self.truth(id).config = Some(config.clone());
    }

    /// Crashed, or its goodbye said; a node that left is still up.
    pub(super) fn on_gone(&mut self, id: NodeId, up: bool) {
        let now = self.now;
        let truth = self.truth(id);
        (truth.up, truth.member, truth.gone_since) = (up, false, now);
        // From now on somebody is to be found dead: the health that counts is that from now on.
        self.nodes.iter_mut().for_each(|truth| truth.health = 0);
    }

    pub(super) fn on_event<A: Addresses>(&mut self, id: NodeId, event: &Event<A>) {
        match event {
            Event::MemberChanged { addr, state, .. } => self.believe(id, addr, Some(*state)),
            Event::MemberForgotten { addr } => self.believe(id, addr, None),
            Event::Left => self.on_gone(id, true),
            _ => {}
        }
    }

    fn believe<A: Addresses>(&mut self, id: NodeId, about: &A, state: Option<MemberState>) {
        self.truth(id);
        let Some(about) = about.id() else { return };
        // A claim may be about an address where nobody ever was.
        self.truth(about);
        let now = self.now;
        let truth = self.truth(id);
        let belief = &mut truth.beliefs[about as usize];
        let next = Belief { state, since: now, live_since: now };
        truth.met |= next.is_live();
        *belief =
            if next.is_live() == belief.is_live() { Belief { live_since: belief.live_since, ..next } } else { next };
    }

    pub(super) fn on_tick<A: Addresses>(&mut self, nodes: &Nodes<'_, A>) {
        for id in self.ids() {
            let Some(node) = nodes(id) else { continue };
            let truth = self.truth(id);
            if truth.config.as_ref() != Some(node.config()) {
                truth.config = Some(node.config().clone());
            }
            truth.health = truth.health.max(node.health_score());
        }
    }

    fn truth(&mut self, id: NodeId) -> &mut Truth {
        let now = self.now;
        let unknown = Belief { state: None, since: now, live_since: now };
        while self.nodes.len() <= id as usize {
            self.nodes.iter_mut().for_each(|truth| truth.beliefs.push(unknown));
            let beliefs = vec![unknown; self.nodes.len() + 1];
            self.nodes.push(Truth {
                up: false,
                member: false,
                life: 0,
                address: self.nodes.len() as NodeId,
                gone_since: now,
                config: None,
                met: false,
                health: 0,
                disturbances: 0,
                well_since: now,
                beliefs,
            });
        }
        &mut self.nodes[id as usize]
    }
}

impl Truth {
    fn is_well_from(&mut self, now: Duration) {
        self.well_since = now;
        self.health = 0;
    }
}
