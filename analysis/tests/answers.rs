//! A log with known answers: every number in the metrics and in the report can be worked out by hand from the script below.

mod synthetic;

use std::fs;
use std::path::{Path, PathBuf};

use analysis::load::load;
use analysis::metrics::RunMetrics;
use analysis::report::{Block, sections, write};
use analysis::study::Study;
use event_log::plan::{Plan, RunKey, node_name};
use event_log::record::{EventKey, FaultCounts, MemberState, Via, What};
use synthetic::{MS, START, Script, addr, manifest};

/// Ten nodes; 10 % loss at all of them, a sleeper (n009), a crash (n010).
const PLAN: &str = r#"
name = "answers"
[cluster]
sizes = [10]
[events]
count = 2
[[setting]]
name = "faulty"
[[setting.fault]]
loss = { probability = 0.1 }
[[setting.fault]]
sleep = { duration = "1s" }
nodes = { named = ["n009"] }
at = "1s"
[[setting.fault]]
crash = {}
nodes = { named = ["n010"] }
at = "1s"
"#;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

fn plan() -> Plan {
    Plan::parse("plan.toml", PLAN).expect("the plan is valid")
}

fn key(index: u64) -> EventKey {
    EventKey::new(addr(0), index)
}

fn learns(index: u64, hops: u32, via: Via) -> What {
    What::EventLearnt { event: key(index), hops, from: addr(0), via }
}

fn traffic(datagrams_sent: u64) -> What {
    What::Traffic {
        datagrams_sent,
        bytes_sent: 50 * datagrams_sent,
        datagrams_received: 0,
        bytes_received: 0,
        receive_buffer_overflows: 1,
        cpu_ns: Some(datagrams_sent * 1_000_000),
        resident_bytes: Some(2_000_000),
    }
}

/// Ten nodes come together; the run has begun.
fn beginning() -> Script {
    let mut script = Script::default();
    for index in 0..10 {
        script.master(0, START, What::NodeAdded { name: node_name(index), addr: addr(index) });
    }
    script.master(0, START, What::Converged { size: 10, took_ns: 500 * MS, joined: 10 });
    let key = RunKey { size: 10, setting: "faulty".into() };
    script.master(0, START, What::RunStarted { key, faults: vec!["loss 10 % at all nodes".into()] });
    script
}

fn start(script: &mut Script, index: u32, t0: u64) {
    script.node(0, 0, t0, What::EventStarted { event: key(u64::from(index)), index, payload_bytes: 64 });
}

fn settle(script: &mut Script, index: u64, at: u64, expected: u32, informed: u32) {
    script.master(0, at, What::EventSettled { event: key(index), expected, informed, missing: vec![] });
}

fn order(script: &mut Script, fault: u32, at: u64, target: u32) {
    let text = format!("fault {fault}");
    script.master(0, at, What::FaultOrdered { fault, text, target: node_name(target) });
}

