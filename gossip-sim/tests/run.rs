//! The simulator as a backend: plans in, result folders out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use event_log::circumstances::Build;
use event_log::folder::RECORDS;
use event_log::plan::{Plan, node_name, schedule};
use event_log::read::{Log, read};
use event_log::record::{MASTER, MemberState, What};
use gossip_sim::run::verify::{rerun, verify};
use gossip_sim::run::{Finished, Request, Show, SimError, run};

fn build() -> Build {
    Build { commit: "of-a-test".to_owned(), dirty: false }
}

fn plan(text: &str) -> Plan {
    Plan::parse("plan.toml", text).unwrap_or_else(|error| panic!("{error}"))
}

fn try_simulate(text: &str, out: &Path, threads: usize) -> Result<Finished, SimError> {
    let plan = plan(text);
    run(&Request { plan: &plan, plan_text: text, out, build: build(), threads, show: Show::No })
}

fn simulate(text: &str, out: &Path, threads: usize) -> (Finished, Log) {
    let finished = try_simulate(text, out, threads).unwrap_or_else(|error| panic!("{error}"));
    let log = read(&finished.folder.join(RECORDS)).unwrap_or_else(|error| panic!("{error}"));
    (finished, log)
}

/// Four runs with a bit of everything.
const FAULTS: &str = r#"
name = "faults"
seed = 5
[cluster]
sizes = [8, 12]
[protocol]
preset = "local"
idle_calls = true
[events]
count = 6
quiet = "700ms"
[[setting]]
name = "none"
[[setting]]
name = "many"
network = { latency = { uniform = { min = "100us", max = "3ms" } }, loss = 0.01, drift_ppm = 100 }
[[setting.fault]]
loss = { probability = 0.05 }
[[setting.fault]]
sleep = { duration = "1s" }
nodes = { random = 1 }
at = "500ms"
[[setting.fault]]
drop_next = { count = 2 }
nodes = { random = 2 }
[[setting.fault]]
leave = {}
nodes = { random = 1 }
at = "1s"
[[setting.fault]]
crash = {}
nodes = { random = 1 }
at = "1500ms"
[[setting.fault]]
partition = { duration = "900ms" }
nodes = { random = 1 }
at = "2s"
"#;

#[test]
fn the_log_does_not_depend_on_threads_and_comes_again_from_the_result_alone() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let (one, log) = simulate(FAULTS, out.path(), 1);
    let (two, other) = simulate(FAULTS, out.path(), 2);
    assert_ne!(one.folder, two.folder, "a result is never overwritten");
    assert_eq!(log.lines, other.lines);
    assert_eq!(one.manifest.trace_hash, two.manifest.trace_hash);
    let again = rerun(&one.folder, out.path(), build(), 2, Show::No).expect("it can be run again");
    assert!(again.is_same() && again.warnings.is_empty() && again.difference.is_none(), "{again:?}");
    let seed = FAULTS.replace("seed = 5", "seed = 6");
    assert_ne!(simulate(&seed, out.path(), 2).0.manifest.trace_hash, one.manifest.trace_hash);
    let left: BTreeSet<_> =
        std::fs::read_dir(&one.folder).expect("a folder").map(|entry| entry.expect("a file").file_name()).collect();
    assert_eq!(left, BTreeSet::from(["plan.toml".into(), RECORDS.into()]), "nothing else is left behind");
}

/// So many that several threads have something to do at a time.
#[test]
fn the_log_of_a_single_run_does_not_depend_on_threads() {
    let text = r#"
name = "one"
seed = 3
[cluster]
sizes = [400]
[protocol]
preset = "lan"
[network]
latency = { uniform = { min = "1ms", max = "3ms" } }
loss = 0.05
[events]
count = 3
quiet = "500ms"
"#;
    let out = tempfile::tempdir().expect("a temporary folder");
    let [(one, log), (three, other)] = [1, 3].map(|threads| simulate(text, out.path(), threads));
    assert!(log.lines.len() > 1_000, "{} records", log.lines.len());
    assert_eq!((log.lines, one.manifest.trace_hash), (other.lines, three.manifest.trace_hash));
}

