use std::io::Cursor;

use event_log::SCHEMA;
use event_log::manifest::{Machine, Manifest};
use event_log::plan::{Backend, Plan, RunKey};
use event_log::read::Log;
use event_log::record::{Line, MASTER, Record, What};

use super::*;

fn manifest(plan: Plan) -> Manifest {
    Manifest {
        schema: SCHEMA,
        name: "test".into(),
        plan_sha256: plan.sha256(),
        seed: plan.seed,
        plan,
        backend: Backend::Sim,
        version: String::new(),
        commit: String::new(),
        dirty: false,
        machine: Machine::default(),
        clock_error_ns: 0,
        started: String::new(),
        started_ns: 0,
        trace_hash: None,
        simulation: None,
    }
}

/// An experiment of `plan` whose first run began and holds nothing.
pub(crate) fn empty(plan: Plan) -> Experiment {
    let key = plan.runs().first().cloned().expect("a plan has a run");
    let what = What::RunStarted { key, faults: vec![] };
    let line = Line { run: 0, node: MASTER.into(), record: Record { number: 0, at_ns: 0, what } };
    understand(Log { manifest: manifest(plan), lines: vec![line], truncated: false, unknown: 0 })
}

fn plan() -> Plan {
    let text = "name = \"t\"\n[cluster]\nsizes = [4]\n[[setting]]\nname = \"s\"\n\
                [[setting.fault]]\nsleep = { duration = \"2s\" }\nnodes = { random = 1 }\n\
                [[setting.fault]]\nleave = {}\nnodes = { random = 1 }\n";
    Plan::parse("t.toml", text).expect("a plan")
}

fn addr(last: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, last], 7946))
}

/// Lines told as (node, number, at, what).
fn understood(told: Vec<(&str, u64, u64, What)>) -> Experiment {
    let lines = told
        .into_iter()
        .map(|(node, number, at_ns, what)| Line { run: 0, node: node.into(), record: Record { number, at_ns, what } })
        .collect();
    understand(Log { manifest: manifest(plan()), lines, truncated: false, unknown: 0 })
}

fn added(name: &str, last: u8) -> What {
    What::NodeAdded { name: name.into(), addr: addr(last) }
}

fn started(last: u8) -> What {
    What::NodeStarted { addr: addr(last), version: String::new(), receive_buffer_bytes: 0 }
}

fn event() -> EventKey {
    EventKey::new(addr(1), 7)
}

fn starts() -> What {
    What::EventStarted { event: event(), index: 0, payload_bytes: 1 }
}

fn learns() -> What {
    What::EventLearnt { event: event(), hops: 1, from: addr(1), via: Via::Push }
}

#[test]
fn a_second_delivery_in_one_life_is_a_duplicate_and_one_in_the_next_life_is_none() {
    let experiment = understood(vec![
        (MASTER, 0, 0, added("a", 1)),
        (MASTER, 1, 0, added("b", 2)),
        ("a", 0, 1, started(1)),
        ("a", 1, 10, starts()),
        ("b", 0, 1, started(2)),
        ("b", 1, 20, learns()),
        ("b", 2, 30, learns()),
        ("b", 0, 40, started(2)),
        ("b", 1, 50, learns()),
        ("a", 2, 60, learns()),
    ]);
    let event = &experiment.runs[0].events[0];
    assert_eq!(event.duplicates, 2, "b's second within its first life, and the origin's own event coming back to it");
    assert_eq!(event.learnt.len(), 1);
    assert_eq!(event.learnt[&1].at, 20, "the first counts");
    assert!(experiment.notes.iter().any(|note| note.contains("b began anew")), "{:?}", experiment.notes);
}

#[test]
fn a_node_that_was_killed_and_added_again_is_two_stays() {
    let experiment = understood(vec![
        (MASTER, 0, 0, added("a", 1)),
        ("a", 0, 1, started(1)),
        (MASTER, 1, 50, What::NodeKilled { name: "a".into() }),
        (MASTER, 2, 60, added("a", 1)),
        ("a", 0, 61, started(1)),
        ("a", 1, 70, starts()),
    ]);
    assert_eq!(experiment.stays.len(), 2);
    assert_eq!(experiment.stays[0].gone, Some((50, Gone::Killed)));
    assert_eq!(experiment.stays[1].gone, None);
    assert_eq!(experiment.runs[0].events[0].origin, 1);
    assert!(experiment.notes.is_empty(), "{:?}", experiment.notes);
}

