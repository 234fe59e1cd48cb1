//! Plan files: what is accepted, what is refused and in which words, and that the repository's own plans are good.

use std::path::{Path, PathBuf};
use std::time::Duration;

use event_log::plan::{Action, Backend, Nodes, Plan, PlanError};
use netem::spec::Span;
use proptest::prelude::*;

/// Four lines to which a case is appended.
const BASE: &str = "name = \"x\"\n[cluster]\nsizes = [8, 16]\n\n";

/// A case within one fault: its first line is line 8.
const FAULT: &str = "[[setting]]\nname = \"a\"\n[[setting.fault]]\n";

fn error(text: &str) -> String {
    Plan::parse("plan.toml", text).expect_err(text).to_string()
}

/// Each row: what is appended to the base, and the whole error text.
fn refused(prefix: &str, table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(error(&format!("{BASE}{prefix}{text}")), *expected, "{text}");
    }
}

#[test]
fn a_fault_that_makes_no_sense_is_refused_at_its_line() {
    refused(
        FAULT,
        &[
            (
                "loss = { probability = 1.4 }",
                "plan.toml:8: loss = { probability = 1.4 }: 1.4 is not a probability (0 to 1)",
            ),
            (
                "loss = { probability = -0.1 }",
                "plan.toml:8: loss = { probability = -0.1 }: -0.1 is not a probability (0 to 1)",
            ),
            (
                "loss = { probability = nan }",
                "plan.toml:8: loss = { probability = nan }: NaN is not a probability (0 to 1)",
            ),
            (
                "loss = { probability = \"ten\" }",
                "plan.toml:8: loss = { probability = \"ten\" }: string \"ten\", expected a number",
            ),
            (
                "loss = { probabilty = 0.1 }",
                "plan.toml:8: loss = { probabilty = 0.1 }: unknown key `probabilty`, expected `probability` or `direction`",
            ),
            ("loss = {}", "plan.toml:8: loss = {}: the key `probability` is missing"),
            (
                "lose = { probability = 0.1 }",
                "plan.toml:8: lose = { probability = 0.1 }: unknown key `lose`, expected one of `loss`, `delay`, `drop_next`, \
                 `sleep`, `partition`, `leave`, `crash`, `churn`, `nodes`, `at`",
            ),
            (
                "nodes = { random = 1 }\nsleep = { duration = \"3 parsecs\" }",
                "plan.toml:9: sleep = { duration = \"3 parsecs\" }: \"3 parsecs\" is not a time such as \"200ms\", \"1.5s\" or \
                 \"2m\": unknown time unit \"parsecs\", supported units: ns, us/µs, ms, sec, min, hours, days, weeks, months, \
                 years (and few variations)",
            ),
            (
                "nodes = { random = 1 }\nsleep = { duration = 3 }",
                "plan.toml:9: sleep = { duration = 3 }: integer `3`, expected a text in quotes such as \"200ms\"",
            ),
            (
                "nodes = { random = 1 }\nsleep = { duration = \"2d\" }",
                "plan.toml:9: sleep = { duration = \"2d\" }: 2days is longer than one day",
            ),
            (
                "nodes = { random = 1 }\nsleep = { duration = \"0s\" }",
                "plan.toml:9: setting \"a\": sleep 0s of 1 node: duration = \"0s\" does nothing",
            ),
            ("leave = true", "plan.toml:8: leave = true: boolean `true`, expected {}: a leave has no parameters"),
            (
                "crash = { now = true }",
                "plan.toml:8: crash = { now = true }: unknown key `now`, expected `restart` or `snapshot`",
            ),
            (
                "at = \"1s\"",
                "plan.toml:7: setting \"a\": a fault needs one of loss, delay, drop_next, sleep, partition, leave, crash, churn",
            ),
            (
                "nodes = { random = 1 }\nleave = {}\ncrash = {}",
                "plan.toml:7: setting \"a\": one fault does one thing, this one asks for leave and crash",
            ),
            (
                "drop_next = { count = 0 }",
                "plan.toml:8: setting \"a\": drop the next 0 datagrams at all nodes: count = 0 does nothing",
            ),
            (
                "delay = { mean = \"20ms\", jitter = \"5ms\" }",
                "plan.toml:8: setting \"a\": delay 20ms ± 5ms at all nodes: jitter needs distribution = \"uniform\" or \"normal\"",
            ),
            (
                "delay = { mean = \"20ms\", jitter = \"30ms\", distribution = \"uniform\" }",
                "plan.toml:8: setting \"a\": delay 20ms ± 30ms at all nodes: a uniform jitter above the mean would need \
                 negative delays",
            ),
            (
                "delay = { mean = \"20ms\", distribution = \"gauss\" }",
                "plan.toml:8: delay = { mean = \"20ms\", distribution = \"gauss\" }: unknown value `gauss`, expected one of \
                 `fixed`, `uniform`, `normal`",
            ),
        ],
    );
}

