//! The report of two results held against each other.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::compare::{Comparison, LEVEL, PERMUTATIONS, RunComparison, TimeComparison};
use crate::plot::PlotError;
use crate::plot::spread::Overlay;
use crate::plot::style::qualitative;
use crate::report::format::{interval, ms, or_none, significant};
use crate::report::{Block, Report, ReportError, Table, write_pages};
use crate::twosample::{Distance, Unit, ways};

/// Writes `comparison.html`, `comparison.md` and `plots/` into `folder`; gives back the path of the page.
///
/// # Errors
/// [`ReportError`].
pub fn write(comparison: &Comparison, folder: &Path) -> Result<PathBuf, ReportError> {
    write_pages(&report(comparison)?, folder, "comparison")
}

/// Builds the report.
///
/// # Errors
/// When a figure cannot be drawn.
pub fn report(comparison: &Comparison) -> Result<Report, PlotError> {
    let [a, b] = &comparison.names;
    let mut blocks = vec![Block::List(comparison.notes.clone())];
    if comparison.runs.is_empty() {
        blocks.push(Block::Warning("There is no run with events that all results have.".to_owned()));
    }
    for run in &comparison.runs {
        blocks.push(Block::Heading(2, run.title.clone()));
        blocks.push(Block::Text(verdict(comparison, run)));
        let series = (0..2).map(|place| (comparison.names[place].clone(), qualitative(place), &run.curves[place][..]));
        let overlay = Overlay {
            name: format!("compare-{}", run.slug),
            common: run.title.clone(),
            each: "side",
            series: series.collect(),
        };
        blocks.push(Block::Figure(overlay.figure()?));
        blocks.push(Block::Table(times(comparison, run)));
        blocks.push(Block::Table(rates(comparison, run)));
        blocks.extend(dependence(comparison, run).map(Block::Warning));
    }
    blocks.push(Block::Heading(2, "Method".to_owned()));
    let [one, whole] = [Unit::Event, Unit::Cluster].map(|unit| comparison.runs.iter().any(|run| run.unit() == unit));
    let unit = match (one, whole) {
        (true, _) => {
            "The unit is the event. All events of a run share one cluster with its phases and seeds, and the nodes of a run share its \
             events: neither p-values nor intervals know of that. Results of other seeds beside these would tell."
        }
        _ => {
            "The unit is the cluster: its events stay together when units are exchanged, since they share its phases and seeds. \
             Intervals are of clusters drawn again, on a side of one cluster of its events."
        }
    };
    blocks.push(Block::Text(format!(
        "{unit} Each event gives one curve, and one value for each time. p-values are shares of all ways to part the units between the \
         sides, or of {PERMUTATIONS} random ones where there are more. Whole curves are compared by the energy test (Székely and Rizzo \
         2004) under the L2 distance of curves, which decides at {LEVEL}; the times by Kolmogorov and Smirnov's distance, the greatest \
         difference of the distribution functions of all events of a side, the five adjusted together by Holm's method. Differences are \
         {b} less {a}, of medians over events (of means over nodes for traffic), with 95 % percentile bootstrap intervals. The area \
         between the mean curves is given with what 95 % of the permutations stay below: chance alone makes as much. \"mean\" is the mean \
         time at which the nodes learn of an event, the origin's 0 included."
    )));
    Ok(Report { title: format!("{a} against {b}"), blocks })
}

/// The outcome of one run in words.
#[must_use]
pub fn verdict(comparison: &Comparison, run: &RunComparison) -> String {
    let [a, b] = &comparison.names;
    let [n, m] = [run.curves[0].len(), run.curves[1].len()];
    let found = if run.differs() { "differ" } else { "are not told apart" };
    let mut text = format!("The spread curves {found}: ");
    let _ = write!(
        text,
        "energy distance {} √ms, p = {}{}, over {n} events of {a} and {m} of {b}. The mean curves are {} ms apart; chance alone makes up to \
         {} ms.",
        significant(run.energy.statistic),
        p_value(run.energy.p),
        least(run),
        ms(run.area.ms),
        ms(run.area.by_chance_ms)
    );
    for time in run.times.iter().filter(|time| ["mean", "t50", "t100"].contains(&time.name)) {
        if let Some(distance) = time.distance {
            let (difference, share) = (signed(distance.difference), relative(&distance));
            let (most, p) = (significant(time.test.statistic), p_value(time.test.p));
            let _ = write!(text, " {}: {difference} ms ({share}), max |F1 − F2| {most}, p = {p}.", time.name);
        }
    }
    text
}

