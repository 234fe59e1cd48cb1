//! From the words of the core and of the control connection to those of records and of the fault shim.

use std::net::SocketAddr;

use event_log::control::Impairment;
use event_log::record::{self, EventKey};
use gossip_core::Event;
use tracing::{debug, info};

use crate::recorder::Recorder;
use crate::socket::endpoint;

/// Logs what the node tells, and records what a report needs.
pub(crate) fn on_event(recorder: &mut Recorder, at_ns: u64, event: &Event<SocketAddr>) {
    if let Some(what) = record::of_event(event) {
        recorder.record(at_ns, what);
    }
    match event {
        Event::UserEvent { id, hops, from, via, payload, .. } => {
            let event = EventKey::new(id.origin, id.sequence);
            debug!(event = event.0, hops, %from, ?via, len = payload.len(), "learnt of an event");
        }
        Event::MemberChanged { addr, state, incarnation, told_by, accuser, confirmations } => {
            info!(member = %addr, ?state, incarnation, ?told_by, ?accuser, confirmations, "member changed");
        }
        Event::MemberForgotten { addr } => debug!(member = %addr, "member forgotten"),
        Event::Refuted { claim, told_by, incarnation } => {
            info!(?claim, %told_by, incarnation, "refuted a claim about this node");
        }
        Event::Joined { through } => info!(%through, "joined"),
        Event::Rtt { addr, rtt } => debug!(member = %addr, ?rtt, "round trip"),
        Event::Message { from, payload } => debug!(%from, len = payload.len(), "message"),
        Event::MetadataChanged { addr } => debug!(member = %addr, "metadata changed"),
        Event::Left => debug!("goodbye said"),
        other => debug!(?other, "event"),
    }
}

/// The fault that an order asks for.
pub(crate) fn impairment_of(impairment: Impairment) -> netem::Impairment {
    match impairment {
        Impairment::Loss(loss) => netem::Impairment::Loss(loss),
        Impairment::Delay(delay) => netem::Impairment::Delay(delay),
        Impairment::DropNext(next) => netem::Impairment::DropNext(next),
        Impairment::Sleep(sleep) => netem::Impairment::Sleep(sleep),
        Impairment::Block { peers, duration } => {
            netem::Impairment::Block { peers: peers.into_iter().map(endpoint).collect(), duration: duration.get() }
        }
    }
}