#[test]
fn nodes_that_do_not_exist_or_would_be_too_many_are_refused() {
    refused(
        &format!("{FAULT}sleep = {{ duration = \"3s\" }}\n"),
        &[
            (
                "",
                "plan.toml:7: setting \"a\": sleep 3s at all nodes: this would strike all nodes: give nodes = { random = n }",
            ),
            (
                "nodes = \"all\"",
                "plan.toml:9: setting \"a\": sleep 3s at all nodes: this would strike all nodes: give nodes = { random = n }",
            ),
            (
                "nodes = { named = [\"n001\", \"n009\"] }",
                "plan.toml:9: setting \"a\": sleep 3s of n001, n009: \"n009\" is not a node of every cluster (n001 to n008)",
            ),
            (
                "nodes = { named = [\"n1\"] }",
                "plan.toml:9: setting \"a\": sleep 3s of n1: \"n1\" is not a node of every cluster (n001 to n008)",
            ),
            (
                "nodes = { named = [\"n002\", \"n002\"] }",
                "plan.toml:9: setting \"a\": sleep 3s of n002, n002: \"n002\" is named twice",
            ),
            (
                "nodes = { named = [] }",
                "plan.toml:9: setting \"a\": sleep 3s of : nodes = { named = [] } strikes nobody",
            ),
            (
                "nodes = { random = 0 }",
                "plan.toml:9: setting \"a\": sleep 3s of 0 nodes: nodes = { random = 0 } strikes nobody",
            ),
            (
                "nodes = { random = 7 }",
                "plan.toml:9: setting \"a\": sleep 3s of 7 nodes: with the faults before it this strikes 7 of the smallest \
                 cluster's 8 nodes: two must stay",
            ),
            (
                "nodes = { random = 3 }\n[[setting.fault]]\ncrash = {}\nnodes = { random = 4 }",
                "plan.toml:12: setting \"a\": crash of 4 nodes: with the faults before it this strikes 7 of the smallest \
                 cluster's 8 nodes: two must stay",
            ),
            (
                "nodes = { named = [\"n002\"] }\n[[setting.fault]]\ncrash = {}\nnodes = { named = [\"n002\"] }",
                "plan.toml:12: setting \"a\": crash of n002: \"n002\" is struck by another fault of the setting already: one \
                 sleep, partition, leave or crash a node",
            ),
            (
                "nodes = { random = 4294967295 }",
                "plan.toml:9: setting \"a\": sleep 3s of 4294967295 nodes: with the faults before it this strikes 4294967295 of \
                 the smallest cluster's 8 nodes: two must stay",
            ),
            (
                "nodes = { random = -4 }",
                "plan.toml:9: nodes = { random = -4 }: integer `-4`, expected a whole number from 0 to 4294967295",
            ),
            (
                "nodes = \"some\"",
                "plan.toml:9: nodes = \"some\": unknown value `some`, expected one of `all`, `random`, `named`",
            ),
            (
                "nodes = 4",
                "plan.toml:9: nodes = 4: expected \"all\", { random = 4 } or { named = [\"n001\", \"n002\"] }",
            ),
            (
                "nodes = { random = 1, named = [\"n001\"] }",
                "plan.toml:9: nodes = { random = 1, named = [\"n001\"] }: expected \"all\", { random = 4 } or { named = [\"n001\", \"n002\"] }",
            ),
        ],
    );
    refused(
        &format!("{FAULT}loss = {{ probability = 0.1 }}\n"),
        &[(
            "nodes = { random = 9 }",
            "plan.toml:9: setting \"a\": loss 10 % of 9 nodes: 9 nodes do not fit into the smallest cluster of 8",
        )],
    );
    assert!(Plan::parse("p", &format!("{BASE}{FAULT}crash = {{}}\nnodes = {{ random = 6 }}")).is_ok(), "two stay");
}

