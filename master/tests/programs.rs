//! The programs as they are used: `gossip-master` with real agents, on each backend that this machine allows.
//!
//! The tests run one after the other and under instance names of their own, so that an experiment that runs on the same
//! machine at the same time is not disturbed.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use event_log::read::Log;
use event_log::record::{EventKey, MASTER, What};
use gossip_core::typed::Ending;
use gossip_sim::inputs::file::{End, Recorded, recordings};
use gossip_sim::inputs::replay;

const MASTER_PROGRAM: &str = env!("CARGO_BIN_EXE_gossip-master");

/// Enough for a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

const PLAN: &str = "name = \"short\"\n[cluster]\nsizes = [3, 5]\n[protocol]\npreset = \"local\"\n\
                    [events]\ncount = 3\nquiet = \"300ms\"\nlimit = \"20s\"\n";

/// So many events that the test is quicker.
const LONG_PLAN: &str = "name = \"long\"\n[cluster]\nsizes = [4]\n[protocol]\npreset = \"local\"\n\
                         [events]\ncount = 1000\nquiet = \"200ms\"\nlimit = \"20s\"\n";

/// Loss all the time, a node that is killed, and one more run, for which it is started again.
const LOSSY_PLAN: &str = "name = \"lossy\"\n[cluster]\nsizes = [8]\n[protocol]\npreset = \"local\"\n\
                          [record]\ninputs = true\n[events]\ncount = 3\nquiet = \"300ms\"\nlimit = \"20s\"\n\
                          [[setting]]\nname = \"crash\"\n[[setting.fault]]\nloss = { probability = 0.2 }\n\
                          [[setting.fault]]\ncrash = {}\nnodes = { named = [\"n004\"] }\n\
                          at = \"1s\"\n[[setting]]\nname = \"loss\"\n[[setting.fault]]\nloss = { probability = 0.2 }\n";

fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The agent beside the tested master; built if `cargo test` built only this package.
fn node_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let path = Path::new(MASTER_PROGRAM).with_file_name("gossip-node");
        let release = path.parent().is_some_and(|folder| folder.ends_with("release"));
        let profile: &[&str] = if release { &["--release"] } else { &[] };
        let status = cargo().args(["build", "--package", "gossip-node", "--bins"]).args(profile).status();
        assert!(status.expect("cargo runs").success(), "the agent could not be built");
        assert!(path.is_file(), "there is no {}", path.display());
        path
    })
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", target_folder());
    command
}

fn target_folder() -> &'static Path {
    Path::new(MASTER_PROGRAM).ancestors().nth(2).expect("programs are built below the target folder")
}

/// Both programs without a loader, as images from scratch need them.
fn static_programs() -> (PathBuf, PathBuf) {
    let version = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("-vV").output();
    let version = String::from_utf8(version.expect("rustc runs").stdout).expect("rustc writes text");
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");
    let mut build = cargo();
    build.args(["build", "--package", "gossip-node", "--package", "master", "--bins", "--target", host]);
    let status = build.env("RUSTFLAGS", "-C target-feature=+crt-static").status().expect("cargo runs");
    assert!(status.success(), "the static programs could not be built");
    let folder = target_folder().join(host).join("debug");
    (folder.join("gossip-master"), folder.join("gossip-node"))
}

/// A folder for results, a plan in it, and an instance name that nobody else has.
struct Place {
    folder: tempfile::TempDir,
    instance: String,
}

impl Place {
    fn new(tag: &str, plan: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("plan.toml"), plan).expect("written");
        Self { folder, instance: format!("t{}-{tag}", std::process::id()) }
    }

    fn master(&self, program: &Path, node: &Path, backend: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("run").arg(self.folder.path().join("plan.toml"));
        command.args(["--backend", backend, "--instance", &self.instance, "--out"]).arg(self.folder.path().join("out"));
        // The folder of process ids goes with the test.
        command.env("XDG_RUNTIME_DIR", self.folder.path());
        command.arg("--node-binary").arg(node).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn clean(&self) -> String {
        let mut command = Command::new(MASTER_PROGRAM);
        command.args(["clean", "--instance", &self.instance]).env("XDG_RUNTIME_DIR", self.folder.path());
        let output = command.output().expect("the master starts");
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    }

    fn log(&self) -> Log {
        support::read(&self.folder.path().join("out/latest"))
    }

    /// Waits until the log has a settled event.
    fn await_events(&self, master: &mut Child) {
        let deadline = Instant::now() + PATIENCE;
        let records = self.folder.path().join("out/latest/records.jsonl");
        while !fs::read_to_string(&records).is_ok_and(|text| text.contains("event_settled")) {
            assert_eq!(master.try_wait().expect("it is our child"), None, "the master ended early");
            assert!(Instant::now() < deadline, "no event settled");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Command lines of the agents of this instance that run: they are known by their addresses.
    fn agents(&self) -> Vec<String> {
        let octet = master::backend::Instance::parse(&self.instance).expect("the name is valid").octet();
        let address = format!("127.{octet}.0.");
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").expect("/proc is there").flatten() {
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).into_owned();
            if command.contains("gossip-node") && command.contains(&address) {
                found.push(command);
            }
        }
        found
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, signal).expect("it runs");
}

