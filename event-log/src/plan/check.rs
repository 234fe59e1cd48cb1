//! The rules that one value alone cannot show.

use std::collections::BTreeSet;

use netem::spec::{Distribution, DropNext};

use super::{
    Action, Backend, Churn, Crash, EVENTS_MAX, Fault, Nodes, Plan, SIM_SIZE_MAX, SIZE_MAX, Setting, Start, node_name,
};

/// A broken rule and the value that breaks it.
#[derive(Debug, PartialEq)]
pub(super) struct Fail {
    /// Where the value stands.
    pub(super) path: Vec<Step>,
    /// What is wrong and what would be right.
    pub(super) message: String,
}

/// One step from a table or list of the file to a value in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// A key of a table.
    Key(String),
    /// An index of a list.
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

macro_rules! path {
    ($($step:expr),+) => { vec![$(Step::from($step)),+] };
}

fn fail<T>(path: Vec<Step>, message: impl Into<String>) -> Result<T, Fail> {
    Err(Fail { path, message: message.into() })
}

/// Checks the whole plan.
pub(super) fn check(plan: &Plan) -> Result<(), Fail> {
    if !is_name(&plan.name) {
        return fail(path!["name"], format!("name = {:?} must be 1 to 40 letters, digits, '-' or '_'", plan.name));
    }
    cluster(plan)?;
    events(plan)?;
    if let Some(network) = &plan.network {
        network.check().or_else(|(key, message)| fail(path!["network", key], format!("network: {message}")))?;
    }
    if plan.record.inputs_max_mib == 0 {
        return fail(path!["record", "inputs_max_mib"], "inputs_max_mib = 0 leaves no room for a recording");
    }
    if plan.settings.is_empty() {
        return fail(path!["setting"], "an empty list of settings runs nothing: leave it out");
    }
    let smallest = plan.cluster.sizes.iter().copied().min().unwrap_or(0);
    let mut names = BTreeSet::new();
    for (index, setting) in plan.settings.iter().enumerate() {
        let name = &setting.name;
        if !(1..=40).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            let message = format!("name = {name:?}: a setting's name has 1 to 40 printable characters");
            return fail(path!["setting", index, "name"], message);
        }
        if !names.insert(name) {
            let message = format!("name = {name:?} stands twice: settings need distinct names");
            return fail(path!["setting", index, "name"], message);
        }
        faults(index, setting, smallest)?;
        if let Some(network) = &setting.network {
            network.check().or_else(|(key, message)| {
                fail(path!["setting", index, "network", key], format!("setting {name:?}: network: {message}"))
            })?;
        }
    }
    Ok(())
}

/// Checks what `backend` cannot do: a plan never runs without what it asks for.
pub(super) fn check_backend(plan: &Plan, backend: Backend) -> Result<(), Fail> {
    if backend == Backend::Sim {
        return Ok(());
    }
    for (index, &size) in plan.cluster.sizes.iter().enumerate() {
        if size > SIZE_MAX {
            let message = format!("sizes: {size} nodes are for the simulator alone: {backend} has at most {SIZE_MAX}");
            return fail(path!["cluster", "sizes", index], message);
        }
    }
    if plan.cluster.start == Start::Preloaded {
        let message = format!("start = \"preloaded\" is for the simulator alone: the nodes of {backend} join");
        return fail(path!["cluster", "start"], message);
    }
    let network = format!(
        "network: only the simulator has a choice, the nodes of {backend} have the network that is there; a fault such as \
         delay = {{ mean = \"20ms\" }} at all nodes is for every backend"
    );
    if plan.network.is_some() {
        return fail(path!["network"], network);
    }
    for (index, setting) in plan.settings.iter().enumerate() {
        if setting.network.is_some() {
            return fail(path!["setting", index, "network"], network);
        }
        for (number, fault) in setting.faults.iter().enumerate() {
            let key = match fault.action() {
                Ok(Action::Churn(_)) => "churn",
                Ok(Action::Crash(Crash { restart: Some(_), .. })) => "crash",
                _ => continue,
            };
            let message =
                format!("setting {:?}: {fault}: {backend} cannot do this, only the simulator can", setting.name);
            return fail(path!["setting", index, "fault", number, key], message);
        }
    }
    Ok(())
}