#[test]
fn a_result_that_was_changed_is_found_out() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let (finished, _) = simulate(FAULTS, out.path(), 2);
    let findings = verify(&finished.folder).expect("it can be read");
    assert!(findings.iter().all(|finding| finding.good), "{findings:#?}");
    assert!(findings.iter().any(|finding| finding.text.contains("plan.toml is the plan")), "{findings:#?}");

    let path = finished.folder.join(RECORDS);
    let text = std::fs::read_to_string(&path).expect("a file");
    let bad = |changed: &str| -> Vec<String> {
        assert_ne!(changed, text);
        std::fs::write(&path, changed).expect("written");
        let findings = verify(&finished.folder).expect("it can be read");
        findings.into_iter().filter(|finding| !finding.good).map(|finding| finding.text).collect()
    };
    let hops = bad(&text.replacen("\"hops\":1", "\"hops\":9", 1));
    assert!(matches!(hops.as_slice(), [hash] if hash.starts_with("the records' hash is")), "{hops:?}");
    let last = text.trim_end().rsplit_once('\n').expect("many lines").0;
    assert_eq!(bad(&format!("{last}\n")).len(), 2, "hash and number");
    let seed = bad(&text.replacen("\"seed\":5", "\"seed\":6", 1));
    assert!(seed.iter().any(|words| words.starts_with("the plan's hash")), "{seed:?}");
    let cut = bad(&text[..text.rfind("run_ended").expect("it ends")]);
    assert!(cut.iter().any(|words| words.contains("not complete: 3")), "{cut:?}");
}

#[test]
fn a_rerun_that_comes_out_otherwise_shows_the_first_line_that_differs() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let (finished, _) = simulate(FAULTS, out.path(), 2);
    let path = finished.folder.join(RECORDS);
    let text = std::fs::read_to_string(&path).expect("a file");
    let hash = finished.manifest.trace_hash.expect("a hash");
    let changed = text.replacen("\"hops\":1", "\"hops\":9", 1).replacen("of-a-test", "another-o", 1).replacen(
        &hash,
        &"f".repeat(64),
        1,
    );
    std::fs::write(&path, changed).expect("written");
    let again = rerun(&finished.folder, out.path(), build(), 2, Show::No).expect("it can be run again");
    assert!(!again.is_same());
    assert!(again.warnings.iter().any(|warning| warning.contains("commit another-o")), "{:?}", again.warnings);
    let (_, was, is) = again.difference.expect("a line differs");
    assert!(was.contains("\"hops\":9") && is.contains("\"hops\":1"), "{was}\n{is}");
}

/// The names of the kinds of records in each run.
fn kinds(log: &Log) -> BTreeMap<u32, BTreeSet<String>> {
    let mut kinds: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for line in &log.lines {
        let json = serde_json::to_value(line).expect("plain data");
        kinds.entry(line.run).or_default().insert(json["what"].as_str().expect("a name").to_owned());
    }
    kinds
}

#[test]
fn the_records_are_those_that_agents_and_master_would_write() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let (finished, log) = simulate(FAULTS, out.path(), 2);
    let kinds = kinds(&log);
    let everywhere = [
        "converged",
        "counters",
        "event_learnt",
        "event_settled",
        "event_started",
        "faults",
        "member_changed",
        "node_added",
        "node_started",
        "node_stopped",
        "run_ended",
        "run_started",
        "traffic",
    ];
    for run in 0..4 {
        let mut expected: BTreeSet<String> = everywhere.map(str::to_owned).into();
        if run % 2 == 1 {
            expected.extend(["fault_applied", "fault_ordered", "node_killed"].map(str::to_owned));
        }
        assert_eq!(kinds[&run], expected, "run {run}");
    }
    // The numbers of each life have no gap, and times do not go back.
    let mut next: BTreeMap<&str, u64> = BTreeMap::new();
    let mut last = 0;
    for line in &log.lines {
        let expected = next.entry(&line.node).or_default();
        if line.node == MASTER {
            // The master's go on over the runs.
            assert!(line.record.number >= *expected, "{line:?}");
        } else if matches!(line.record.what, What::NodeStarted { .. }) {
            assert_eq!(line.record.number, 0, "{line:?}");
        } else {
            assert_eq!(line.record.number, *expected, "{line:?}");
        }
        *expected = line.record.number + 1;
        assert!(line.record.at_ns >= last, "{line:?}");
        last = line.record.at_ns;
    }
    // Every event reached all that were waited for, and a crash was found by all.
    for line in &log.lines {
        if let What::EventSettled { expected, informed, missing, .. } = &line.record.what {
            assert!(informed == expected && missing.is_empty(), "{line:?}");
        }
        assert!(!matches!(line.record.what, What::Warning { .. }), "{line:?}");
    }
    let manifest = finished.manifest;
    assert_eq!((manifest.started_ns, manifest.clock_error_ns), (0, 0));
    assert_eq!(manifest.simulation.map(|simulation| simulation.records), Some(log.lines.len() as u64));
}

/// The waits of the plan are multiples of the interval: without a pause of its own every event would fall at one phase of the rounds.
#[test]
fn events_fall_at_any_phase_of_a_round() {
    let text = "name = \"phases\"\n[cluster]\nsizes = [4]\n[protocol]\npreset = \"local\"\n[events]\ncount = 200\nquiet = \"1s\"\n";
    let out = tempfile::tempdir().expect("a temporary folder");
    let (_, log) = simulate(text, out.path(), 1);
    let interval = plan(text).protocol.config().expect("a configuration").gossip_interval.as_nanos() as u64;
    let starts = log.lines.iter().filter(|line| matches!(line.record.what, What::EventStarted { .. }));
    let phases: Vec<u64> = starts.map(|line| line.record.at_ns % interval).collect();
    assert_eq!(phases.len(), 200);
    for quarter in 0..4 {
        let within = phases.iter().filter(|&&phase| phase * 4 / interval == quarter).count();
        // 50 expected, standard deviation 6: four of them on either side.
        assert!((26..=74).contains(&within), "{within} of 200 in quarter {quarter}");
    }
}

