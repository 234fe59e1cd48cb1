//! What the report says, in the order in which it says it: headline numbers, the law, the curves, then the proofs.

use std::collections::BTreeSet;

use event_log::plan::{Backend, Start};

use crate::load::{Experiment, Outcome, Run};
use crate::metrics::RunMetrics;
use crate::metrics::paths::VIAS;
use crate::plot::spread::{Overlay, RunSpread};
use crate::plot::style::{qualitative, sequential};
use crate::plot::{PlotError, hops};
use crate::report::format::{NEVER, NONE, bytes, count, ms, or_none, percent, significant};
use crate::report::{Block, Report, Table, faults, growth};
use crate::study::Study;

/// Builds the report of `study`.
///
/// # Errors
/// When a figure cannot be drawn.
pub fn report(study: &Study) -> Result<Report, PlotError> {
    let plan = &study.experiment.manifest.plan;
    let mut blocks = Vec::new();
    if !plan.question.is_empty() {
        blocks.push(Block::Text(format!("Question: {}", plan.question)));
    }
    blocks.push(Block::Text(origin(&study.experiment)));
    blocks.extend(warnings(study).into_iter().map(Block::Warning));
    blocks.push(Block::Heading(2, "Headline numbers".to_owned()));
    blocks.push(Block::List(summary(study)));
    blocks.push(Block::Table(headline(study)));
    blocks.push(Block::Text(
        "Times are medians over the events of a run, milliseconds from the event's start at its origin until that share of the nodes knew \
         (nodes that were in the cluster and awake throughout). Datagrams and bytes are what a node gave to its kernel, everything \
         included: failure detection and idle rounds as well as events. \"Delivered\" counts sleepers too, who may catch up until the end."
            .to_owned(),
    ));
    growth::growth(study, &mut blocks)?;
    spread(study, &mut blocks)?;
    deliveries(study, &mut blocks);
    faults::faults(study, &mut blocks);
    faults::detection(study, &mut blocks);
    cost(study, &mut blocks);
    paths(study, &mut blocks)?;
    method(study, &mut blocks);
    manifest(&study.experiment, &mut blocks);
    Ok(Report { title: format!("{}: how events spread by gossip", plan.name), blocks })
}

/// How a run is called in tables.
#[must_use]
pub fn run_name(run: &Run) -> String {
    format!("N = {} · {}", run.key.size, run.key.setting)
}

/// The headline table: one row per run.
#[must_use]
pub fn headline(study: &Study) -> Table {
    let mut table = Table::new(&[
        "N",
        "setting",
        "events",
        "delivered",
        "exactly once",
        "t50 ms",
        "t90 ms",
        "t99 ms",
        "t100 ms",
        "datagrams per node and s",
        "bytes per node and s",
        "datagrams per node and event",
        "bytes per node and event",
        "crashes found",
        "false deaths",
    ]);
    for (run, metrics) in study.experiment.runs.iter().zip(&study.metrics) {
        let delivery = &metrics.delivery;
        let time = |share: usize| or_none(metrics.times.summary.get(share), |summary| ms(summary.median));
        let traffic = metrics.traffic.as_ref();
        let detection = &metrics.detection;
        let found = format!("{} of {}", detection.crashes_found(), detection.crashes.len());
        table.row(vec![
            run.key.size.to_string(),
            run.key.setting.clone(),
            delivery.events.to_string(),
            percent(delivery.delivered(), delivery.expected()),
            if delivery.exactly_once() { "yes" } else { "no" }.to_owned(),
            time(0),
            time(1),
            time(2),
            time(3),
            or_none(traffic, |t| significant(t.datagrams_per_second)),
            or_none(traffic, |t| significant(t.bytes_per_second)),
            or_none(traffic.and_then(|t| t.datagrams_per_event), significant),
            or_none(traffic.and_then(|t| t.bytes_per_event), significant),
            if detection.crashes.is_empty() { NONE.to_owned() } else { found },
            detection.false_deaths_awake().to_string(),
        ]);
    }
    table
}

fn origin(experiment: &Experiment) -> String {
    let manifest = &experiment.manifest;
    format!(
        "Result {} of plan {}, run on backend {}, started {}, seed {}, commit {}{}. All numbers are computed from the log alone.",
        manifest.name,
        manifest.plan.name,
        manifest.backend,
        manifest.started,
        manifest.seed,
        manifest.commit,
        if manifest.dirty { " with local changes" } else { "" }
    )
}