/// The whole story.
fn script() -> Script {
    let mut script = beginning();
    for index in 0..10 {
        script.node(0, index, START, traffic(100));
        order(&mut script, 0, START, index);
        script.node(0, index, START, What::FaultApplied { fault: 0, active: true });
    }
    // Event 0 reaches n002 … n010 after 10, 20, … 90 ms; n002 gets it twice.
    let t0 = START + 100 * MS;
    start(&mut script, 0, t0);
    for index in 1..10 {
        let via = if index < 4 { Via::Push } else { Via::Pull };
        let hops = if index < 4 { 1 } else { 2 };
        script.node(0, index, t0 + u64::from(index) * 10 * MS, learns(0, hops, via));
    }
    script.node(0, 1, t0 + 55 * MS, learns(0, 1, Via::Push));
    settle(&mut script, 0, t0 + 500 * MS, 10, 10);
    // n009 falls asleep, n010 is killed. Everybody else suspects and buries n010 after 300 and 500 + 10·i ms; n001 also
    // buries n009 while it sleeps, and n002 buries n003, which is awake; n003 refutes a suspicion of n004's.
    let struck = START + 1_000 * MS;
    order(&mut script, 1, struck, 8);
    order(&mut script, 2, struck, 9);
    script.node(0, 8, struck, What::FaultApplied { fault: 1, active: true });
    script.master(0, struck, What::NodeKilled { name: node_name(9) });
    let changed = |member: u32, state| What::MemberChanged { member: addr(member), state, incarnation: 0, from: None };
    for index in 0..8 {
        script.node(0, index, struck + 300 * MS, changed(9, MemberState::Suspect));
        script.node(0, index, struck + (500 + 10 * u64::from(index)) * MS, changed(9, MemberState::Dead));
    }
    script.node(0, 0, struck + 600 * MS, changed(8, MemberState::Suspect));
    script.node(0, 0, struck + 700 * MS, changed(8, MemberState::Dead));
    script.node(0, 1, struck + 710 * MS, changed(2, MemberState::Dead));
    script.node(0, 3, struck + 720 * MS, changed(2, MemberState::Suspect));
    script.node(0, 3, struck + 730 * MS, changed(2, MemberState::Alive));
    // Event 1 starts while n009 sleeps: seven learn after 20 ms each, n009 250 ms after it woke.
    let t1 = START + 1_800 * MS;
    start(&mut script, 1, t1);
    for index in 1..8 {
        script.node(0, index, t1 + 20 * u64::from(index) * MS, learns(1, 1, Via::Probe));
    }
    settle(&mut script, 1, t1 + 150 * MS, 8, 8);
    let woke = struck + 1_000 * MS;
    script.node(0, 8, woke, What::FaultApplied { fault: 1, active: false });
    script.node(0, 8, woke + 250 * MS, learns(1, 1, Via::Sync));
    // Ten seconds after the first counts: 200 datagrams more each, of 1,000 tried 120 were lost; n009 dropped 30 asleep.
    let end = START + 10_000 * MS;
    for index in 0..9 {
        script.node(0, index, end, traffic(300));
        let sleep_dropped = if index == 8 { 30 } else { 0 };
        let counts = FaultCounts {
            judged_out: 1_000,
            loss_trials: 1_000,
            loss_expected: 100.0,
            loss_dropped: 120,
            sleep_dropped,
            ..FaultCounts::default()
        };
        script.node(0, index, end, What::Faults(counts));
    }
    script.master(0, end, What::RunEnded { complete: true });
    script
}

fn study(name: &str, script: &Script) -> (Study, PathBuf) {
    let folder = folder(name);
    script.write(&folder.join("records.jsonl"), &manifest(plan()));
    (Study::of(load(&folder).expect("a readable log")), folder)
}

fn metrics(study: &Study) -> &RunMetrics {
    assert_eq!(study.metrics.len(), 1);
    &study.metrics[0]
}

/// All texts of the report, cell by cell.
fn words(study: &Study) -> Vec<String> {
    let report = sections::report(study).expect("a report");
    let mut words = Vec::new();
    for block in report.blocks {
        match block {
            Block::Heading(_, text) | Block::Text(text) | Block::Warning(text) => words.push(text),
            Block::List(items) => words.extend(items),
            Block::Table(table) => words.extend(table.rows.into_iter().map(|row| row.join(" | "))),
            Block::Figure(figure) => words.push(figure.caption),
        }
    }
    words
}

fn has(words: &[String], needle: &str) {
    assert!(words.iter().any(|text| text.contains(needle)), "{needle:?} is not in the report:\n{}", words.join("\n"));
}