fn cluster(plan: &Plan) -> Result<(), Fail> {
    let cluster = &plan.cluster;
    if cluster.sizes.is_empty() {
        return fail(path!["cluster", "sizes"], "sizes = [] names no cluster: give at least one number of nodes");
    }
    let mut distinct = BTreeSet::new();
    for (index, &size) in cluster.sizes.iter().enumerate() {
        let place = path!["cluster", "sizes", index];
        if !(2..=SIM_SIZE_MAX).contains(&size) {
            let message =
                format!("sizes: {size} is not a number of nodes (2 to {SIZE_MAX}, simulated to {SIM_SIZE_MAX})");
            return fail(place, message);
        }
        if !distinct.insert(size) {
            return fail(place, format!("sizes: {size} stands twice"));
        }
    }
    if cluster.convergence_limit.get().is_zero() {
        let message = "convergence_limit = 0s gives up before the cluster can form";
        return fail(path!["cluster", "convergence_limit"], message);
    }
    Ok(())
}

fn events(plan: &Plan) -> Result<(), Fail> {
    let events = &plan.events;
    if !(1..=EVENTS_MAX).contains(&events.count) {
        let message = format!("count = {} must be 1 to {EVENTS_MAX}", events.count);
        return fail(path!["events", "count"], message);
    }
    if events.limit.get().is_zero() {
        return fail(path!["events", "limit"], "limit = 0s gives up before an event can spread");
    }
    if events.quiet > events.limit {
        let message = format!("quiet = {} is longer than limit = {}", events.quiet, events.limit);
        return fail(path!["events", "quiet"], message);
    }
    if events.every.is_some_and(|every| every.get().is_zero()) {
        return fail(path!["events", "every"], "every = 0s starts all events at once");
    }
    let config = plan.protocol.config().or_else(|message| {
        // The message begins with the name of the value; one that is not in the file leads to the section.
        let key = message.split([' ', ':']).next().unwrap_or_default().to_owned();
        fail(path!["protocol", key.as_str()], format!("protocol: {message}"))
    })?;
    let largest = plan.cluster.sizes.iter().copied().max().unwrap_or(0);
    if config.members_max < largest as usize {
        let message = format!(
            "protocol: members_max = {} is less than the {largest} nodes of the largest cluster",
            config.members_max
        );
        return fail(path!["protocol", "members_max"], message);
    }
    let payload_max = gossip_core::event_payload_max::<std::net::SocketAddr>(&config);
    if events.payload_bytes as usize > payload_max {
        let message =
            format!("payload_bytes = {} is more than one datagram carries ({payload_max})", events.payload_bytes);
        return fail(path!["events", "payload_bytes"], message);
    }
    Ok(())
}

fn faults(index: usize, setting: &Setting, smallest: u32) -> Result<(), Fail> {
    let mut gone = Gone::default();
    for (number, fault) in setting.faults.iter().enumerate() {
        let place = |key: &str| path!["setting", index, "fault", number, key];
        let action =
            fault.action().or_else(|message| fail(place(""), format!("setting {:?}: {message}", setting.name)))?;
        strikes(fault, action, smallest, &mut gone)
            .or_else(|(key, message)| fail(place(key), format!("setting {:?}: {fault}: {message}", setting.name)))?;
    }
    Ok(())
}

/// The nodes that the faults of a setting make unreachable, for a while or for good.
#[derive(Default)]
struct Gone<'a> {
    count: u32,
    named: BTreeSet<&'a str>,
}

