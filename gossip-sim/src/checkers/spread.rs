//! An event reaches every member that is well.
//!
//! *Promised*: let h be a member that keeps an event (it started it, or it was delivered there, in its present life), and r one that
//! lacks it. From when both are well, each holds the other for live, and h has it, r gets it within E
//! ([`bounds`](super::bounds)), an ordered one within E and `ordered_wait`, if the event lives for so long. So whoever comes later, comes back or was cut off gets what is still
//! alive, but for its own queries; and an event whose origin went before it told anybody is lost, as is one that lives for less than E.
//!
//! *Not promised*: anything to or from a node that evicted events in its present life (`events_max`, `event_bytes_max`): it keeps
//! less than the others, so its digest differs, and it asks ever more rarely for what it cannot keep. Nor events that are too long for the datagrams of r, and those that r may have
//! forgotten (`seen_max`; `event_lifetime` that grew; its last life's memory).

use core::time::Duration;
use std::collections::BTreeMap;

use gossip_core::{Command, Event, EventId, InputError, Outcome, event_payload_max};

use super::world::World;
use super::{Checker, Nodes, Start, Verdict, called};
use crate::addresses::{Addresses, NodeId};

/// See the head of this file.
#[derive(Debug)]
pub struct Spread<A> {
    events: BTreeMap<EventId<A>, Record>,
    /// Events that started before this may have been forgotten by the node.
    horizons: BTreeMap<NodeId, Duration>,
    /// What the present life of a node gave up because of a bound: events, identities.
    evicted: BTreeMap<NodeId, (u64, u64)>,
    lifetimes: BTreeMap<NodeId, Duration>,
}

#[derive(Debug)]
struct Record {
    started: Duration,
    lifetime: Option<Duration>,
    ordered: bool,
    query: bool,
    len: usize,
    /// Who has it in its present life, since when; and whether it keeps it.
    has: BTreeMap<NodeId, (Duration, bool)>,
}

impl<A> Default for Spread<A> {
    fn default() -> Self {
        Self {
            events: BTreeMap::new(),
            horizons: BTreeMap::new(),
            evicted: BTreeMap::new(),
            lifetimes: BTreeMap::new(),
        }
    }
}

impl<A: Addresses> Spread<A> {
    fn keeps_nothing(&mut self, node: NodeId) {
        self.events.values_mut().filter_map(|record| record.has.get_mut(&node)).for_each(|(_, keeps)| *keeps = false);
    }

    fn may_have_forgotten(&mut self, node: NodeId, before: Duration) {
        let horizon = self.horizons.entry(node).or_default();
        *horizon = before.max(*horizon);
    }

    /// What bounds made the nodes give up since the last time.
    fn note_evictions(&mut self, world: &World, nodes: &Nodes<'_, A>) {
        for id in world.ids() {
            let Some(node) = nodes(id) else { continue };
            let counters = node.counters();
            let evicted = (counters.events_evicted, counters.seen_evicted);
            let before = self.evicted.insert(id, evicted).unwrap_or_default();
            if evicted.1 > before.1 {
                self.may_have_forgotten(id, world.now());
            }
            let lifetime = node.config().event_lifetime;
            let former = self.lifetimes.insert(id, lifetime).unwrap_or(lifetime);
            if lifetime != former {
                self.keeps_nothing(id);
                let margin = node.config().gossip_interval * 2 + node.config().probe_interval;
                self.may_have_forgotten(id, (world.now() + margin).saturating_sub(former.min(lifetime)));
            }
        }
    }
}