#[test]
fn wrong_sections_are_refused_at_their_line() {
    refused(
        "",
        &[
            (
                "[events]\n\ncuont = 3",
                "plan.toml:7: cuont = 3: unknown key `cuont`, expected one of `count`, `payload_bytes`, `quiet`, `limit`, `every`",
            ),
            ("[events]\ncount = 0", "plan.toml:6: count = 0 must be 1 to 100000"),
            ("[events]\nevery = \"0s\"", "plan.toml:6: every = 0s starts all events at once"),
            ("[events]\ncount = 100001", "plan.toml:6: count = 100001 must be 1 to 100000"),
            ("[events]\nlimit = \"0s\"", "plan.toml:6: limit = 0s gives up before an event can spread"),
            ("[events]\nlimit = \"1s\"\nquiet = \"2s\"", "plan.toml:7: quiet = 2s is longer than limit = 1s"),
            ("[events]\nlimit = \"1s\"", "plan.toml:5: quiet = 1s 500ms is longer than limit = 1s"),
            (
                "[protocol]\npreset = \"lan\"\nfanout = 0",
                "plan.toml:7: protocol: fanout must be 1 to 64, or the exponent of a heavy tail 1.5 to 10",
            ),
            (
                "[protocol]\nfanout = 300",
                "plan.toml:6: fanout = 300: integer `300`, expected a whole number from 1 to 64, \"growing\", \"logarithmic\", \"aging\" or { heavy-tail = 2.5 }",
            ),
            ("[protocol]\ngossip_interval = \"0s\"", "plan.toml:6: protocol: gossip_interval must be 1 ms to 1 day"),
            (
                "[protocol]\nstrategy = \"shout\"",
                "plan.toml:6: strategy = \"shout\": unknown value `shout`, expected one of `push`, `pull`, `push-pull`, `median-counter`, `eager`, `sqrt-tree`",
            ),
            (
                "[[setting]]\nname = \"a\"\n\n[[setting]]\nname = \"a\"",
                "plan.toml:9: name = \"a\" stands twice: settings need distinct names",
            ),
            ("[[setting]]\nname = \"\"", "plan.toml:6: name = \"\": a setting's name has 1 to 40 printable characters"),
            ("[[setting]]\nfault = []", "plan.toml:5: [[setting]]: the key `name` is missing"),
            ("[record]\ninputs_max_mib = 0", "plan.toml:6: inputs_max_mib = 0 leaves no room for a recording"),
            (
                "[record]\ninput = true",
                "plan.toml:6: input = true: unknown key `input`, expected `inputs` or `inputs_max_mib`",
            ),
            ("[setting]\nname = \"a\"", "plan.toml:5: [setting]: expected a list: write [[…]] with double brackets"),
            (
                "[experiment]\nx = 1",
                "plan.toml:5: [experiment]: unknown key `experiment`, expected one of `name`, `question`, `seed`, `cluster`, `network`, `protocol`, `events`, `record`, `setting`",
            ),
        ],
    );
    let too_large = error(&format!("{BASE}[events]\npayload_bytes = 60000"));
    let start = "plan.toml:6: payload_bytes = 60000 is more than one datagram carries (";
    assert!(too_large.starts_with(start), "{too_large}");
}