fn warnings(study: &Study) -> Vec<String> {
    let experiment = &study.experiment;
    let mut warnings = Vec::new();
    if experiment.truncated {
        warnings.push(
            "The last line of the log is cut off: its writer was killed. Everything above it is analysed; what came after is lost.".to_owned(),
        );
    }
    let planned = experiment.manifest.plan.runs().len();
    if experiment.runs.len() < planned {
        warnings.push(format!("The log tells of {} runs, the plan has {planned}.", experiment.runs.len()));
    }
    for (run, metrics) in experiment.runs.iter().zip(&study.metrics) {
        let name = run_name(run);
        if !run.begun {
            warnings.push(format!("Run {name} never began: its cluster was not complete when the log ends."));
        } else {
            match run.outcome {
                Outcome::Complete => {}
                Outcome::BrokenOff => {
                    warnings.push(format!("Run {name} was broken off; what it recorded is analysed."));
                }
                Outcome::Unfinished => {
                    warnings.push(format!("Run {name} has no end in the log; what it recorded is analysed."));
                }
            }
        }
        let delivery = &metrics.delivery;
        if run.begun && delivery.events < delivery.planned {
            warnings.push(format!(
                "Run {name} has {} events in the log, the plan asks for {}.",
                delivery.events, delivery.planned
            ));
        }
        if delivery.orphans > 0 {
            warnings.push(format!(
                "Run {name}: {} deliveries are of events whose start is not in the log (the origin's records were lost). They are left out.",
                delivery.orphans
            ));
        }
        if delivery.disagreements > 0 {
            warnings.push(format!(
                "Run {name}: for {} events the master waited for another number of nodes than this log accounts for.",
                delivery.disagreements
            ));
        }
        for fault in metrics.faults.without_evidence() {
            warnings.push(format!(
                "Run {name}: nothing shows that the fault \"{}\" happened ({}).",
                fault.text, fault.evidence
            ));
        }
        if metrics.times.before_start > 0 {
            warnings.push(format!(
                "Run {name}: {} stamps lie before their event's start, by the error of the clocks. They are kept as they are.",
                metrics.times.before_start
            ));
        }
        warnings.extend(run.warnings.iter().map(|text| format!("Run {name}, from the master: {text}")));
    }
    warnings.extend(experiment.notes.iter().cloned());
    warnings
}

fn summary(study: &Study) -> Vec<String> {
    let metrics = &study.metrics;
    let with_events: Vec<&RunMetrics> = metrics.iter().filter(|metrics| metrics.delivery.events > 0).collect();
    let sum = |of: fn(&RunMetrics) -> u64| metrics.iter().map(of).sum::<u64>();
    let once = with_events.iter().filter(|metrics| metrics.delivery.exactly_once()).count();
    let mut lines = vec![format!(
        "Exactly once: in {once} of {} runs with events every event reached every node that was expected exactly once. {} of {} deliveries \
         were made, {} were missed, {} were made twice.",
        with_events.len(),
        count(sum(|m| m.delivery.delivered())),
        count(sum(|m| m.delivery.expected())),
        count(sum(|m| m.delivery.missed())),
        count(sum(|m| m.delivery.duplicates))
    )];
    let crashes: usize = metrics.iter().map(|m| m.detection.crashes.len()).sum();
    let found: usize = metrics.iter().map(|m| m.detection.crashes_found()).sum();
    let awake: usize = metrics.iter().map(|m| m.detection.false_deaths_awake()).sum();
    let asleep: usize = metrics.iter().map(|m| m.detection.false_deaths.len()).sum::<usize>() - awake;
    let killed = match crashes {
        0 => "no node was killed".to_owned(),
        _ => format!("{found} of {crashes} crashes were found by every survivor"),
    };
    lines.push(format!(
        "Failure detection: {killed}; living nodes were declared dead {awake} times while awake, {asleep} times while asleep."
    ));
    for setting in &study.settings {
        if let (Some(first), Some(last)) = (setting.runs.first(), setting.runs.last()) {
            let time = |place: &usize, share: usize| {
                or_none(metrics[*place].times.summary.get(share), |s| {
                    if s.median.is_finite() { format!("{} ms", ms(s.median)) } else { NEVER.to_owned() }
                })
            };
            let size = |place: &usize| study.experiment.runs[*place].key.size;
            let mut line = format!(
                "Setting \"{}\": median time to reach all expected nodes {} at N = {}",
                setting.name,
                time(first, 3),
                size(first)
            );
            if first != last {
                line.push_str(&format!(", {} at N = {}", time(last, 3), size(last)));
            }
            line.push_str(". ");
            line.push_str(&growth::law(setting));
            line.push_str(&growth::agreement(setting));
            lines.push(line);
        }
    }
    lines
}

