//! The report's chapters on faults and on failure detection.

use crate::load::Run;
use crate::metrics::RunMetrics;
use crate::report::format::{NONE, count, interval, or_none, percent, significant};
use crate::report::sections::run_name;
use crate::report::{Block, Table};
use crate::study::Study;

/// False declarations of death that are listed one by one.
const LISTED: usize = 30;

fn runs(study: &Study) -> impl Iterator<Item = (&Run, &RunMetrics)> {
    study.experiment.runs.iter().zip(&study.metrics)
}

/// What each fault did, against what was asked.
pub fn faults(study: &Study, blocks: &mut Vec<Block>) {
    blocks.push(Block::Heading(2, "Faults asked and realised".to_owned()));
    let mut table = Table::new(&["run", "fault", "ordered to", "took effect at", "evidence", "happened"]);
    for (run, metrics) in runs(study) {
        for fault in &metrics.faults.faults {
            table.row(vec![
                run_name(run),
                fault.text.clone(),
                fault.ordered.to_string(),
                or_none(fault.applied, |applied| applied.to_string()),
                fault.evidence.clone(),
                if fault.happened { "yes" } else { "NO" }.to_owned(),
            ]);
        }
    }
    if table.rows.is_empty() {
        blocks.push(Block::Text("The plan asks for no faults.".to_owned()));
    } else {
        blocks.push(Block::Text(
            "What the plan asked for and what shows that it happened. Counts are those of the nodes' fault shims over the whole run; faults of one \
             kind share them. A node cannot report its own goodbye or crash as taking effect."
                .to_owned(),
        ));
        blocks.push(Block::Table(table));
    }
    losses(study, blocks);
    delays(study, blocks);
    drops(study, blocks);
}

fn losses(study: &Study, blocks: &mut Vec<Block>) {
    let mut table = Table::new(&["run", "tried", "expected lost", "lost", "asked", "realised", "95 % interval", "z"]);
    for (run, metrics) in runs(study) {
        let Some(loss) = metrics.faults.loss else { continue };
        let bound = |share: f64| share * 100.0;
        table.row(vec![
            run_name(run),
            count(loss.trials),
            format!("{:.1}", loss.expected),
            count(loss.dropped),
            format!("{:.2} %", loss.expected / loss.trials as f64 * 100.0),
            percent(loss.dropped, loss.trials),
            format!("{:.2} to {:.2} %", bound(loss.interval.low), bound(loss.interval.high)),
            or_none(loss.z, |z| format!("{z:+.2}").replace('-', "−")),
        ]);
    }
    if !table.rows.is_empty() {
        blocks.push(Block::Heading(3, "Loss".to_owned()));
        blocks.push(Block::Text(
            "z is the number of standard deviations between lost and expected; beyond ±3 the shim would not do what was asked.".to_owned(),
        ));
        blocks.push(Block::Table(table));
    }
}

fn delays(study: &Study, blocks: &mut Vec<Block>) {
    let mut table = Table::new(&[
        "run",
        "delayed",
        "mean asked ms",
        "mean realised ms",
        "95 % interval",
        "sd asked ms",
        "sd realised ms",
        "timer late ms",
    ]);
    for (run, metrics) in runs(study) {
        let Some(delay) = metrics.faults.delay else { continue };
        table.row(vec![
            run_name(run),
            count(delay.delayed),
            or_none(delay.asked_ms, |(mean, _)| significant(mean)),
            significant(delay.mean_ms),
            interval(delay.interval),
            or_none(delay.asked_ms, |(_, sd)| significant(sd)),
            significant(delay.sd_ms),
            significant(delay.late_ms),
        ]);
    }
    if !table.rows.is_empty() {
        blocks.push(Block::Heading(3, "Delay".to_owned()));
        blocks.push(Block::Text(
            "Realised is what the shim drew; the lateness of the timer comes on top of it. With several delays in one setting nothing single was asked."
                .to_owned(),
        ));
        blocks.push(Block::Table(table));
    }
}