#[test]
fn a_restarted_node_that_speaks_before_the_master_adds_it_is_the_same_stay() {
    let experiment = understood(vec![
        (MASTER, 0, 0, added("a", 1)),
        ("a", 0, 1, started(1)),
        (MASTER, 1, 50, What::NodeKilled { name: "a".into() }),
        ("a", 0, 61, started(1)),
        (MASTER, 2, 60, added("a", 1)),
    ]);
    assert_eq!(experiment.stays.len(), 2);
    assert_eq!((experiment.stays[1].from, experiment.stays[1].addr), (60, Some(addr(1))));
}

#[test]
fn the_lines_of_learners_may_stand_above_the_line_of_the_start() {
    let experiment = understood(vec![
        (MASTER, 0, 0, added("a", 1)),
        (MASTER, 1, 0, added("b", 2)),
        ("b", 0, 20, learns()),
        ("a", 0, 10, starts()),
    ]);
    assert_eq!(experiment.runs[0].events[0].learnt[&1].at, 20);
    assert!(experiment.runs[0].orphans.is_empty());
}

#[test]
fn learning_of_an_event_without_a_start_is_counted_apart() {
    let experiment = understood(vec![(MASTER, 0, 0, added("b", 2)), ("b", 0, 20, learns()), ("c", 0, 21, learns())]);
    assert!(experiment.runs[0].events.is_empty());
    assert_eq!(experiment.runs[0].orphans[&event()], 2);
}

#[test]
fn a_leaver_is_gone_from_the_order_on_and_a_nap_lasts_until_the_node_says_so() {
    let order = |fault: u32, target: &str| What::FaultOrdered { fault, text: String::new(), target: target.into() };
    let experiment = understood(vec![
        (MASTER, 0, 0, added("a", 1)),
        (MASTER, 1, 0, added("b", 2)),
        (MASTER, 2, 5, What::RunStarted { key: RunKey { size: 4, setting: "s".into() }, faults: vec![] }),
        (MASTER, 3, 10, order(0, "a")),
        (MASTER, 4, 30, order(1, "b")),
        ("a", 0, 11, What::FaultApplied { fault: 0, active: true }),
        ("a", 1, 90, What::FaultApplied { fault: 0, active: false }),
        ("b", 0, 33, What::NodeStopped),
    ]);
    assert_eq!(experiment.stays[1].gone, Some((30, Gone::Left)));
    assert_eq!(experiment.stays[1].stopped, Some(33));
    let naps = experiment.runs[0].naps();
    assert_eq!(naps, [Nap { node: 0, from: 11, to: Some(90), asked: 2_000_000_000 }]);
}

#[test]
fn stamps_are_moved_onto_the_masters_clock() {
    let offset = |offset_ns| What::ClockOffset { name: "b".into(), offset_ns, error_ns: 4 };
    let experiment = understood(vec![
        (MASTER, 0, 0, added("a", 1)),
        (MASTER, 1, 0, added("b", 2)),
        (MASTER, 2, 0, offset(-1000)),
        ("a", 0, 10, starts()),
        ("b", 0, 1030, learns()),
    ]);
    assert_eq!(experiment.runs[0].events[0].learnt[&1].at, 30);
    assert_eq!((experiment.clock_error_ns, experiment.foreign_clocks), (4, 1));
}

#[test]
fn a_log_whose_last_line_is_cut_is_understood_up_to_there() {
    let mut text = serde_json::to_string(&manifest(plan())).expect("plain data");
    let line = Line { run: 0, node: MASTER.into(), record: Record { number: 0, at_ns: 5, what: added("a", 1) } };
    text.push('\n');
    text.push_str(&serde_json::to_string(&line).expect("plain data"));
    text.push_str("\n{\"run\":0,\"node\":\"a\",\"num");
    let log = event_log::read::read_from("t", Cursor::new(text)).expect("a readable log");
    let experiment = understand(log);
    assert!(experiment.truncated);
    assert_eq!(experiment.stays.len(), 1);
    assert_eq!(experiment.runs[0].outcome, Outcome::Unfinished);
}

#[test]
fn records_of_unknown_kinds_are_mentioned() {
    let experiment = understand(Log { manifest: manifest(plan()), lines: vec![], truncated: false, unknown: 3 });
    assert!(experiment.notes[0].starts_with("3 records are of kinds"), "{:?}", experiment.notes);
}

#[test]
fn who_goes_at_the_very_end_was_there_until_the_end() {
    let experiment =
        understood(vec![(MASTER, 0, 0, added("a", 1)), (MASTER, 1, 5, added("b", 2)), ("b", 0, 30, What::NodeStopped)]);
    let stay = &experiment.stays[1];
    assert!(stay.covers(5, 30) && stay.covers(5, 29) && !stay.covers(5, 31) && !stay.covers(4, 30));
    assert!(stay.present(5) && stay.present(29) && !stay.present(30));
}