fn spread(study: &Study, blocks: &mut Vec<Block>) -> Result<(), PlotError> {
    if study.settings.is_empty() {
        return Ok(());
    }
    blocks.push(Block::Heading(2, "Nodes informed versus time".to_owned()));
    for setting in &study.settings {
        blocks.push(Block::Heading(3, format!("Spread, setting \"{}\"", setting.name)));
        let series = setting.runs.iter().enumerate().map(|(rank, place)| {
            let name = format!("N = {}", study.experiment.runs[*place].key.size);
            (name, sequential(rank, setting.runs.len()), study.metrics[*place].curves.as_slice())
        });
        let overlay = Overlay {
            name: format!("spread-{}", setting.slug),
            common: format!("setting: {}", setting.name),
            each: "size",
            series: series.collect(),
        };
        blocks.push(Block::Figure(overlay.figure()?));
        for place in &setting.runs {
            let run = &study.experiment.runs[*place];
            let name = format!("run-{:02}-n{}-{}", run.index, run.key.size, setting.slug);
            let curves = &study.metrics[*place].curves;
            let figure = RunSpread { name: &name, size: run.key.size, setting: &setting.name, curves }.figure()?;
            blocks.push(Block::Figure(figure));
        }
    }
    if study.settings.len() > 1 {
        blocks.push(Block::Heading(3, "Spread, settings side by side".to_owned()));
        side_by_side(study, blocks)?;
    }
    Ok(())
}

/// One figure per size with all settings.
fn side_by_side(study: &Study, blocks: &mut Vec<Block>) -> Result<(), PlotError> {
    let size = |place: &usize| study.experiment.runs[*place].key.size;
    let sizes: BTreeSet<u32> = study.settings.iter().flat_map(|setting| setting.runs.iter().map(size)).collect();
    for nodes in sizes {
        // A setting keeps its colour in all figures, also where another has no run.
        let series = study.settings.iter().enumerate().filter_map(|(rank, setting)| {
            let place = setting.runs.iter().find(|place| size(place) == nodes)?;
            Some((setting.name.clone(), qualitative(rank), study.metrics[*place].curves.as_slice()))
        });
        let overlay = Overlay {
            name: format!("settings-n{nodes}"),
            common: format!("N = {nodes}"),
            each: "setting",
            series: series.collect(),
        };
        blocks.push(Block::Figure(overlay.figure()?));
    }
    Ok(())
}

fn deliveries(study: &Study, blocks: &mut Vec<Block>) {
    blocks.push(Block::Heading(2, "Exactly once".to_owned()));
    blocks.push(Block::Text(
        "A delivery is due to every node that was in the cluster from an event's start until the master stopped to wait for it; nodes that \
         crashed or left in between are not waited for. Sleepers are counted apart: they have until the end of the log. A duplicate is a second \
         delivery within one life of a node's process."
            .to_owned(),
    ));
    let mut table = Table::new(&[
        "run",
        "events",
        "due",
        "delivered",
        "missed",
        "due to sleepers",
        "delivered to sleepers",
        "duplicates",
        "after the wait",
        "to nodes that joined later",
        "events given up",
    ]);
    let mut misses = Vec::new();
    let mut sleepers = Table::new(&[
        "run",
        "sleeper",
        "asked ms",
        "slept ms",
        "missed asleep",
        "caught up",
        "all after ms",
        "learnt asleep",
    ]);
    for (run, metrics) in study.experiment.runs.iter().zip(&study.metrics) {
        let delivery = &metrics.delivery;
        table.row(vec![
            run_name(run),
            delivery.events.to_string(),
            count(delivery.expected_awake),
            count(delivery.delivered_awake),
            count(delivery.missed()),
            count(delivery.expected_asleep),
            count(delivery.delivered_asleep),
            count(delivery.duplicates),
            count(delivery.late),
            count(delivery.joined_later),
            delivery.unsettled.len().to_string(),
        ]);
        for (event, node) in &delivery.missing {
            misses.push(format!("Run {}, event {event}: {node} never learnt of it.", run_name(run)));
        }
        for sleeper in &delivery.sleepers {
            sleepers.row(vec![
                run_name(run),
                sleeper.name.clone(),
                significant(sleeper.asked_ms),
                or_none(sleeper.slept_ms, significant),
                sleeper.missed.to_string(),
                sleeper.caught_up.to_string(),
                or_none(sleeper.catch_up_ms, significant),
                sleeper.learnt_asleep.to_string(),
            ]);
        }
    }
    blocks.push(Block::Table(table));
    if !misses.is_empty() {
        blocks.push(Block::Text("Missed deliveries:".to_owned()));
        blocks.push(Block::List(misses));
    }
    if !sleepers.rows.is_empty() {
        blocks.push(Block::Heading(3, "Late learners".to_owned()));
        blocks.push(Block::Text(
            "Each sleeper: the events that it did not know when it woke, how many of them it learnt, and how long after waking it knew them all."
                .to_owned(),
        ));
        blocks.push(Block::Table(sleepers));
    }
}

