//! Who knows which event, and who holds whom for dead: drawn from the records of a run as they come in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use event_log::record::{EventKey, MemberState, Record, What};

/// What the nodes have told during the current run.
#[derive(Debug, Clone, Default)]
pub struct Knowledge {
    /// Index within the run → the event and its origin.
    started: BTreeMap<u32, (EventKey, String)>,
    /// Event → names of the nodes that know it.
    informed: BTreeMap<EventKey, BTreeSet<String>>,
    /// Observer → member → the state that the observer told last.
    opinions: BTreeMap<String, BTreeMap<SocketAddr, MemberState>>,
}

impl Knowledge {
    /// Takes note of a record of `node`.
    pub fn learn(&mut self, node: &str, record: &Record) {
        match &record.what {
            What::EventStarted { event, index, .. } => {
                self.started.insert(*index, (event.clone(), node.to_owned()));
                self.informed.entry(event.clone()).or_default().insert(node.to_owned());
            }
            What::EventLearnt { event, .. } => {
                self.informed.entry(event.clone()).or_default().insert(node.to_owned());
            }
            What::MemberChanged { member, state, .. } => {
                self.opinions.entry(node.to_owned()).or_default().insert(*member, *state);
            }
            _ => {}
        }
    }

    /// A node begins a new life: it knows nothing and has told nothing.
    pub fn forget_node(&mut self, node: &str) {
        self.opinions.remove(node);
        for informed in self.informed.values_mut() {
            informed.remove(node);
        }
    }

    /// Whatever was held of `member` is void: it begins a new life.
    pub fn forget_member(&mut self, member: SocketAddr) {
        for opinions in self.opinions.values_mut() {
            opinions.remove(&member);
        }
    }

    /// A new run begins: its events have not happened yet. What the nodes hold of each other stays.
    pub fn next_run(&mut self) {
        self.started.clear();
        self.informed.clear();
    }

    /// The event with this index, once its origin has told of it.
    #[must_use]
    pub fn event(&self, index: u32) -> Option<&EventKey> {
        self.started.get(&index).map(|(event, _)| event)
    }

    /// All events of the run, by index.
    pub fn events(&self) -> impl Iterator<Item = (u32, &EventKey)> {
        self.started.iter().map(|(index, (event, _))| (*index, event))
    }

    /// Those of `awaited` that do not know `event`.
    #[must_use]
    pub fn missing<'a>(&self, event: &EventKey, awaited: &[&'a str]) -> Vec<&'a str> {
        let informed = self.informed.get(event);
        awaited.iter().filter(|name| informed.is_none_or(|set| !set.contains(**name))).copied().collect()
    }

    /// Those of `observers` that have not declared `member` dead (or forgotten it since).
    #[must_use]
    pub fn not_declared_dead<'a>(&self, member: SocketAddr, observers: &[&'a str]) -> Vec<&'a str> {
        let holds_dead = |observer: &str| {
            let opinion = self.opinions.get(observer).and_then(|opinions| opinions.get(&member));
            matches!(opinion, Some(MemberState::Dead | MemberState::Forgotten))
        };
        observers.iter().filter(|observer| !holds_dead(observer)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use event_log::record::Via;

    use super::*;

    fn record(what: What) -> Record {
        Record { number: 0, at_ns: 0, what }
    }

    fn event() -> EventKey {
        EventKey("10.77.0.1:7400#0".to_owned())
    }

    fn started() -> Record {
        record(What::EventStarted { event: event(), index: 3, payload_bytes: 1 })
    }

    fn learnt() -> Record {
        let from = SocketAddr::from(([10, 77, 0, 1], 7400));
        record(What::EventLearnt { event: event(), hops: 1, from, via: Via::Push })
    }

    fn changed(member: SocketAddr, state: MemberState) -> Record {
        record(What::MemberChanged { member, state, incarnation: 0, from: None })
    }

    #[test]
    fn an_event_is_known_by_its_origin_and_by_those_who_learnt_it() {
        let mut knowledge = Knowledge::default();
        assert_eq!(knowledge.event(3), None);
        // The learner's record may be collected before the origin's.
        knowledge.learn("n002", &learnt());
        knowledge.learn("n001", &started());
        assert_eq!(knowledge.event(3), Some(&event()));
        assert_eq!(knowledge.missing(&event(), &["n001", "n002", "n003"]), ["n003"]);
        knowledge.learn("n003", &learnt());
        assert!(knowledge.missing(&event(), &["n001", "n002", "n003"]).is_empty());
    }

    #[test]
    fn a_new_life_of_a_node_knows_nothing_of_the_old_one() {
        let mut knowledge = Knowledge::default();
        knowledge.learn("n001", &started());
        knowledge.learn("n002", &learnt());
        knowledge.forget_node("n002");
        assert_eq!(knowledge.missing(&event(), &["n001", "n002"]), ["n002"]);
    }

    #[test]
    fn a_new_run_begins_without_events_but_with_what_is_held_of_members() {
        let member = SocketAddr::from(([10, 77, 0, 9], 7400));
        let mut knowledge = Knowledge::default();
        knowledge.learn("n001", &started());
        knowledge.learn("n001", &changed(member, MemberState::Dead));
        knowledge.next_run();
        assert_eq!(knowledge.events().count(), 0);
        assert!(knowledge.not_declared_dead(member, &["n001"]).is_empty());
        knowledge.forget_member(member);
        assert_eq!(knowledge.not_declared_dead(member, &["n001"]), ["n001"]);
    }

    #[test]
    fn the_last_word_on_a_member_counts() {
        let member = SocketAddr::from(([10, 77, 0, 9], 7400));
        let table = [
            (vec![], false),
            (vec![MemberState::Suspect], false),
            (vec![MemberState::Suspect, MemberState::Dead], true),
            (vec![MemberState::Dead, MemberState::Forgotten], true),
            (vec![MemberState::Dead, MemberState::Alive], false),
            (vec![MemberState::Left], false),
        ];
        for (states, dead) in table {
            let mut knowledge = Knowledge::default();
            for state in &states {
                knowledge.learn("n001", &changed(member, *state));
            }
            assert_eq!(knowledge.not_declared_dead(member, &["n001"]).is_empty(), dead, "{states:?}");
        }
    }
}