fn drops(study: &Study, blocks: &mut Vec<Block>) {
    let mut table = Table::new(&[
        "run",
        "judged out",
        "judged in",
        "lost",
        "next dropped",
        "dropped asleep",
        "dropped at a partition",
        "queue full",
        "delayed",
    ]);
    for (run, metrics) in runs(study).filter(|(_, metrics)| metrics.faults.nodes > 0) {
        let counts = &metrics.faults.counts;
        table.row(vec![
            run_name(run),
            count(counts.judged_out),
            count(counts.judged_in),
            count(counts.loss_dropped),
            count(counts.next_dropped),
            count(counts.sleep_dropped),
            count(counts.partition_dropped),
            count(counts.queue_dropped),
            count(counts.delayed),
        ]);
    }
    if table.rows.is_empty() {
        blocks.push(Block::Text("The log holds no counts of the fault shim.".to_owned()));
    } else {
        blocks.push(Block::Heading(3, "All counts of the fault shim".to_owned()));
        blocks.push(Block::Table(table));
    }
}

/// Crashes, goodbyes, suspicions.
pub fn detection(study: &Study, blocks: &mut Vec<Block>) {
    blocks.push(Block::Heading(2, "Failure detection".to_owned()));
    let mut crashes = Table::new(&[
        "run",
        "killed",
        "survivors",
        "declared it dead",
        "first suspicion ms",
        "first death ms",
        "last death ms",
    ]);
    let mut goodbyes =
        Table::new(&["run", "left", "survivors", "heard the goodbye", "first ms", "last ms", "declared it dead"]);
    let mut sums = Table::new(&[
        "run",
        "suspicions",
        "of them about the living",
        "refuted",
        "false deaths, awake",
        "false deaths, asleep",
        "news of earlier nodes",
        "sleepers suspected",
    ]);
    let mut list = Vec::new();
    let mut hidden = 0;
    for (run, metrics) in runs(study) {
        let detection = &metrics.detection;
        for crash in &detection.crashes {
            crashes.row(vec![
                run_name(run),
                crash.name.clone(),
                crash.survivors.to_string(),
                crash.declared_dead.to_string(),
                or_none(crash.first_suspect_ms, significant),
                or_none(crash.first_ms, significant),
                or_none(crash.last_ms, significant),
            ]);
        }
        for goodbye in &detection.goodbyes {
            goodbyes.row(vec![
                run_name(run),
                goodbye.name.clone(),
                goodbye.survivors.to_string(),
                goodbye.heard_left.to_string(),
                or_none(goodbye.first_ms, significant),
                or_none(goodbye.last_ms, significant),
                goodbye.declared_dead.to_string(),
            ]);
        }
        let awake = detection.false_deaths_awake();
        let (suspected, slept) = detection.sleepers_suspected;
        sums.row(vec![
            run_name(run),
            count(detection.suspicions),
            count(detection.false_suspicions),
            count(detection.refutations),
            awake.to_string(),
            (detection.false_deaths.len() - awake).to_string(),
            count(detection.old_news),
            if slept == 0 { NONE.to_owned() } else { format!("{suspected} of {slept}") },
        ]);
        for death in &detection.false_deaths {
            if list.len() < LISTED {
                let state = if death.asleep { "asleep" } else { "awake" };
                let side = if death.at_ms < 0 { "before" } else { "after" };
                list.push(format!(
                    "Run {}, {} ms {side} its start: {} declared {} dead, which lived and was {state}.",
                    run_name(run),
                    death.at_ms.abs(),
                    death.observer,
                    death.member
                ));
            } else {
                hidden += 1;
            }
        }
    }
    if crashes.rows.is_empty() {
        blocks.push(Block::Text("No node was killed.".to_owned()));
    } else {
        blocks.push(Block::Text(
            "Crashes: time from the kill to the first and to the last survivor that declared the node dead. Survivors are the nodes that stayed until \
             the end of the run."
                .to_owned(),
        ));
        blocks.push(Block::Table(crashes));
    }
    if !goodbyes.rows.is_empty() {
        blocks.push(Block::Text(
            "Goodbyes: time from the order to leave to the survivors that took the node as having left.".to_owned(),
        ));
        blocks.push(Block::Table(goodbyes));
    }
    blocks.push(Block::Text("Suspicions and false alarms:".to_owned()));
    blocks.push(Block::Table(sums));
    if !list.is_empty() {
        blocks.push(Block::List(list));
    }
    if hidden > 0 {
        blocks.push(Block::Text(format!("{hidden} more false declarations of death are not listed.")));
    }
}