/// Every event reached every node exactly once, and nothing was worth a warning.
fn assert_complete(log: &Log, sizes: &[u32], events: u32) {
    let told: Vec<&What> = support::told(log);
    assert!(support::warnings(log).is_empty(), "{:?}", support::warnings(log));
    assert_eq!(told.last(), Some(&&What::RunEnded { complete: true }));
    for (run, size) in (0u32..).zip(sizes) {
        let lines = || log.lines.iter().filter(move |line| line.run == run);
        let started: BTreeSet<&EventKey> = lines()
            .filter_map(|line| match &line.record.what {
                What::EventStarted { event, .. } => Some(event),
                _ => None,
            })
            .collect();
        assert_eq!(started.len(), events as usize, "run {run}");
        // A node that is new in this run also learns of the events of the runs before: those are left out.
        let learnt: Vec<(&EventKey, &str)> = lines()
            .filter_map(|line| match &line.record.what {
                What::EventLearnt { event, .. } if started.contains(event) => Some((event, line.node.as_str())),
                _ => None,
            })
            .collect();
        let distinct: BTreeSet<_> = learnt.iter().collect();
        assert_eq!((learnt.len(), distinct.len()), (((size - 1) * events) as usize, learnt.len()), "run {run}");
        for line in lines().filter(|line| line.node == MASTER) {
            if let What::EventSettled { expected, informed, missing, .. } = &line.record.what {
                assert_eq!((*expected, *informed, missing.len()), (*size, *size, 0), "run {run}");
            }
        }
    }
}

/// Every life that was recorded replays to the same bytes; gives back how each recording ends, by the file's name.
fn replayed(place: &Place) -> BTreeMap<String, Option<End>> {
    let files = recordings(&place.folder.path().join("out/latest")).expect("there are recordings");
    let play = |path: &PathBuf| {
        let recording = Recorded::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let played = replay::play(recording, &[], &mut replay::Blind).expect("it is whole");
        assert_eq!(played.difference, None, "{}", path.display());
        assert!(played.inputs.datagrams > 5 && played.sent.0 > 5 && played.events > 5, "{played:?}");
        (path.file_name().expect("a file").to_string_lossy().into_owned(), played.end)
    };
    files.iter().map(play).collect()
}

/// As many nodes, each with one life that ended in good order.
fn lives(count: usize) -> BTreeMap<String, Option<End>> {
    (1..=count).map(|number| (format!("n{number:03}.1.rec"), Some(End::Marked(Ending::Stopped)))).collect()
}

#[test]
fn what_the_nodes_of_a_lossy_cluster_were_given_replays_to_the_same_datagrams() {
    let _turn = one_at_a_time();
    let place = Place::new("rec", LOSSY_PLAN);
    let output = place.master(Path::new(MASTER_PROGRAM), node_program(), "local").output().expect("it starts");
    assert!(output.status.success(), "{}", text(&output));
    let mut expected = lives(8);
    // Killed without a word, and started again for the second run.
    expected.insert("n004.1.rec".to_owned(), Some(End::CutOff { rest: 0 }));
    expected.insert("n004.2.rec".to_owned(), Some(End::Marked(Ending::Stopped)));
    assert_eq!(replayed(&place), expected);
}

#[test]
fn local_processes_run_a_plan_to_its_end() {
    let _turn = one_at_a_time();
    let place = Place::new("run", PLAN);
    let output = place.master(Path::new(MASTER_PROGRAM), node_program(), "local").output().expect("it starts");
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("result: "), "{}", text(&output));
    assert_complete(&place.log(), &[3, 5], 3);
    assert!(place.agents().is_empty(), "{:?}", place.agents());
    assert_eq!(place.clean(), "removed: nothing\n");
    let out = place.folder.path().join("out/latest");
    assert!(
        out.join("nodes/n005.log").is_file() && out.join("plan.toml").is_file() && out.join("master.log").is_file()
    );
}