#[test]
fn times_and_deliveries_are_those_of_the_script() {
    let (study, _) = study("answers-times", &script());
    let metrics = metrics(&study);
    assert_eq!(metrics.times.events[0], [40.0, 80.0, 90.0, 90.0], "nodes 5, 9, 10 and 10 of ten, the origin first");
    assert_eq!(metrics.times.events[1], [60.0, 140.0, 140.0, 140.0], "of the eight that were there and awake");
    assert_eq!(metrics.times.summary[0].median, 50.0);
    let delivery = &metrics.delivery;
    assert_eq!((delivery.expected_awake, delivery.delivered_awake), (10 + 8, 18));
    assert_eq!((delivery.expected_asleep, delivery.delivered_asleep), (1, 1));
    assert_eq!((delivery.duplicates, delivery.missed(), delivery.late), (1, 0, 1));
    assert!(!delivery.exactly_once());
    assert_eq!(delivery.disagreements, 0);
    let [sleeper] = delivery.sleepers.as_slice() else { panic!("{:?}", delivery.sleepers) };
    assert_eq!((sleeper.name.as_str(), sleeper.missed, sleeper.caught_up, sleeper.learnt_asleep), ("n009", 1, 1, 0));
    assert_eq!((sleeper.slept_ms, sleeper.catch_up_ms), (Some(1000.0), Some(250.0)));
    assert_eq!(metrics.paths.via[&Via::Push], 3);
    assert_eq!(metrics.paths.via[&Via::Sync], 1);
    assert_eq!(metrics.paths.hops[&2], 6);
    let words = words(&study);
    has(&words, "19 of 19 deliveries were made, 0 were missed, 1 were made twice");
    has(&words, "N = 10 · faulty | n009 | 1000 | 1000 | 1 | 1 | 250 | 0");
    has(&words, "No law is fitted: fewer than two sizes have a finite median of at least 3 events (left out: N = 10)");
}

#[test]
fn failure_detection_is_that_of_the_script() {
    let (study, _) = study("answers-detection", &script());
    let detection = &metrics(&study).detection;
    let [crash] = detection.crashes.as_slice() else { panic!("{:?}", detection.crashes) };
    assert_eq!(
        (crash.name.as_str(), crash.survivors, crash.declared_dead),
        ("n010", 9, 8),
        "the sleeper never noticed"
    );
    assert_eq!((crash.first_suspect_ms, crash.first_ms, crash.last_ms), (Some(300.0), Some(500.0), Some(570.0)));
    assert_eq!(detection.crashes_found(), 0, "not by every survivor");
    assert_eq!((detection.suspicions, detection.false_suspicions, detection.refutations), (8 + 1 + 1, 2, 1));
    assert_eq!((detection.false_deaths.len(), detection.false_deaths_awake()), (2, 1));
    assert_eq!((detection.sleepers_suspected, detection.sleepers_declared_dead), ((1, 1), 1));
    let words = words(&study);
    has(
        &words,
        "0 of 1 crashes were found by every survivor; living nodes were declared dead 1 times while awake, 1 times while asleep",
    );
    has(&words, "n002 declared n003 dead, which lived and was awake");
    has(&words, "n001 declared n009 dead, which lived and was asleep");
}

#[test]
fn faults_and_traffic_are_those_of_the_script() {
    let (study, _) = study("answers-faults", &script());
    let metrics = metrics(&study);
    let loss = metrics.faults.loss.expect("losses");
    assert_eq!((loss.trials, loss.dropped), (9_000, 9 * 120));
    let z = loss.z.expect("uncertain");
    assert!((z - 180.0 / (9_000.0f64 * 0.1 * 0.9).sqrt()).abs() < 1e-9, "{z}");
    assert!(metrics.faults.faults.iter().all(|fault| fault.happened), "{:?}", metrics.faults.faults);
    let traffic = metrics.traffic.expect("counts");
    assert_eq!((traffic.nodes, traffic.datagrams_per_second, traffic.bytes_per_second), (9, 20.0, 1000.0));
    assert_eq!((traffic.datagrams_per_event, traffic.bytes_per_event), (Some(100.0), Some(5000.0)));
    assert!(traffic.cpu_share.is_some_and(|share| (share - 0.02).abs() < 1e-12));
    let words = words(&study);
    has(&words, "9000 | 900.0 | 1080 | 10.00 % | 12.0 %");
    has(&words, "+6.32");
    has(&words, "1 awakenings, longest sleep 1000 ms; 30 datagrams dropped asleep");
}

