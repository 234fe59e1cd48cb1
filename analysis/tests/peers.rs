//! Two agents under one plan beside each other, as a user does it.

mod synthetic;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use event_log::plan::Plan;

fn result(folder: &Path, seed: u64) -> PathBuf {
    let text = format!(
        "name = \"beside\"\nseed = {seed}\n[cluster]\nsizes = [16, 32]\n[protocol]\npreset = \"local\"\nfanout = 1\n\
         idle_calls = true\n[events]\ncount = 40\n[[setting]]\nname = \"no faults\"\n[[setting]]\nname = \"crashes\"\n\
         [[setting.fault]]\ncrash = {{}}\nnodes = {{ random = 1 }}\nat = \"1s\"\n[[setting.fault]]\ncrash = {{}}\n\
         nodes = {{ random = 1 }}\nat = \"2s\"\n"
    );
    let plan = Plan::parse("plan.toml", &text).expect("the plan is valid");
    let log = folder.join(format!("{seed}.jsonl"));
    synthetic::simulate(&plan).write(&log, &synthetic::manifest(plan));
    log
}

/// The cells of the first row of a table of the page that begins like this.
fn row<'p>(page: &'p str, begin: &str) -> Vec<&'p str> {
    let line = page.lines().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("no row {begin} in\n{page}"));
    line.trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn every_event_and_every_crash_is_counted_and_one_agent_is_as_quick_as_itself() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for the test");
    let (ours, theirs) = (result(&folder, 1), result(&folder, 2));
    let mut command = Command::new(env!("CARGO_BIN_EXE_gossip-analysis"));
    command.arg("peers").arg(&ours).arg("--theirs").arg(&theirs).args(["--name", "the other", "--out"]).arg(&folder);
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = fs::read_to_string(folder.join("peers.md")).expect("it is written");

    let events = row(&page, "| beside | 32 | no faults |");
    assert_eq!(events[3..5], ["40 of 40", "40 of 40"], "{page}");
    // "1.02 [0.95, 1.1]": two halves of one law.
    let ratio: f64 = events[9].split(' ').next().and_then(|number| number.parse().ok()).expect("a ratio");
    assert!((0.8..1.25).contains(&ratio), "{events:?}");

    let (_, membership) = page.split_once("Joining, crashes").expect("a heading");
    assert_eq!(row(membership, "| beside | 32 | no faults |")[5..7], ["–", "–"], "nobody crashed");
    let crashes = row(membership, "| beside | 32 | crashes |");
    assert_eq!(crashes[5..7], ["2", "2"], "{crashes:?}");
    let median = |cell: &str| cell.split(' ').next().and_then(|number| number.parse::<f64>().ok());
    let (first, last) = (median(crashes[7]).expect("a time"), median(crashes[9]).expect("a time"));
    assert!(first > 0.0 && first <= last && !crashes[9].contains("never"), "{crashes:?}");
    assert_eq!(crashes[12..14], ["0", "0"], "{crashes:?}");
}