#[test]
fn the_victims_are_those_that_a_master_draws() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let (_, log) = simulate(FAULTS, out.path(), 2);
    let plan = plan(FAULTS);
    for (run, key) in (0..).zip(plan.runs()) {
        let names: Vec<String> = (0..key.size).map(node_name).collect();
        let setting = plan.setting(&key.setting).expect("its own");
        let strikes = schedule::draw(plan.seed, &key, setting, &names).expect("drawn");
        let drawn = strikes.iter().flat_map(|strike| strike.victims.iter().map(|name| (strike.fault, name.clone())));
        let ordered = log.lines.iter().filter(|line| line.run == run).filter_map(|line| match &line.record.what {
            What::FaultOrdered { fault, target, .. } => Some((*fault, target.clone())),
            _ => None,
        });
        assert_eq!(ordered.collect::<BTreeSet<_>>(), drawn.collect::<BTreeSet<_>>(), "run {run}");
    }
}

#[test]
fn a_preloaded_cluster_needs_no_joining_and_nodes_come_and_go_in_a_churn() {
    let text = r#"
name = "churn"
[cluster]
sizes = [12]
start = "preloaded"
[protocol]
preset = "local"
idle_calls = true
[events]
count = 8
quiet = "1s"
[[setting]]
name = "churn"
[[setting.fault]]
churn = { joins = 0.8, leaves = 0.4, crashes = 0.3, duration = "8s" }
[[setting.fault]]
crash = { restart = "1s" }
nodes = { named = ["n003"] }
at = "2s"
[[setting.fault]]
crash = { restart = "3s", snapshot = true }
nodes = { named = ["n004"] }
at = "1s"
"#;
    let out = tempfile::tempdir().expect("a temporary folder");
    let (_, log) = simulate(text, out.path(), 1);
    let count = |is: &dyn Fn(&What) -> bool| log.lines.iter().filter(|line| is(&line.record.what)).count();
    assert_eq!(count(&|what| matches!(what, What::Converged { .. })), 0, "nobody joined before the run");
    let plan = plan(text);
    let churn = plan.settings[0].faults[0].churn.expect("it has one");
    let arrivals = schedule::arrivals(plan.seed, &plan.runs()[0], 0, &churn);
    let of = |turn| arrivals.iter().filter(|arrival| arrival.turn == turn).count();
    let (joins, leaves, crashes) = (of(schedule::Turn::Join), of(schedule::Turn::Leave), of(schedule::Turn::Crash));
    assert!(joins > 1 && leaves > 0 && crashes > 0, "the seed is of no use: {joins} {leaves} {crashes}");
    // Twelve from birth, two that came back.
    assert_eq!(count(&|what| matches!(what, What::NodeAdded { .. })), 12 + 2 + joins);
    assert_eq!(count(&|what| matches!(what, What::NodeKilled { .. })), 2 + crashes);
    let heard = log.lines.iter().filter_map(|line| match line.record.what {
        What::MemberChanged { state: MemberState::Left, member, .. } => Some(member),
        _ => None,
    });
    assert_eq!(heard.collect::<BTreeSet<_>>().len(), leaves, "every goodbye is heard");
    for line in &log.lines {
        if let What::EventSettled { expected, informed, .. } = &line.record.what {
            assert_eq!(informed, expected, "{line:?}");
        }
        assert!(!matches!(line.record.what, What::Warning { .. }), "{line:?}");
    }
}

#[test]
fn a_cluster_that_cannot_form_is_an_error_that_says_who_sees_whom() {
    let text = "name = \"alone\"\n[cluster]\nsizes = [4]\nconvergence_limit = \"2s\"\n[network]\nloss = 1.0\n";
    let out = tempfile::tempdir().expect("a temporary folder");
    let error = try_simulate(text, out.path(), 1).expect_err("nothing arrives").to_string();
    assert!(error.contains("did not converge within 2s") && error.contains("n001 sees 1"), "{error}");
    // What was recorded is kept.
    let folder = out.path().join("latest");
    let findings = verify(&folder).expect("it can be read");
    assert!(findings.iter().any(|finding| !finding.good && finding.text.contains("not complete")), "{findings:#?}");
    let again = rerun(&folder, out.path(), build(), 1, Show::No);
    assert!(again.is_err_and(|error| error.to_string().contains("not finished")));
}