impl<A: Addresses> Checker<A> for Spread<A> {
    fn name(&self) -> &'static str {
        "spread"
    }

    fn on_command(
        &mut self,
        world: &World,
        node: NodeId,
        command: &Command<'_, A>,
        outcome: &Result<Outcome<A>, InputError>,
    ) -> Verdict {
        let (len, lifetime, ordered) = match command {
            Command::StartEvent { payload, options } => (payload.len(), options.lifetime, options.ordered),
            Command::StartQuery { payload, deadline, .. } => (payload.len(), Some(*deadline), false),
            _ => return Ok(()),
        };
        if let Ok(Outcome::Started(id)) = outcome {
            let query = matches!(command, Command::StartQuery { .. });
            let has = BTreeMap::from([(node, (world.now(), true))]);
            self.events.insert(*id, Record { started: world.now(), lifetime, ordered, query, len, has });
        }
        Ok(())
    }

    fn on_started(&mut self, world: &World, node: NodeId, start: Start) -> Verdict {
        // The bytes of events are in no snapshot, their identities are.
        match start {
            Start::Fresh => self.events.values_mut().for_each(|record| {
                record.has.remove(&node);
            }),
            Start::FromSnapshot => {
                self.keeps_nothing(node);
                // What is as old as a lifetime may have been forgotten; it is over, but where lifetimes differ or for a round.
                let lifetime = self.lifetimes.get(&node).copied().unwrap_or_default();
                let gone = world.node(node).map_or(world.now(), |truth| truth.gone_since);
                self.may_have_forgotten(node, (gone + lifetime / 8).saturating_sub(lifetime));
            }
        }
        self.evicted.remove(&node);
        Ok(())
    }

    fn on_event(&mut self, world: &World, node: NodeId, event: &Event<A>) -> Verdict {
        if let Event::UserEvent { id, .. } | Event::Query { id, .. } = event
            && let Some(record) = self.events.get_mut(id)
        {
            record.has.insert(node, (world.now(), true));
        }
        Ok(())
    }

    fn on_tick(&mut self, world: &World, nodes: &Nodes<'_, A>) -> Verdict {
        self.note_evictions(world, nodes);
        let configs = world.members().filter_map(|id| world.node(id)?.config.as_ref());
        let least = configs.map(|config| config.event_lifetime).min().unwrap_or_default();
        // Beyond its life at those who measure fast; nobody need get it any more.
        self.events.retain(|_, record| {
            let lifetime = record.lifetime.unwrap_or(least).min(least);
            world.now() < record.started + lifetime - lifetime / 16
        });
        for (id, record) in &self.events {
            for lacking in world.members().filter(|id| !record.has.contains_key(id)) {
                let full = |id: NodeId| self.evicted.get(&id).is_some_and(|&(events, _)| events > 0);
                let forgotten =
                    full(lacking) || self.horizons.get(&lacking).is_some_and(|&horizon| record.started <= horizon);
                let fits = world
                    .node(lacking)
                    .and_then(|truth| truth.config.as_ref())
                    .is_some_and(|config| record.len <= event_payload_max::<A>(config));
                // A query of a former life has nobody any more to be answered to.
                let own_query = record.query && id.origin.id() == Some(lacking);
                if !forgotten && fits && !own_query {
                    check(world, id, record, lacking, full)?;
                }
            }
        }
        Ok(())
    }
}

fn check<A: Addresses>(
    world: &World,
    id: &EventId<A>,
    record: &Record,
    lacking: NodeId,
    full: impl Fn(NodeId) -> bool,
) -> Verdict {
    for (&holder, _) in record.has.iter().filter(|&(&holder, &(_, keeps))| keeps && !full(holder)) {
        let Some((since, bound)) = connected_since(world, holder, lacking) else { continue };
        let since = since.max(record.has[&holder].0);
        // It may wait for one before it that is not there any more.
        let waits = world.bounds(lacking).map(|bounds| bounds.config.ordered_wait).filter(|_| record.ordered);
        let bound = bound + waits.map(|wait| wait + wait / 16).unwrap_or_default();
        if world.now() > since + bound {
            return Err(format!(
                "node {lacking} lacks {}, started at {:.3} s, which node {holder} has; they know each other and are well since \
                 {:.3} s, and E is {bound:?}",
                called(id),
                record.started.as_secs_f64(),
                since.as_secs_f64()
            ));
        }
    }
    Ok(())
}

/// Since when two are well and hold each other for live, and E.
fn connected_since(world: &World, a: NodeId, b: NodeId) -> Option<(Duration, Duration)> {
    let (there, back) = (world.belief(a, b)?, world.belief(b, a)?);
    let live = there.is_live() && back.is_live();
    let since = world.well_since(a)?.max(world.well_since(b)?).max(there.live_since).max(back.live_since);
    let bound = world.bounds(a)?.telling().max(world.bounds(b)?.telling());
    live.then_some((since, bound))
}