/// Checks one fault; `gone` is about it and the earlier ones of the setting. An error is a key of the fault and a
/// message.
fn strikes<'a>(
    fault: &'a Fault,
    action: Action,
    smallest: u32,
    gone: &mut Gone<'a>,
) -> Result<(), (&'static str, String)> {
    let exclusive = matches!(action, Action::Sleep(_) | Action::Partition(_) | Action::Leave | Action::Crash(_));
    let nodes = |message: String| Err(("nodes", message));
    match &fault.nodes {
        Nodes::Random(0) => return nodes("nodes = { random = 0 } strikes nobody".into()),
        Nodes::Random(count) if exclusive => gone.count = gone.count.saturating_add(*count),
        Nodes::Random(count) if *count > smallest => {
            return nodes(format!("{count} nodes do not fit into the smallest cluster of {smallest}"));
        }
        Nodes::All if exclusive => return nodes("this would strike all nodes: give nodes = { random = n }".into()),
        Nodes::Named(names) => {
            named(names, smallest).or_else(nodes)?;
            if exclusive {
                if let Some(name) = names.iter().find(|name| !gone.named.insert(name.as_str())) {
                    return nodes(format!(
                        "{name:?} is struck by another fault of the setting already: one sleep, partition, leave or crash a node"
                    ));
                }
                gone.count = gone.count.saturating_add(u32::try_from(names.len()).unwrap_or(u32::MAX));
            }
        }
        Nodes::Random(_) | Nodes::All => {}
    }
    if matches!(action, Action::Churn(_)) && fault.nodes != Nodes::All {
        return nodes("who goes is drawn anew each time: leave nodes away".into());
    }
    if exclusive && gone.count.saturating_add(2) > smallest {
        let Gone { count, .. } = gone;
        return nodes(format!(
            "with the faults before it this strikes {count} of the smallest cluster's {smallest} nodes: two must stay"
        ));
    }
    match action {
        Action::Delay(delay) if delay.distribution == Distribution::Fixed && !delay.jitter.get().is_zero() => {
            Err(("delay", "jitter needs distribution = \"uniform\" or \"normal\"".into()))
        }
        Action::Delay(delay) if delay.distribution == Distribution::Uniform && delay.jitter > delay.mean => {
            Err(("delay", "a uniform jitter above the mean would need negative delays".into()))
        }
        Action::DropNext(DropNext { count: 0, .. }) => Err(("drop_next", "count = 0 does nothing".into())),
        Action::Sleep(sleep) if sleep.duration.get().is_zero() => {
            Err(("sleep", "duration = \"0s\" does nothing".into()))
        }
        Action::Partition(partition) if partition.duration.get().is_zero() => {
            Err(("partition", "duration = \"0s\" does nothing".into()))
        }
        Action::Crash(Crash { restart: None, snapshot: true }) => {
            Err(("crash", "snapshot = true is for a node that comes back: give restart = \"5s\" as well".into()))
        }
        Action::Churn(churn) => check_churn(&churn).map_err(|message| ("churn", message)),
        Action::Loss(_)
        | Action::Delay(_)
        | Action::DropNext(_)
        | Action::Sleep(_)
        | Action::Partition(_)
        | Action::Leave
        | Action::Crash(_) => Ok(()),
    }
}

fn check_churn(churn: &Churn) -> Result<(), String> {
    for (name, rate) in [("joins", churn.joins), ("leaves", churn.leaves), ("crashes", churn.crashes)] {
        if !(0.0..=10_000.0).contains(&rate) {
            return Err(format!("{name} = {rate} is not a rate per second (0 to 10000)"));
        }
    }
    if churn.joins + churn.leaves + churn.crashes == 0.0 || churn.duration.get().is_zero() {
        return Err("this does nothing: give joins, leaves or crashes per second, and a duration".to_owned());
    }
    Ok(())
}

fn named(names: &[String], smallest: u32) -> Result<(), String> {
    if names.is_empty() {
        return Err("nodes = { named = [] } strikes nobody".into());
    }
    let mut distinct = BTreeSet::new();
    for name in names {
        let number = name.strip_prefix('n').and_then(|digits| digits.parse::<u32>().ok());
        let index = number.and_then(|number| number.checked_sub(1)).filter(|index| *index < smallest);
        if index.is_none_or(|index| &node_name(index) != name) {
            let (first, last) = (node_name(0), node_name(smallest - 1));
            return Err(format!("{name:?} is not a node of every cluster ({first} to {last})"));
        }
        if !distinct.insert(name) {
            return Err(format!("{name:?} is named twice"));
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    (1..=40).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