/// The least p-value that so few clusters can give.
fn least(run: &RunComparison) -> String {
    let [a, b] = run.clusters;
    match run.unit() {
        Unit::Event => String::new(),
        Unit::Cluster => {
            format!(
                " (of clusters; {a} against {b} can give no less than {})",
                p_value(1.0 / ways(a + b, a).min((1 + PERMUTATIONS) as f64))
            )
        }
    }
}

fn times(comparison: &Comparison, run: &RunComparison) -> Table {
    let [a, b] = &comparison.names;
    let heads = [
        "time".to_owned(),
        format!("{a}, ms"),
        format!("{b}, ms"),
        "difference, ms".to_owned(),
        "95 % interval".to_owned(),
        "difference, %".to_owned(),
        "KS distance (max |F1 − F2|)".to_owned(),
        "p".to_owned(),
        "p, adjusted".to_owned(),
    ];
    let mut table = Table { head: heads.to_vec(), rows: Vec::new() };
    for time in &run.times {
        table.row(vec![
            time.name.to_owned(),
            median(time, 0),
            median(time, 1),
            or_none(time.distance, |distance| signed(distance.difference)),
            or_none(time.distance, |distance| interval(distance.interval)),
            or_none(time.distance.as_ref(), relative),
            significant(time.test.statistic),
            p_value(time.test.p),
            p_value(time.adjusted_p),
        ]);
    }
    table
}

/// The median of a side, and those of its clusters.
fn median(time: &TimeComparison, side: usize) -> String {
    let of_clusters = time.of_clusters[side].map_or_else(String::new, |range| format!(" ({})", interval(range)));
    format!("{}{of_clusters}", ms(time.medians[side]))
}

fn rates(comparison: &Comparison, run: &RunComparison) -> Table {
    let [a, b] = &comparison.names;
    let heads = ["sent".to_owned(), a.clone(), b.clone(), "difference, %".to_owned()];
    let mut table = Table { head: heads.to_vec(), rows: Vec::new() };
    for rate in &run.rates {
        table.row(vec![
            rate.name.to_owned(),
            significant(rate.means[0]),
            significant(rate.means[1]),
            or_none(rate.distance.as_ref(), relative),
        ]);
    }
    table
}

/// A warning where an event's time foretells the next one's, so that the p-values are too small.
fn dependence(comparison: &Comparison, run: &RunComparison) -> impl Iterator<Item = String> {
    run.times.iter().flat_map(move |time| {
        (0..2).filter_map(move |place| {
            let (lag, n) = (time.lag_one[place]?, run.curves[place].len());
            // Ten such looks (five times, two results): a bound for all of them together.
            (lag.abs() > 2.81 / (n as f64).sqrt()).then(|| {
                format!(
                    "{} of {}: an event is correlated with the next one ({}, of independent ones less than {} with 95 % for all \
                     ten such looks). The events are not independent, so p-values are too small and intervals too narrow.",
                    time.name,
                    comparison.names[place],
                    significant(lag),
                    significant(2.81 / (n as f64).sqrt())
                )
            })
        })
    })
}

fn relative(distance: &Distance) -> String {
    let [value, low, high] =
        [distance.relative, distance.relative_interval.low, distance.relative_interval.high].map(|x| signed(x * 100.0));
    format!("{value} % [{low}, {high}]")
}

fn signed(value: f64) -> String {
    let text = significant(value);
    if value > 0.0 { format!("+{text}") } else { text }
}

/// Four decimals, since a permutation test knows no finer ones.
#[must_use]
pub fn p_value(p: f64) -> String {
    format!("{p:.4}")
}
