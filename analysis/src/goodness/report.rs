//! The report on goodness of fit.

use std::path::{Path, PathBuf};

use super::figures::{load, times, uninformed};
use super::{Cell, Goodness, Quantity, clusters, swapped};
use crate::metrics::times::Summary;
use crate::plot::PlotError;
use crate::report::format::{bytes, interval, ms, or_none, significant};
use crate::report::{Block, Report, ReportError, Table, write_pages};

/// The level of the tests.
const LEVEL: f64 = 0.05;

/// Writes `goodness.html`, `goodness.md` and the plots into `folder`; the path of the page.
///
/// # Errors
/// [`ReportError`].
pub fn write(goodness: &Goodness, folder: &Path) -> Result<PathBuf, ReportError> {
    write_pages(&report(goodness)?, folder, "goodness")
}

/// The report.
///
/// # Errors
/// [`PlotError`].
pub fn report(goodness: &Goodness) -> Result<Report, PlotError> {
    let mut blocks = vec![Block::Text(verdict(goodness))];
    blocks.extend(incomplete(goodness).map(Block::Warning));
    for setting in goodness.settings() {
        let cells = goodness.under(setting);
        blocks.push(Block::Heading(2, format!("Setting: {setting}")));
        blocks.push(Block::Figure(times(setting, &cells)?));
        blocks.push(Block::Figure(uninformed(setting, &cells)?));
        blocks.push(Block::Figure(load(setting, &cells)?));
        blocks.push(Block::Text(order(&cells)));
        blocks.push(Block::Table(table(&cells)));
        blocks.push(Block::Table(costs(&cells)));
        blocks.push(Block::List(reasons(&cells)));
    }
    blocks.push(Block::Heading(2, "Method".to_owned()));
    blocks.push(Block::Text(format!(
        "The model has no fitted parameter: nodes, strategy, interval, loss, probes and anti-entropy are the plan's, the moments and origins of \
         the events are the run's; phases are drawn. It plays {} clusters per run, fewer of more than 400 nodes. χ² is taken over the deciles of all events of the \
         model (fewer bins where fewer than 5 events are expected), and p is the share of the model's own clusters, the run counted as one, \
         whose χ² is as great: so it knows that the events of one cluster share its phases, which the textbook's χ² does not. The least \
         that p can be is {:.3}. Median over events with its 95 % bootstrap interval.",
        clusters(8),
        1.0 / (clusters(8) + 1) as f64
    )));
    Ok(Report { title: "Real clusters against the model".to_owned(), blocks })
}

/// How the tests came out together, in words: for each quantity how many are small, and how likely so many are.
#[must_use]
pub fn verdict(goodness: &Goodness) -> String {
    let events: usize = goodness.cells.iter().map(|cell| cell.events).sum();
    let complete: usize = goodness.cells.iter().map(|cell| cell.complete).sum();
    let mut text = format!(
        "{} runs, {events} events, {complete} of them known to all in the end. Tests of the model without fitted parameters:",
        goodness.cells.len()
    );
    let mut words = Vec::new();
    for quantity in [Quantity::Half, Quantity::All, Quantity::Soon] {
        let p: Vec<f64> =
            goodness.tests().filter(|(_, test)| test.quantity == quantity).map(|(_, test)| test.p).collect();
        if p.is_empty() {
            continue;
        }
        let small = p.iter().filter(|p| **p <= LEVEL).count();
        words.push(format!(
            "of {} of {} {small} have p ≤ {LEVEL} ({} expected; so many or more by chance alone with probability {})",
            p.len(),
            quantity.name(),
            significant(p.len() as f64 * LEVEL),
            significant(binomial_tail(p.len(), LEVEL, small)),
        ));
    }
    text.push_str(&format!(" {}.", if words.is_empty() { "none".to_owned() } else { words.join("; ") }));
    text
}

