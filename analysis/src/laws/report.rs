//! The study of laws as a report.

use std::path::{Path, PathBuf};

use super::figures::{Cost, Price, end_phase, growth, trade_off};
use super::fits::{Form, Window};
use super::runs::{Cell, Quantity, Run};
use super::study::{Growth, KNOWN, Study, Verdict};
use crate::plot::PlotError;
use crate::report::comparison::p_value;
use crate::report::format::{NONE, or_none};
use crate::report::{Block, Report, ReportError, Table, write_pages};
use crate::stats::{Interval, mean_sd};

/// The size at which strategies are held against each other for what they cost.
const COSTS_AT: f64 = 1e6;

/// Writes `laws.html`, `laws.md` and the plots into `folder`; the path of the page.
///
/// # Errors
/// [`ReportError`].
pub fn write(studies: &[Study], folder: &Path) -> Result<PathBuf, ReportError> {
    write_pages(&report(studies)?, folder, "laws")
}

/// The report.
///
/// # Errors
/// [`PlotError`].
pub fn report(studies: &[Study]) -> Result<Report, PlotError> {
    let mut blocks = vec![Block::Text(
        "Rounds until a rumor that one node started is known, by strategy and N. Synchronous rounds on the complete graph; what real \
         clusters do beside is in the other reports."
            .to_owned(),
    )];
    blocks.push(Block::Heading(2, "What grows how".to_owned()));
    blocks.push(Block::Table(verdicts(studies)));
    blocks.push(Block::Text(format!(
        "Slope ratio: the slope in log₂ N over 10¹⁴ to 10¹⁸ as a share of that over 10² to 10⁵; 1 for log N, 0 for what is bounded. b and \
         c: a + b·log₂ N + c·log₂ log₂ N over all sizes, with 95 % intervals (bootstrap of the runs within each size), and b over the last \
         window. Predicts: the law of one term that, fitted on N ≤ {KNOWN:e}, misses the larger sizes least, and by how much."
    )));
    let all: Vec<&Study> = studies.iter().collect();
    let mut shown: Vec<&Study> = all.iter().copied().filter(|study| study.all.points.len() > 2).collect();
    // Those that the question is about stand in the first figure, beside those that they beat.
    shown.sort_by_key(|study| {
        (study.series.loss > 0.0, study.all.verdict() != Verdict::BelowLog, study.all.slope_ratio.is_none())
    });
    for axis in [Form::LogLog, Form::Log] {
        for (part, chunk) in shown.chunks(LINES_MAX).enumerate() {
            let mut figure = growth(chunk, axis)?;
            if part > 0 {
                figure.name = format!("{}-{}", figure.name, part + 1);
            }
            blocks.push(Block::Figure(figure));
        }
    }
    blocks.push(Block::Heading(2, "The end phase by itself".to_owned()));
    // Push-pull at every loss, and its halves.
    let ended: Vec<&Study> = shown
        .iter()
        .copied()
        .filter(|study| study.end.points.len() > 2 && END_PHASE.contains(&study.series.strategy.as_str()))
        .collect();
    if !ended.is_empty() {
        blocks.push(Block::Figure(end_phase(&ended[..ended.len().min(LINES_MAX)])?));
        blocks.push(Block::Table(phases(&ended)));
    }
    blocks.push(Block::Heading(2, "Laws of one term".to_owned()));
    blocks.push(Block::Table(criteria(studies)));
    blocks.push(Block::Text(
        "How much worse than the best of the five each law is by Akaike's criterion (0: the best). A heavy tail is in Θ(log log N) by its \
         theorem, and yet √log N lies closer to these sizes: none of the five is its exact law, and a criterion only ranks the wrong ones. \
         That is why the coefficient b over ever later windows decides."
            .to_owned(),
    ));
    for study in studies.iter().filter(|study| study.all.windows.len() > 1) {
        blocks.push(Block::Heading(3, format!("{}: windows", study.series.title())));
        blocks.push(Block::Table(windows(&study.all)));
    }
    let costs: Vec<Cost> = studies.iter().filter_map(cost).collect();
    if !costs.is_empty() {
        blocks.push(Block::Heading(2, "What it costs".to_owned()));
        // What loss costs is in the table: with it nobody could read the names.
        let lossless = studies.iter().filter(|study| study.series.loss == 0.0);
        let drawn: Vec<Cost> = lossless.filter_map(cost).collect();
        blocks.push(Block::Figure(trade_off(&drawn, COSTS_AT, Price::Load)?));
        blocks.push(Block::Figure(trade_off(&drawn, COSTS_AT, Price::Copies)?));
        blocks.push(Block::Table(prices(&costs)));
    }
    blocks.push(Block::Heading(2, "Rounds".to_owned()));
    for quantity in [Quantity::Half, Quantity::Ninety, Quantity::NinetyNine, Quantity::All] {
        blocks.push(Block::Heading(3, format!("Rounds {}", quantity.name())));
        blocks.push(Block::Table(rounds(studies, quantity)));
    }
    Ok(Report { title: "How rounds grow with N".to_owned(), blocks })
}

/// The strategies of which the end phase is shown.
const END_PHASE: [&str; 3] = ["push-pull, k=1", "pull, k=1", "push, k=1"];

/// More lines than the palette has colours cannot be told apart.
const LINES_MAX: usize = 8;