#[test]
fn a_wrong_head_or_cluster_is_refused_at_its_line() {
    for (text, expected) in [
        ("", "plan.toml:1: the key `name` is missing; it stands above the first section: name = \"my-plan\""),
        (
            "[cluster]\nsizes = [8]",
            "plan.toml:1: the key `name` is missing; it stands above the first section: name = \"my-plan\"",
        ),
        (
            "name = \"x\"",
            "plan.toml:1: the section [cluster] is missing; it says how many nodes there are: sizes = [8, 16]",
        ),
        (
            "seed = 1\nname = \"x y\"\n[cluster]\nsizes = [8]",
            "plan.toml:2: name = \"x y\" must be 1 to 40 letters, digits, '-' or '_'",
        ),
        ("name = \"x\"\nname = \"y\"\n[cluster]\nsizes = [8]", "plan.toml:2: name = \"y\": duplicate key"),
        (
            "name = \"x\"\nseed = -1\n[cluster]\nsizes = [8]",
            "plan.toml:2: seed = -1: integer `-1`, expected a whole number, not negative",
        ),
        (
            "name = \"x\"\n[cluster]\nsizes = []",
            "plan.toml:3: sizes = [] names no cluster: give at least one number of nodes",
        ),
        (
            "name = \"x\"\n[cluster]\nsizes = [8, 0]",
            "plan.toml:3: sizes: 0 is not a number of nodes (2 to 4096, simulated to 1000000)",
        ),
        (
            "name = \"x\"\n[cluster]\nsizes = [\n8,\n2000000]",
            "plan.toml:5: sizes: 2000000 is not a number of nodes (2 to 4096, simulated to 1000000)",
        ),
        ("name = \"x\"\n[cluster]\nsizes = [8, 16, 8]", "plan.toml:3: sizes: 8 stands twice"),
        ("name = \"x\"\n[cluster]\nsizes = 8", "plan.toml:3: sizes = 8: integer `8`, expected a list such as [8, 16]"),
        (
            "name = \"x\"\n[cluster]\nsizes = [8]\nconvergence_limit = \"0s\"",
            "plan.toml:4: convergence_limit = 0s gives up before the cluster can form",
        ),
        (
            "setting = []\nname = \"x\"\n[cluster]\nsizes = [8]",
            "plan.toml:1: an empty list of settings runs nothing: leave it out",
        ),
        ("hello world", "plan.toml:1: hello world: key with no value, expected `=`"),
        ("name = \"x\"\n\n[cluster\nsizes = [8]", "plan.toml:3: [cluster: unclosed table, expected `]`"),
    ] {
        assert_eq!(error(text), expected, "{text:?}");
    }
}

#[test]
fn a_file_that_is_no_text_or_not_there_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("plan.toml");
    assert!(matches!(Plan::load(&path), Err(PlanError::Io { .. })));
    std::fs::write(&path, b"name = \"x\"\n\xff\xfe\x00garbage").expect("written");
    let error = Plan::load(&path).expect_err("garbage").to_string();
    assert_eq!(error, format!("{}:2: this is not text (UTF-8)", path.display()));
    std::fs::write(&path, BASE).expect("written");
    assert_eq!(Plan::load(&path).expect("a plan").cluster.sizes, [8, 16]);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC*", lines in proptest::collection::vec("[a-z\\[\\]{}=\"0-9., ]{0,30}", 0..8)) {
        let _ = Plan::parse("p", &text);
        let _ = Plan::parse("p", &format!("{BASE}{}", lines.join("\n")));
    }
}

#[test]
fn defaults_are_filled_in_and_written_out() {
    let plan = Plan::parse("p", BASE).expect("a plan");
    assert_eq!((plan.seed, plan.events.count, plan.events.payload_bytes), (1, 20, 64));
    assert_eq!((plan.events.quiet, plan.events.limit), (Span::from_millis(1_500), Span::from_millis(30_000)));
    assert_eq!((plan.settings.len(), plan.settings[0].name.as_str()), (1, "no faults"));
    let written = toml::to_string(&plan).expect("a plan can be written");
    for line in ["seed = 1", "convergence_limit = \"1m\"", "quiet = \"1s 500ms\"", "name = \"no faults\""] {
        assert!(written.lines().any(|other| other == line), "{line:?} is not in\n{written}");
    }
}

const FULL: &str = r#"
name = "full"
question = "Does everything survive?"
seed = 18446744073709551615

[cluster]
sizes = [16, 8]
convergence_limit = "90s"