/// P(X ≥ least) of X ~ Bin(n, p). Runs of different clusters are independent; the quantities of one run are not, so each is counted by itself.
fn binomial_tail(n: usize, p: f64, least: usize) -> f64 {
    let mut term = (1.0 - p).powi(n as i32);
    let mut below = 0.0;
    for k in 0..least.min(n + 1) {
        below += term;
        term *= (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
    }
    (1.0 - below).clamp(0.0, 1.0)
}

fn incomplete(goodness: &Goodness) -> Option<String> {
    let short: Vec<String> = goodness
        .cells
        .iter()
        .filter(|cell| cell.complete < cell.events)
        .map(|cell| {
            format!(
                "{} at N = {} under {}: {} of {}",
                cell.strategy, cell.size, cell.setting, cell.complete, cell.events
            )
        })
        .collect();
    (!short.is_empty()).then(|| format!("Not every event reached everybody: {}.", short.join("; ")))
}

/// Pairs of strategies that come in another order than the model says, in words. Real and simulated nodes each by themselves.
#[must_use]
pub fn wrong_order(cells: &[&Cell]) -> Vec<String> {
    let mut tiers: Vec<(bool, u32)> = cells.iter().map(|cell| (cell.simulated, cell.size)).collect();
    tiers.sort_unstable();
    tiers.dedup();
    let mut wrong = Vec::new();
    for (simulated, size) in tiers {
        let same = |cell: &&Cell| cell.size == size && cell.simulated == simulated;
        let of_size: Vec<&Cell> = cells.iter().copied().filter(same).collect();
        for quantity in [Quantity::Half, Quantity::All] {
            wrong.extend(swapped(&of_size, quantity).into_iter().map(|(quick, slow)| {
                format!("{} before {} at N = {size} ({})", slow.strategy, quick.strategy, quantity.name())
            }));
        }
    }
    wrong
}

/// The same as a sentence.
fn order(cells: &[&Cell]) -> String {
    let wrong = wrong_order(cells);
    if wrong.is_empty() {
        return "The strategies come in the order that the model says, at every size, as far as the intervals tell them apart.".to_owned();
    }
    format!("Not in the order that the model says: {}.", wrong.join("; "))
}

fn table(cells: &[&Cell]) -> Table {
    let mut table =
        Table::new(&["strategy", "N", "events", "quantity", "measured", "model", "difference", "χ² (bins)", "p"]);
    for cell in cells {
        for test in cell.tests.iter().flatten() {
            let difference = (test.measured.median / test.model - 1.0) * 100.0;
            table.row(vec![
                cell.strategy.clone(),
                cell.size.to_string(),
                cell.events.to_string(),
                test.quantity.name().to_owned(),
                format!("{} {}", ms(test.measured.median), interval(test.measured.interval)),
                ms(test.model),
                if difference.is_finite() {
                    format!("{difference:+.1} %").replace('-', "−")
                } else {
                    "–".to_owned()
                },
                format!("{:.1} ({})", test.chi2, test.bins),
                format!("{:.3}", test.p),
            ]);
        }
    }
    table
}

fn costs(cells: &[&Cell]) -> Table {
    let mut table = Table::new(&[
        "strategy",
        "N",
        "complete",
        "t50 ms",
        "t90 ms",
        "t99 ms",
        "t100 ms",
        "datagrams per node and event",
        "bytes per node and event",
        "datagrams per node and s",
        "busiest node's",
        "bytes per node and s",
    ]);
    for cell in cells {
        let time = |share: usize| or_none(cell.times.get(share), |summary: &Summary| ms(summary.median));
        let spent = |of: fn(&crate::metrics::traffic::TrafficSummary) -> Option<f64>| {
            or_none(cell.traffic.as_ref().and_then(of), significant)
        };
        table.row(vec![
            cell.strategy.clone(),
            cell.size.to_string(),
            format!("{} of {}", cell.complete, cell.events),
            time(0),
            time(1),
            time(2),
            time(3),
            spent(|traffic| traffic.datagrams_per_event),
            spent(|traffic| traffic.bytes_per_event),
            spent(|traffic| Some(traffic.datagrams_per_second)),
            spent(|traffic| Some(traffic.datagrams_per_second_max)),
            or_none(cell.traffic.as_ref(), |traffic| bytes(traffic.bytes_per_second)),
        ]);
    }
    table
}

/// Why there is no model of some, each reason once.
fn reasons(cells: &[&Cell]) -> Vec<String> {
    let mut reasons: Vec<String> = Vec::new();
    for cell in cells {
        if let Err(reason) = &cell.tests {
            let text = format!("{}: {reason}", cell.strategy);
            if !reasons.contains(&text) {
                reasons.push(text);
            }
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_the_binomial_is_that_of_the_hand() {
        // Of three with p = 1/2: 1, 7/8, 4/8, 1/8, 0.
        for (least, tail) in [(0, 1.0), (1, 0.875), (2, 0.5), (3, 0.125), (4, 0.0)] {
            assert!((binomial_tail(3, 0.5, least) - tail).abs() < 1e-12, "{least}");
        }
        // 1 − 0.95²⁰
        assert!((binomial_tail(20, 0.05, 1) - 0.641_514).abs() < 1e-6);
    }
}