#[test]
fn after_a_kill_of_the_master_its_agents_are_found_and_its_records_can_be_read() {
    let _turn = one_at_a_time();
    let place = Place::new("kill", LONG_PLAN);
    let mut master = place.master(Path::new(MASTER_PROGRAM), node_program(), "local").spawn().expect("it starts");
    place.await_events(&mut master);

    let second = place.master(Path::new(MASTER_PROGRAM), node_program(), "local").output().expect("it starts");
    assert!(!second.status.success() && text(&second).contains("another master is running"), "{}", text(&second));

    master.kill().expect("it runs");
    master.wait().expect("it is our child");
    assert_eq!(place.agents().len(), 4, "the agents outlive a master that was killed");
    assert_eq!(place.clean(), "removed: 4 node processes\n");
    assert!(place.agents().is_empty(), "{:?}", place.agents());
    let log = place.log();
    assert!(log.lines.iter().any(|line| matches!(line.record.what, What::EventSettled { .. })));
}

#[test]
fn a_signal_ends_the_experiment_in_good_order() {
    let _turn = one_at_a_time();
    let place = Place::new("term", LONG_PLAN);
    let mut master = place.master(Path::new(MASTER_PROGRAM), node_program(), "local").spawn().expect("it starts");
    place.await_events(&mut master);
    signal(&master, rustix::process::Signal::TERM);
    let output = master.wait_with_output().expect("it is our child");
    assert_eq!(output.status.code(), Some(130), "{}", text(&output));
    assert!(place.agents().is_empty(), "{:?}", place.agents());
    assert_eq!(place.clean(), "removed: nothing\n");
    assert_eq!(support::told(&place.log()).last(), Some(&&What::RunEnded { complete: false }));
}

#[test]
fn namespaces_run_a_plan_to_its_end_and_leave_nothing() {
    let _turn = one_at_a_time();
    let possible = rustix::process::geteuid().is_root()
        && Command::new("ip").args(["netns", "list"]).output().is_ok_and(|output| output.status.success());
    if !possible {
        println!("skipped: network namespaces need root and the command ip");
        return;
    }
    let place = Place::new("ns", PLAN);
    let mut master = place.master(Path::new(MASTER_PROGRAM), node_program(), "netns");
    let output = master.arg("--record-inputs").output().expect("it starts");
    if text(&output).contains("not permitted") || text(&output).contains("not supported") {
        println!("skipped: this machine makes no namespaces or macvlan interfaces: {}", text(&output));
        return;
    }
    assert!(output.status.success(), "{}", text(&output));
    assert_complete(&place.log(), &[3, 5], 3);
    assert_eq!(replayed(&place), lives(5));
    assert_eq!(place.clean(), "removed: nothing\n");
}

#[test]
fn containers_run_a_plan_to_its_end_and_leave_nothing() {
    let _turn = one_at_a_time();
    let engine = Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output();
    if !engine.is_ok_and(|output| output.status.success()) {
        println!("skipped: no container engine answers");
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: the parent interface for macvlan needs root");
        return;
    }
    let (master, node) = static_programs();
    let place = Place::new("dk", PLAN);
    let output = place.master(&master, &node, "docker").arg("--record-inputs").output().expect("it starts");
    assert!(output.status.success(), "{}", text(&output));
    assert_complete(&place.log(), &[3, 5], 3);
    assert_eq!(replayed(&place), lives(5));
    let nodes = place.folder.path().join("out/latest/nodes");
    assert!(fs::metadata(nodes.join("n005.log")).is_ok_and(|log| log.len() > 0), "what the nodes said is saved");
    assert_eq!(place.clean(), "removed: nothing\n");

    // The same again, but the host's master is killed: the containers are found by their labels.
    let long = Place { instance: place.instance.clone(), ..Place::new("dk", LONG_PLAN) };
    let mut host = long.master(&master, &node, "docker").spawn().expect("it starts");
    long.await_events(&mut host);
    host.kill().expect("it runs");
    host.wait().expect("it is our child");
    let removed = long.clean();
    assert!(removed.contains("1 master container, 4 node containers, 1 network"), "{removed}");
    assert_eq!(long.clean(), "removed: nothing\n");
    assert!(!long.log().lines.is_empty());
    for kind in ["node", "master"] {
        let image = format!("hearsay-{kind}:{}", place.instance);
        let removed = Command::new("docker").args(["image", "rm", "--force", &image]).output();
        assert!(removed.is_ok_and(|output| output.status.success()), "the test's image {image} stays");
    }
}