fn cost(study: &Study, blocks: &mut Vec<Block>) {
    blocks.push(Block::Heading(2, "Cost per node".to_owned()));
    let mut table = Table::new(&[
        "run",
        "nodes",
        "over s",
        "datagrams/s",
        "busiest node/s",
        "bytes/s",
        "bytes/datagram",
        "processor %",
        "memory, median",
        "memory, most",
        "receive buffer overflows",
    ]);
    for (run, metrics) in study.experiment.runs.iter().zip(&study.metrics) {
        let Some(traffic) = &metrics.traffic else { continue };
        table.row(vec![
            run_name(run),
            traffic.nodes.to_string(),
            significant(traffic.seconds),
            significant(traffic.datagrams_per_second),
            significant(traffic.datagrams_per_second_max),
            significant(traffic.bytes_per_second),
            significant(traffic.bytes_per_datagram),
            or_none(traffic.cpu_share, |share| significant(share * 100.0)),
            or_none(traffic.resident_median, bytes),
            or_none(traffic.resident_max, bytes),
            count(traffic.overflows),
        ]);
    }
    if table.rows.is_empty() {
        blocks.push(Block::Text("The log holds no traffic counts.".to_owned()));
    } else {
        blocks.push(Block::Text(
            "Sent datagrams and their UDP payload, processor time (user and system) and resident memory of a node's process, between the first \
             and the last count of a run; means over the nodes unless said otherwise."
                .to_owned(),
        ));
        if study.experiment.manifest.backend == Backend::Sim {
            blocks.push(Block::Text(
                "A simulated node has no process of its own, so that its processor time and its memory are not known; nor is there a kernel: \
                 datagrams and bytes are what it gave to the simulated network."
                    .to_owned(),
            ));
        }
        blocks.push(Block::Table(table));
    }
}

fn paths(study: &Study, blocks: &mut Vec<Block>) -> Result<(), PlotError> {
    if study.settings.is_empty() {
        return Ok(());
    }
    blocks.push(Block::Heading(2, "How events travelled".to_owned()));
    let mut head = vec!["run", "first deliveries"];
    head.extend(VIAS.iter().map(|(_, name)| *name));
    head.extend(["hops, mean", "hops, most"]);
    let mut table = Table::new(&head);
    for (run, metrics) in study.experiment.runs.iter().zip(&study.metrics) {
        let paths = &metrics.paths;
        let mut row = vec![run_name(run), count(paths.total())];
        row.extend(VIAS.iter().map(|(via, _)| percent(paths.via.get(via).copied().unwrap_or(0), paths.total())));
        row.push(or_none(paths.hops_mean(), significant));
        row.push(or_none(paths.hops_max(), |hops| hops.to_string()));
        table.row(row);
    }
    blocks.push(Block::Table(table));
    for setting in &study.settings {
        let runs: Vec<_> = setting
            .runs
            .iter()
            .map(|place| (study.experiment.runs[*place].key.size, &study.metrics[*place].paths))
            .filter(|(_, paths)| paths.total() > 0)
            .collect();
        if !runs.is_empty() {
            let name = format!("hops-{}", setting.slug);
            blocks.push(Block::Figure(hops::figure(&name, &setting.name, &runs)?));
        }
    }
    Ok(())
}