[protocol]
preset = "wan"
cluster = "blue"
strategy = "push"
fanout = 2
idle_calls = false
gossip_interval = "1.5s"

[events]
count = 7
payload_bytes = 100
quiet = "1s"
limit = "10s"

[[setting]]
name = "none"

[[setting]]
name = "all kinds, 10 % & more"
[[setting.fault]]
loss = { probability = 0.1, direction = "in" }
nodes = "all"
[[setting.fault]]
loss = { probability = 1 }
nodes = { named = ["n001", "n008"] }
[[setting.fault]]
delay = { mean = "20ms", jitter = "5ms", distribution = "normal" }
at = "0.5ms"
[[setting.fault]]
drop_next = { count = 1 }
nodes = { random = 3 }
[[setting.fault]]
sleep = { duration = "3s" }
nodes = { random = 2 }
at = "2s"
[[setting.fault]]
partition = { duration = "1m" }
nodes = { named = ["n002"] }
[[setting.fault]]
leave = {}
nodes = { random = 1 }
[[setting.fault]]
crash = {}
nodes = { random = 1 }
"#;

#[test]
fn a_plan_survives_being_written_and_read_in_toml_and_in_json() {
    let plan = Plan::parse("p", FULL).expect("a plan");
    let written = toml::to_string(&plan).expect("a plan can be written");
    assert_eq!(Plan::parse("again", &written).expect("what was written can be read"), plan, "{written}");
    let json = serde_json::to_string(&plan).expect("a plan can be written");
    assert_eq!(serde_json::from_str::<Plan>(&json).expect("what was written can be read"), plan, "{json}");
}

#[test]
fn nodes_and_actions_are_read_as_they_are_written() {
    let plan = Plan::parse("p", FULL).expect("a plan");
    let faults = &plan.setting("all kinds, 10 % & more").expect("the second setting").faults;
    let nodes: Vec<&Nodes> = faults.iter().map(|fault| &fault.nodes).collect();
    let named = |names: &[&str]| Nodes::Named(names.iter().map(ToString::to_string).collect());
    assert_eq!(
        nodes,
        [
            &Nodes::All,
            &named(&["n001", "n008"]),
            &Nodes::All,
            &Nodes::Random(3),
            &Nodes::Random(2),
            &named(&["n002"]),
            &Nodes::Random(1),
            &Nodes::Random(1),
        ]
    );
    let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        [
            "loss 10 % at all nodes",
            "loss 100 % of n001, n008",
            "delay 20ms ± 5ms at all nodes after 500us",
            "drop the next 1 datagrams of 3 nodes",
            "sleep 3s of 2 nodes after 2s",
            "partition for 1m of n002",
            "leave of 1 node",
            "crash of 1 node",
        ]
    );
    assert!(matches!(faults[7].action(), Ok(Action::Crash(_))));
}

#[test]
fn the_hash_tells_plans_apart_and_ignores_how_they_are_written() {
    let plan = |text: &str| Plan::parse("p", text).expect("a plan").sha256();
    assert_eq!(plan(BASE), plan(&format!("# a comment\n{BASE}[events]\ncount = 20\n")));
    assert_ne!(plan(BASE), plan(&format!("{BASE}[events]\ncount = 21\n")));
    assert_eq!(plan(BASE).len(), 64);
}

#[test]
fn runs_go_from_small_to_large_with_every_setting_at_each_size() {
    let runs = Plan::parse("p", FULL).expect("a plan").runs();
    let told: Vec<(u32, &str)> = runs.iter().map(|run| (run.size, run.setting.as_str())).collect();
    let (none, kinds) = ("none", "all kinds, 10 % & more");
    assert_eq!(told, [(8, none), (8, kinds), (16, none), (16, kinds)]);
}

#[test]
fn backends_print_as_they_are_written() {
    for backend in [Backend::Docker, Backend::Netns, Backend::Local, Backend::Sim] {
        assert_eq!(serde_json::to_string(&backend).expect("plain data"), format!("\"{backend}\""));
    }
}

/// The plans of the repository.
fn own_plans() -> Vec<(PathBuf, Plan)> {
    plans_in("../experiments/plans")
}