fn verdicts(studies: &[Study]) -> Table {
    let mut table = Table::new(&[
        "strategy",
        "verdict",
        "N",
        "slope ratio",
        "b",
        "c",
        "b, last window",
        "predicts",
        "log taken for log log",
        "the other way round",
    ]);
    for study in studies {
        let all = &study.all;
        let (first, last) = (all.points.first(), all.points.last());
        let share = |share: f64| if share == 0.0 { "< 0.1 %".to_owned() } else { format!("{:.1} %", share * 100.0) };
        table.row(vec![
            study.series.title(),
            all.verdict().words().to_owned(),
            or_none(first.zip(last), |(first, last)| format!("{:e} to {:e}", first.nodes, last.nodes)),
            or_none(all.slope_ratio, |ratio| rounded(ratio, 2)),
            or_none(all.windows.first(), |window| estimate(window.b)),
            or_none(all.windows.first(), |window| estimate(window.c)),
            or_none(all.last_window(), |window| estimate(window.b)),
            or_none(all.predicts(), |(form, miss)| format!("{} (misses by {miss:.2})", form.name())),
            or_none(all.mistaken, |(log, _)| share(log)),
            or_none(all.mistaken, |(_, loglog)| share(loglog)),
        ]);
    }
    table
}

fn estimate((value, Interval { low, high }): (f64, Interval)) -> String {
    format!("{} [{}, {}]", rounded(value, 3), rounded(low, 3), rounded(high, 3))
}

/// With so many decimals; what rounds to nothing has no sign.
fn rounded(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.bytes().all(|byte| b"-0.".contains(&byte)) { text.replace('-', "") } else { text.replace('-', "−") }
}

fn criteria(studies: &[Study]) -> Table {
    let heads: Vec<&str> = std::iter::once("strategy").chain(Form::ALL.map(Form::name)).collect();
    let mut table = Table::new(&heads);
    for study in studies.iter().filter(|study| study.all.points.len() > 2) {
        let cells = Form::ALL.map(|form| or_none(study.all.delta_aic(form), |delta| format!("{delta:.1}")));
        table.row(std::iter::once(study.series.title()).chain(cells).collect());
    }
    table
}

fn windows(growth: &Growth) -> Table {
    let mut table = Table::new(&["from N", "b (log₂ N)", "c (log₂ log₂ N)", "p, no log N", "p, no log log N"]);
    let row = |window: &Window| {
        vec![
            format!("{:e}", window.from),
            estimate(window.b),
            estimate(window.c),
            p_value(window.p_no_log),
            p_value(window.p_no_loglog),
        ]
    };
    // Every other decade says as much.
    growth.windows.iter().step_by(2).for_each(|window| table.row(row(window)));
    table
}

fn phases(studies: &[&Study]) -> Table {
    let mut table =
        Table::new(&["strategy", "to 50 %: best law", "slope in log₂ N", "50 % to all: best law", "ΔAIC of log N"]);
    for study in studies {
        let slope = study.half.fits.iter().find(|(form, _)| *form == Form::Log).map(|(_, fit)| fit.coefficients[1]);
        table.row(vec![
            study.series.title(),
            or_none(study.half.preferred(), |form| form.name().to_owned()),
            or_none(slope, |slope| format!("{slope:.3}")),
            or_none(study.end.preferred(), |form| form.name().to_owned()),
            or_none(study.end.delta_aic(Form::Log), |delta| format!("{delta:.1}")),
        ]);
    }
    table
}

fn cost(study: &Study) -> Option<Cost> {
    let cell: &Cell = study.series.cells.iter().find(|cell| cell.nodes == COSTS_AT)?;
    let mean = |of: fn(&Run) -> f64| cell.runs.iter().map(of).sum::<f64>() / cell.runs.len() as f64;
    let rounds = mean(|run| run.all);
    let cost =
        Cost { name: study.series.title(), rounds, load: mean(|run| run.out_max), copies: mean(|run| run.copies) };
    rounds.is_finite().then_some(cost)
}

fn prices(costs: &[Cost]) -> Table {
    let mut table = Table::new(&["strategy", "rounds", "calls of the busiest node", "copies per node"]);
    for cost in costs {
        let (rounds, copies) = (format!("{:.1}", cost.rounds), format!("{:.1}", cost.copies));
        table.row(vec![cost.name.clone(), rounds, format!("{:.0}", cost.load), copies]);
    }
    table
}

fn rounds(studies: &[Study], quantity: Quantity) -> Table {
    let mut sizes: Vec<f64> =
        studies.iter().flat_map(|study| study.series.cells.iter().map(|cell| cell.nodes)).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    sizes.dedup();
    let heads: Vec<String> =
        std::iter::once("strategy".to_owned()).chain(sizes.iter().map(|size| format!("{size:e}"))).collect();
    let mut table = Table::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    for study in studies {
        let cell = |&size: &f64| {
            let cell = study.series.cells.iter().find(|cell| cell.nodes == size)?;
            let rounds: Vec<f64> = cell.runs.iter().map(|run| quantity.of(run)).collect();
            let (mean, sd) = mean_sd(&rounds)?;
            let error = sd / (rounds.len() as f64).sqrt();
            Some(if mean.is_finite() { format!("{mean:.2} ± {error:.2}") } else { "never in some".to_owned() })
        };
        let cells = sizes.iter().map(|size| cell(size).unwrap_or_else(|| NONE.to_owned()));
        table.row(std::iter::once(study.series.title()).chain(cells).collect());
    }
    table
}
