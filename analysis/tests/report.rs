//! From a simulated cluster's log to the finished report, as a user runs it.

mod synthetic;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use event_log::plan::Plan;

const PLAN: &str = r#"
name = "synthetic"
question = "How does the time to inform everybody grow with N, <quietly> & under faults?"
seed = 42

[cluster]
sizes = [16, 32, 64]

[protocol]
preset = "local"
fanout = 1
idle_calls = true

[events]
count = 20
quiet = "1s 500ms"

[[setting]]
name = "no faults"

[[setting]]
name = "mixed"
[[setting.fault]]
loss = { probability = 0.1 }
[[setting.fault]]
delay = { mean = "20ms", jitter = "5ms", distribution = "normal" }
[[setting.fault]]
sleep = { duration = "5s" }
nodes = { random = 4 }
at = "3s"
[[setting.fault]]
leave = {}
nodes = { random = 2 }
at = "10s"
[[setting.fault]]
crash = {}
nodes = { random = 1 }
at = "12s"
"#;

fn plan() -> Plan {
    Plan::parse("plan.toml", PLAN).expect("the plan is valid")
}

/// An empty folder that stays for inspection after the test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

fn analyse(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gossip-analysis")).args(arguments).output().expect("the program starts")
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_result_folder_becomes_a_report_with_pictures_and_tables() {
    let folder = folder("report");
    let plan = plan();
    let script = synthetic::simulate(&plan);
    script.write(&folder.join("records.jsonl"), &synthetic::manifest(plan));
    let output = analyse(&[&folder]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("report.html") && said.lines().count() == 1 + 6 + 2, "{said}");

    let (html, md) = (text(&folder.join("report.html")), text(&folder.join("report.md")));
    for report in [&html, &md] {
        for needed in [
            "Headline numbers",
            "Exactly once",
            "Faults asked and realised",
            "Failure detection",
            "Late learners",
            "Manifest",
            "Clock error bound",
            "AIC prefers",
            "0123456789abcdef",
            "Theory beside the fit",
        ] {
            assert!(report.contains(needed), "{needed} is missing");
        }
        assert!(!report.contains("<quietly>"), "the plan's words became markup");
    }
    assert_eq!(
        html.matches("<svg").count(),
        2 + 2 + 2 + 6 + 3 + 2,
        "scaling, settings, spread, runs, side by side, hops"
    );
    let mut pictures: Vec<String> = fs::read_dir(folder.join("plots"))
        .expect("plots")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    pictures.sort();
    assert_eq!(pictures.len(), 2 * 17, "{pictures:?}");
    for picture in pictures.iter().filter(|name| name.ends_with(".svg")) {
        assert!(md.contains(&format!("plots/{picture}")), "{picture} is not in report.md");
        let png = fs::read(folder.join("plots").join(picture.replace(".svg", ".png"))).expect("its PNG");
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    }
    let curves = text(&folder.join("curves.csv"));
    assert!(
        curves.starts_with("run,size,setting,event,time_s,informed\n0,16,no faults,0,0.000000000,1\n"),
        "{}",
        &curves[..80]
    );
    assert_eq!(text(&folder.join("times.csv")).lines().count(), 1 + 6 * 20);
}

#[test]
fn the_same_log_gives_the_same_report() {
    let (one, two) = (folder("same-1"), folder("same-2"));
    let mut plan = plan();
    plan.cluster.sizes = vec![16];
    let script = synthetic::simulate(&plan);
    for folder in [&one, &two] {
        script.write(&folder.join("records.jsonl"), &synthetic::manifest(plan.clone()));
        assert!(analyse(&[folder]).status.success());
    }
    for name in ["report.html", "report.md", "curves.csv", "times.csv"] {
        assert_eq!(text(&one.join(name)), text(&two.join(name)), "{name}");
    }
}

#[test]
fn a_log_that_cannot_be_read_is_named_and_the_exit_code_says_so() {
    let folder = folder("unreadable");
    let refused = |what: &str| {
        let output = analyse(&[&folder]);
        assert!(!output.status.success(), "{what} was accepted");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused("a folder without a log").contains("records.jsonl"));
    let log = folder.join("records.jsonl");
    fs::write(&log, "").expect("written");
    assert!(refused("an empty log").contains("begins with its manifest"));
    fs::write(&log, "{\"schema\":{\"major\":99,\"minor\":0}}\n").expect("written");
    assert!(refused("a log of the future").contains("schema 99.0"));
    fs::write(&log, "not a log\n").expect("written");
    assert!(refused("another file").contains("records.jsonl:1"));
}

#[test]
fn the_report_can_be_written_elsewhere_and_an_older_one_is_replaced() {
    let folder = folder("elsewhere");
    let mut plan = plan();
    plan.cluster.sizes = vec![16];
    plan.settings.truncate(1);
    synthetic::simulate(&plan).write(&folder.join("records.jsonl"), &synthetic::manifest(plan));
    let out = folder.join("out");
    fs::create_dir_all(out.join("plots")).expect("a folder");
    fs::write(out.join("plots/run-99-old.svg"), "old").expect("written");
    let output = analyse(&[&folder.join("records.jsonl"), Path::new("--out"), &out]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(out.join("report.html").is_file() && !folder.join("report.html").exists());
    assert!(!out.join("plots/run-99-old.svg").exists(), "a picture of another report was left behind");
    assert!(text(&out.join("report.md")).contains("N = 16 is the only size"));
}

#[test]
fn settings_whose_names_look_alike_keep_their_own_pictures() {
    let folder = folder("alike");
    let mut plan = plan();
    plan.cluster.sizes = vec![16];
    plan.events.count = 4;
    plan.settings.truncate(1);
    plan.settings[0].name = "a b".to_owned();
    let mut twin = plan.settings[0].clone();
    twin.name = "a-b".to_owned();
    plan.settings.push(twin);
    synthetic::simulate(&plan).write(&folder.join("records.jsonl"), &synthetic::manifest(plan));
    assert!(analyse(&[&folder]).status.success());
    for name in ["spread-a-b", "spread-a-b-2", "hops-a-b", "hops-a-b-2"] {
        assert!(folder.join(format!("plots/{name}.svg")).is_file(), "{name}");
    }
}