fn plans_in(folder: &str) -> Vec<(PathBuf, Plan)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the plans' folder")
        .map(|entry| entry.expect("an entry of the folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), Plan::load(&path).unwrap_or_else(|error| panic!("{error}")))).collect()
}

#[test]
fn what_a_backend_cannot_do_is_refused_before_it_starts() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let path = file.path();
    for (text, line, words) in [
        (
            "name = \"x\"\n[cluster]\nsizes = [8, 5000]\n",
            3,
            "5000 nodes are for the simulator alone: local has at most 4096",
        ),
        ("name = \"x\"\n[cluster]\nsizes = [8]\nstart = \"preloaded\"\n", 4, "the nodes of local join"),
        ("name = \"x\"\n[cluster]\nsizes = [8]\n[network]\nloss = 0.1\n", 4, "only the simulator has a choice"),
        (
            "name = \"x\"\n[cluster]\nsizes = [8]\n[[setting]]\nname = \"a\"\nnetwork = { latency = \"9ms\" }\n",
            6,
            "only the simulator has a choice",
        ),
        (
            "name = \"x\"\n[cluster]\nsizes = [8]\n[[setting]]\nname = \"a\"\n[[setting.fault]]\nnodes = { random = 1 }\n\
             crash = { restart = \"5s\" }\n",
            8,
            "setting \"a\": crash and restart 5s later of 1 node: local cannot do this",
        ),
        (
            "name = \"x\"\n[cluster]\nsizes = [8]\n[[setting]]\nname = \"a\"\n[[setting.fault]]\n\
             churn = { joins = 1.5, leaves = 1.0, duration = \"9s\" }\n",
            7,
            "setting \"a\": churn for 9s: 1.5 joins/s, 1 leaves/s: local cannot do this",
        ),
    ] {
        std::fs::write(path, text).expect("written");
        let plan = Plan::load(path).unwrap_or_else(|error| panic!("{error}"));
        plan.check_backend(path, Backend::Sim).expect("the simulator can");
        let error = plan.check_backend(path, Backend::Local).expect_err(text).to_string();
        assert!(error.contains(&format!(":{line}: ")) && error.contains(words), "{error}");
    }
    std::fs::write(path, "name = \"x\"\n[cluster]\nsizes = [8]\n").expect("written");
    for backend in [Backend::Docker, Backend::Netns, Backend::Local, Backend::Sim] {
        Plan::load(path).expect("a plan").check_backend(path, backend).expect("all can");
    }
}

#[test]
fn churn_and_restarts_that_make_no_sense_are_refused_at_their_line() {
    refused(
        FAULT,
        &[
            (
                "churn = { joins = -1.0, duration = \"9s\" }",
                "plan.toml:8: setting \"a\": churn for 9s:: joins = -1 is not a rate per second (0 to 10000)",
            ),
            (
                "churn = { duration = \"9s\" }",
                "plan.toml:8: setting \"a\": churn for 9s:: this does nothing: give joins, leaves or crashes per second, and a \
                 duration",
            ),
            (
                "nodes = { random = 1 }\nchurn = { joins = 1.0, duration = \"9s\" }",
                "plan.toml:8: setting \"a\": churn for 9s: 1 joins/s: who goes is drawn anew each time: leave nodes away",
            ),
            (
                "nodes = { random = 1 }\ncrash = { snapshot = true }",
                "plan.toml:9: setting \"a\": crash of 1 node: snapshot = true is for a node that comes back: give restart = \
                 \"5s\" as well",
            ),
        ],
    );
}

#[test]
fn a_member_table_that_is_too_small_for_the_cluster_is_refused() {
    let text = "name = \"x\"\n[cluster]\nsizes = [100000]\n[protocol]\nmembers_max = 70000\n";
    assert_eq!(
        error(text),
        "plan.toml:5: protocol: members_max = 70000 is less than the 100000 nodes of the largest cluster"
    );
}

#[test]
fn what_is_new_in_plans_does_not_change_the_hash_of_those_that_do_without() {
    // The hash as it stands in the manifests of results that are older than the simulator.
    let plan = Plan::parse("plan.toml", BASE).expect("a plan");
    let json = serde_json::to_string(&plan).expect("plain data");
    for new in ["network", "start", "churn", "restart", "snapshot"] {
        assert!(!json.contains(new), "{new}: {json}");
    }
}