fn method(study: &Study, blocks: &mut Vec<Block>) {
    let experiment = &study.experiment;
    blocks.push(Block::Heading(2, "Clock and method".to_owned()));
    let clocks = match experiment.foreign_clocks {
        0 => "all nodes read one clock, the master's".to_owned(),
        nodes => format!(
            "{nodes} nodes read other clocks than the master; their stamps are corrected by the latest offset measured over the control connection"
        ),
    };
    blocks.push(Block::Text(format!(
        "T0 is stamped by the node that starts an event, an arrival by the node that learns of it when the datagram has been read and has passed \
         the fault models; nothing is stamped at the master. In this log {clocks}. Clock error bound: two stamps of different nodes are off by at \
         most {} ms against each other{}.",
        significant(experiment.clock_error_ns as f64 / 1e6),
        if experiment.clock_error_ns == 0 { " (one shared clock)" } else { "" }
    )));
    blocks.push(Block::Text(format!(
        "The time to a share q is the moment at which node number ⌈q·n⌉ of the n expected nodes learns, the origin counting as the first at \
         time 0. An event that never got there ranks behind all others (censored): a median is given as long as more than half of the events got \
         there, and is \"{NEVER}\" otherwise; nothing is dropped. Intervals of medians are 95 % percentile bootstrap intervals ({} resamples of \
         the events). Fits are weighted by the inverse variance of each median; the laws have two parameters each and the variances are known, so \
         AIC is χ² + 4. Everything random is seeded by the log's seed: the same log gives the same report.",
        crate::metrics::times::REPLICATES
    )));
    let joins: Vec<String> = experiment
        .runs
        .iter()
        .flat_map(|run| run.converged.iter().map(move |converged| (run, converged)))
        .map(|(run, converged)| {
            format!(
                "Run {}: {} new nodes, and all {} saw all after {} s (polled: an upper bound).",
                run_name(run),
                converged.joined,
                converged.size,
                significant(converged.took_ns as f64 / 1e9)
            )
        })
        .collect();
    if !joins.is_empty() {
        blocks.push(Block::Text("Joining:".to_owned()));
        blocks.push(Block::List(joins));
    }
}

fn manifest(experiment: &Experiment, blocks: &mut Vec<Block>) {
    let manifest = &experiment.manifest;
    blocks.push(Block::Heading(2, "Manifest".to_owned()));
    let mut table = Table::new(&["what", "value"]);
    let mut row = |what: &str, value: String| table.row(vec![what.to_owned(), value]);
    row("result", manifest.name.clone());
    row("plan", manifest.plan.name.clone());
    row("plan SHA-256", manifest.plan_sha256.clone());
    row("seed", manifest.seed.to_string());
    row("backend", manifest.backend.to_string());
    row("version", manifest.version.clone());
    row("commit", format!("{}{}", manifest.commit, if manifest.dirty { " with local changes" } else { "" }));
    row("started", manifest.started.clone());
    row("processor", format!("{}, {} processors", manifest.machine.cpu, manifest.machine.cores));
    row("memory", bytes(manifest.machine.memory_bytes as f64));
    row("kernel", manifest.machine.kernel.clone());
    row("load at the start", manifest.machine.load.clone());
    row("clock error bound", format!("{} ns", manifest.clock_error_ns));
    row("log schema", manifest.schema.to_string());
    if let Some(hash) = &manifest.trace_hash {
        row("records SHA-256", hash.clone());
    }
    if let Some(simulation) = manifest.simulation {
        let seconds = |ns: u64| significant(ns as f64 / 1e9);
        row(
            "simulation",
            format!(
                "{} s of virtual time in {} s on {} threads, {} steps, {} records",
                seconds(simulation.virtual_ns),
                seconds(simulation.wall_ns),
                simulation.threads,
                count(simulation.steps),
                count(simulation.records)
            ),
        );
    }
    if let Some(network) = &manifest.plan.network {
        row("network", network.to_string());
    }
    if manifest.plan.cluster.start == Start::Preloaded {
        row("start", "the nodes know each other from birth".to_owned());
    }
    let sizes: Vec<String> = manifest.plan.cluster.sizes.iter().map(ToString::to_string).collect();
    row("sizes", sizes.join(", "));
    let events = &manifest.plan.events;
    row(
        "events",
        format!("{} per run, {} bytes each, waited for {}", events.count, events.payload_bytes, events.limit),
    );
    if let Ok(config) = manifest.plan.protocol.config() {
        row("strategy", format!("{:?}, idle calls {}", config.strategy, if config.idle_calls { "on" } else { "off" }));
        row("gossip interval", format!("{} ms", config.gossip_interval.as_millis()));
        row(
            "probing",
            format!("every {} ms, timeout {} ms", config.probe_interval.as_millis(), config.probe_timeout.as_millis()),
        );
    }
    for setting in &manifest.plan.settings {
        let faults: Vec<String> = setting.faults.iter().map(ToString::to_string).collect();
        let mut text = if faults.is_empty() { "no faults".to_owned() } else { faults.join("; ") };
        if let Some(network) = &setting.network {
            text.push_str(&format!("; network: {network}"));
        }
        row("setting", format!("{}: {text}", setting.name));
    }
    blocks.push(Block::Table(table));
}