#[test]
fn a_fault_that_left_no_trace_is_cried_out() {
    let mut script = script();
    for line in &mut script.lines {
        if let What::Faults(counts) = &mut line.record.what {
            counts.sleep_dropped = 0;
        }
    }
    let (study, _) = study("answers-no-evidence", &script);
    let words = words(&study);
    has(&words, "nothing shows that the fault \"sleep 1s of n009 after 1s\" happened");
}

#[test]
fn an_event_that_misses_a_node_is_named_and_not_dropped() {
    let mut script = beginning();
    for event in 0..2u32 {
        let t0 = START + (100 + 1000 * u64::from(event)) * MS;
        start(&mut script, event, t0);
        let reached = if event == 0 { 10 } else { 9 };
        for index in 1..reached {
            script.node(0, index, t0 + u64::from(index) * 10 * MS, learns(u64::from(event), 1, Via::Push));
        }
        settle(&mut script, u64::from(event), t0 + 900 * MS, 10, reached);
    }
    script.master(0, START + 3_000 * MS, What::RunEnded { complete: true });
    let (study, folder) = study("answers-missing", &script);
    let metrics = metrics(&study);
    assert_eq!(metrics.times.events[1], [40.0, 80.0, f64::INFINITY, f64::INFINITY]);
    assert_eq!((metrics.times.summary[3].median, metrics.times.summary[3].censored), (f64::INFINITY, 1));
    assert_eq!(metrics.delivery.unsettled, [(1, 1)]);
    let words = words(&study);
    has(&words, "event 1: n010 never learnt of it");
    has(&words, "not reached");
    has(&words, "19 of 20 deliveries were made, 1 were missed");
    write(&study, &folder).expect("a report");
    let times = fs::read_to_string(folder.join("times.csv")).expect("times");
    assert!(times.lines().nth(2).is_some_and(|row| row.ends_with("0.040000000,0.080000000,,")), "{times}");
}

#[test]
fn a_run_that_holds_nothing_and_one_that_never_began_get_a_report_that_says_so() {
    let (nothing, folder) = study("answers-empty", &beginning());
    let words_of = |study: &Study| words(study);
    has(&words_of(&nothing), "has no end in the log");
    has(&words_of(&nothing), "has 0 events in the log, the plan asks for 2");
    has(&words_of(&nothing), "There are no events in the log");
    write(&nothing, &folder).expect("a report");

    let mut script = Script::default();
    script.master(0, START, What::NodeAdded { name: node_name(0), addr: addr(0) });
    let (never, folder) = study("answers-never", &script);
    has(&words_of(&never), "never began: its cluster was not complete");
    write(&never, &folder).expect("a report");

    let (none, folder) = study("answers-none", &Script::default());
    has(&words_of(&none), "The log tells of 0 runs, the plan has 1");
    write(&none, &folder).expect("a report");
}

#[test]
fn a_log_cut_off_in_its_last_line_is_analysed_up_to_there() {
    let folder = folder("answers-truncated");
    let log = folder.join("records.jsonl");
    script().write(&log, &manifest(plan()));
    let text = fs::read(&log).expect("the log");
    fs::write(&log, &text[..text.len() - 20]).expect("written");
    let study = Study::of(load(&folder).expect("a readable log"));
    assert_eq!(metrics(&study).times.events[0], [40.0, 80.0, 90.0, 90.0]);
    let words = words(&study);
    has(&words, "The last line of the log is cut off");
    has(&words, "has no end in the log");
}