#[test]
fn every_plan_of_the_repository_is_good_and_asks_a_question() {
    let plans = own_plans();
    let names: Vec<&str> = plans.iter().map(|(_, plan)| plan.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "delay",
            "eager",
            "large",
            "leave",
            "loss",
            "mixed",
            "peers-crash",
            "peers-idle",
            "peers-join",
            "peers",
            "quick",
            "reality-eager",
            "reality",
            "regions",
            "scale",
            "sleep",
            "spread"
        ]
    );
    for (path, plan) in &plans {
        assert_eq!(path.file_stem().and_then(|stem| stem.to_str()), Some(plan.name.as_str()), "{}", path.display());
        assert!(plan.question.ends_with('?'), "{}: its question is {:?}", path.display(), plan.question);
        // Those ask for other things: crashes, what joining and idleness cost.
        let enough =
            plan.events.count >= 20 || ["peers-crash", "peers-idle", "peers-join"].contains(&plan.name.as_str());
        assert!(enough, "{}: too few events for a band of 10 to 90 %", path.display());
    }
}

#[test]
fn the_plans_of_the_answer_have_the_events_that_their_tests_need() {
    let plans = plans_in("../experiments/plans/answer");
    assert!(plans.len() >= 20, "a plan without and one with loss for each strategy, and those in virtual time");
    for (path, plan) in &plans {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        assert_eq!(plan.name, format!("answer-{stem}"), "{}", path.display());
        assert!(plan.question.ends_with('?'), "{}: its question is {:?}", path.display(), plan.question);
        let simulated = stem.ends_with("-sim");
        assert!(plan.events.count >= if simulated { 20 } else { 100 }, "{}", path.display());
        assert_eq!(plan.settings.len(), if stem.ends_with("-loss") { 2 } else { 1 }, "{}", path.display());
    }
}

/// A sleeper is suspected a protocol period after it fell asleep at the earliest, and buried the shortest suspicion later (Lifeguard,
/// LHA-Suspicion): α·max(1, log10 N)·T′ or `suspicion_min`. Its refutation needs half a second to spread.
#[test]
fn no_sleeper_of_the_plans_can_be_declared_dead() {
    let mut sleeps = 0;
    for (path, plan) in own_plans() {
        let config = plan.protocol.config().expect("checked while it was read");
        let smallest = plan.cluster.sizes.iter().copied().min().expect("at least one size");
        let factor = f64::from(config.suspicion_multiplier) * f64::from(smallest).log10().max(1.0);
        let shortest = config.probe_interval.mul_f64(factor).max(config.suspicion_min);
        let spread = Duration::from_millis(500);
        for fault in plan.settings.iter().flat_map(|setting| &setting.faults) {
            if let Ok(Action::Sleep(sleep)) = fault.action() {
                sleeps += 1;
                let awake = sleep.duration.get() + spread;
                assert!(awake <= shortest + config.probe_interval, "{}: {fault} reaches {shortest:?}", path.display());
            }
        }
    }
    assert!(sleeps >= 2, "sleep and mixed have sleepers");
}

/// The example in the guide to experiments is a plan, and the errors that the guide quotes are the ones that come.
#[test]
fn the_guide_tells_the_truth() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/README.md");
    let guide = std::fs::read_to_string(guide).expect("the guide");
    let block = |kind: &str| {
        let (_, rest) = guide.split_once(&format!("```{kind}\n")).expect("the block begins");
        rest.split_once("```").expect("the block ends").0
    };
    let example = block("toml");
    let plan = Plan::parse("plan.toml", example).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((plan.runs().len(), plan.settings[1].faults.len()), (4, 2));
    let spoiled = [("probability = 0.1 }", "probability = 1.4 }"), ("random = 2", "random = 9")];
    let errors: Vec<String> = spoiled.iter().map(|(good, bad)| error(&example.replace(good, bad))).collect();
    let quoted: Vec<&str> = block("text").lines().collect();
    assert_eq!(errors, quoted);
}
