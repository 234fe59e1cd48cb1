//! Two results held against each other, as a user does it.

mod synthetic;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use analysis::compare::Comparison;
use analysis::load::load;
use event_log::plan::Plan;

/// An empty folder that stays for inspection after the test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

/// Writes the log of a simulated cluster: a plan with this seed, and a setting if wanted.
fn result(folder: &Path, seed: u64, more: &str) -> PathBuf {
    let text = format!(
        "name = \"synthetic\"\nseed = {seed}\n[cluster]\nsizes = [32]\n[protocol]\npreset = \"local\"\nfanout = 1\n\
         idle_calls = true\n[events]\ncount = 60\n{more}"
    );
    let plan = Plan::parse("plan.toml", &text).expect("the plan is valid");
    let log = folder.join(format!("{seed}.jsonl"));
    synthetic::simulate(&plan).write(&log, &synthetic::manifest(plan));
    log
}

fn compare(a: &Path, b: &Path, out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gossip-analysis"));
    command.arg("compare").args([a, b]).arg("--out").arg(out).output().expect("the program starts")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn two_runs_of_one_plan_are_not_told_apart_and_the_report_says_so() {
    let folder = folder("comparison");
    let (a, b) = (result(&folder, 1, ""), result(&folder, 2, ""));
    let output = compare(&a, &b, &folder.join("out"));
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("N = 32, no faults: The spread curves are not told apart"), "{}", text(&output));
    for name in ["comparison.html", "comparison.md"] {
        let page = fs::read_to_string(folder.join("out").join(name)).expect("it is written");
        for part in ["energy distance ", "t50", "t100", "datagrams per node and second", "KS distance"] {
            assert!(page.contains(part), "{name} lacks {part}");
        }
    }
    let picture = fs::metadata(folder.join("out/plots/compare-32-no-faults.png")).expect("the picture is drawn");
    assert!(picture.len() > 10_000);
    let page = fs::read_to_string(folder.join("out/comparison.html")).expect("it is written");
    assert_eq!(compare(&a, &b, &folder.join("again")).status.code(), Some(0));
    let again = fs::read_to_string(folder.join("again/comparison.html")).expect("it is written");
    assert_eq!(page, again, "the same logs give the same comparison");
}

#[test]
fn a_cluster_in_which_everybody_learns_later_is_told_apart_with_sign_and_size() {
    const LATE_MS: f64 = 60.0;
    let folder = folder("comparison-differs");
    let [a, mut b] = [1, 2].map(|seed| load(&result(&folder, seed, "")).expect("a log"));
    for event in &mut b.runs[0].events {
        event.learnt.values_mut().for_each(|learning| learning.at += (LATE_MS * 1e6) as i64);
    }
    let compared = Comparison::of([std::slice::from_ref(&a), std::slice::from_ref(&b)]);
    let run = &compared.runs[0];
    assert!(run.differs() && run.energy.p <= 0.001 && run.area.p <= 0.001, "{:?} {:?}", run.energy, run.area);
    assert!(run.area.ms > run.area.by_chance_ms);
    for time in &run.times {
        let distance = time.distance.expect("all were reached");
        assert!((distance.difference - (time.medians[1] - time.medians[0])).abs() < 1e-9);
        let interval = distance.interval;
        assert!(interval.low > 0.0 && interval.low < LATE_MS && LATE_MS < interval.high, "{}: {distance:?}", time.name);
        assert!(time.adjusted_p <= 0.01, "{}: {time:?}", time.name);
    }
    // The other way round the sign turns and the tests say the same.
    let turned = Comparison::of([std::slice::from_ref(&b), std::slice::from_ref(&a)]);
    assert!((turned.runs[0].energy.statistic - run.energy.statistic).abs() < 1e-9);
    assert!(turned.runs[0].times[1].distance.expect("all were reached").difference < 0.0);
}

#[test]
fn several_results_of_a_side_are_clusters_that_are_exchanged_whole() {
    let folder = folder("comparison-clusters");
    let results: Vec<PathBuf> = (1..=8).map(|seed| result(&folder, seed, "")).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gossip-analysis"));
    command.arg("compare").arg(&results[0]).args(&results[3..]).arg("--beside").arg(&results[1]);
    command.arg("--beside").arg(&results[2]).arg("--out").arg(folder.join("out"));
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", text(&output));
    // Of eight clusters three: 56 ways.
    let said = text(&output);
    assert!(said.contains("are not told apart") && said.contains("3 against 5 can give no less than 0.0179"), "{said}");
    let page = fs::read_to_string(folder.join("out/comparison.md")).expect("it is written");
    assert!(page.contains("The unit is the cluster") && page.contains("(5 clusters)"), "{page}");

    let load = |path: &PathBuf| load(path).expect("a log");
    let early: Vec<_> = results[..3].iter().map(load).collect();
    let mut late: Vec<_> = results[3..].iter().map(load).collect();
    let events = late.iter_mut().flat_map(|result| &mut result.runs[0].events);
    events.for_each(|event| event.learnt.values_mut().for_each(|learning| learning.at += 60_000_000));
    let compared = Comparison::of([&early, &late]);
    let run = &compared.runs[0];
    assert!(run.differs() && run.clusters == [3, 5], "{:?}", run.energy);
    assert_eq!(run.energy.p, 1.0 / 56.0, "no other way to part them puts them as far apart");
    for time in &run.times {
        let [a, b] = time.of_clusters.map(|range| range.expect("several clusters"));
        assert!(a.low <= time.medians[0] && time.medians[0] <= a.high && a.high < b.low, "{}: {time:?}", time.name);
        assert_eq!(time.lag_one, [None, None]);
    }
}

#[test]
fn what_only_one_result_has_is_named_and_nothing_in_common_is_an_error() {
    let folder = folder("comparison-nothing");
    let other = "[[setting]]\nname = \"other\"\n";
    let (a, b) = (result(&folder, 1, ""), result(&folder, 2, other));
    let output = compare(&a, &b, &folder.join("out"));
    assert!(!output.status.success());
    let text = text(&output);
    assert!(
        text.contains("no run with events that all results have") && text.contains("N = 32, other: only in"),
        "{text}"
    );
    let missing = compare(&a, &folder.join("none"), &folder.join("out"));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("none"));
}
