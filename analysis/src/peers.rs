//! This agent and another one under the same plans: what each took, row by row, and the ratio.

use std::path::{Path, PathBuf};

use crate::curves::Curve;
use crate::load::{Experiment, Run};
use crate::metrics::RunMetrics;
use crate::metrics::detection::Departure;
use crate::metrics::times::{Summary, summarise};
use crate::plot::PlotError;
use crate::plot::peers::{Line, times};
use crate::report::format::{NONE, bytes, interval, ms, or_none, significant};
use crate::report::{Block, Report, ReportError, Table, write_pages};
use crate::stats::{Interval, bootstrap_medians, median, percentile_interval, rng};

/// Runs of fewer events are in the table and not in the figure, and so are those whose nodes crash: they are about something else.
const EVENTS_MIN: usize = 5;

/// What one side did in one run.
#[derive(Debug, Clone)]
struct Side {
    /// Whether every node came to see every node, so that the run began.
    begun: bool,
    /// How long joining took, milliseconds, and how many were new.
    joined: Option<(f64, u32)>,
    metrics: RunMetrics,
}

/// One size under one setting of one plan.
#[derive(Debug, Clone)]
struct Row {
    plan: String,
    size: u32,
    setting: String,
    sides: [Option<Side>; 2],
}

/// Both sides' results under the same plans.
#[derive(Debug, Clone)]
pub struct Peers {
    names: [String; 2],
    rows: Vec<Row>,
    circumstances: Vec<String>,
    seed: u64,
}

impl Peers {
    /// Puts the runs of both sides beside each other. The names are what the sides are called.
    #[must_use]
    pub fn of(names: [String; 2], sides: [&[Experiment]; 2]) -> Self {
        let mut rows: Vec<Row> = Vec::new();
        for (place, side) in sides.into_iter().enumerate() {
            for experiment in side {
                let plan = &experiment.manifest.plan.name;
                for run in experiment.runs.iter().filter(|run| run.key.size > 0) {
                    let same =
                        |row: &Row| row.plan == *plan && row.size == run.key.size && row.setting == run.key.setting;
                    let row = rows.iter().position(same).unwrap_or_else(|| {
                        let (size, setting) = (run.key.size, run.key.setting.clone());
                        rows.push(Row { plan: plan.clone(), size, setting, sides: [None, None] });
                        rows.len() - 1
                    });
                    rows[row].sides[place] = Some(Side::of(experiment, run));
                }
            }
        }
        let circumstances = sides
            .into_iter()
            .zip(&names)
            .flat_map(|(side, name)| side.iter().map(move |experiment| (experiment, name)))
            .map(|(experiment, name)| {
                let manifest = &experiment.manifest;
                format!(
                    "{name}, plan {}, seed {}: {}, {}, load {}, commit {}{}.",
                    manifest.plan.name,
                    manifest.seed,
                    manifest.backend,
                    manifest.started,
                    manifest.machine.load,
                    manifest.commit,
                    if manifest.dirty { " with local changes" } else { "" }
                )
            })
            .collect();
        let seed = sides.into_iter().flatten().next().map_or(1, |experiment| experiment.manifest.seed);
        Self { names, rows, circumstances, seed }
    }

    /// Writes `peers.html`, `peers.md` and the plots into `folder`; the path of the page.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn write(&self, folder: &Path) -> Result<PathBuf, ReportError> {
        write_pages(&self.report()?, folder, "peers")
    }

    /// The report.
    ///
    /// # Errors
    /// [`PlotError`].
    pub fn report(&self) -> Result<Report, PlotError> {
        let [a, b] = &self.names;
        let mut blocks = vec![Block::List(self.circumstances.clone())];
        blocks.push(Block::Heading(2, "Events".to_owned()));
        let lines: Vec<Line> = self.lines();
        if !lines.is_empty() {
            blocks.push(Block::Figure(times(&self.names, &lines)?));
        }
        blocks.push(Block::Table(self.events()));
        blocks.push(Block::Text(format!(
            "Median over events until 50 and 100 % of the nodes knew, with its 95 % bootstrap interval. An event that did not reach everybody \
             within the plan's limit counts as later than all others. Ratio: {b}'s median by {a}'s, its interval from drawing the events of \
             both again."
        )));
        blocks.push(Block::Heading(2, "Joining, crashes, false alarms".to_owned()));
        blocks.push(Block::Table(self.membership()));
        blocks.push(Block::Text(
            "Median over the crashes of a run until the first and until all of the others held the crashed one for dead, with its 95 % \
             bootstrap interval; a crash that somebody never learnt of counts as later than all others."
                .to_owned(),
        ));
        blocks.push(Block::Heading(2, "What they cost".to_owned()));
        blocks.push(Block::Table(self.costs()));
        blocks.push(Block::Text(
            "Bytes are those of UDP payload, and of a peer's streams what is beyond 28 bytes of headers per packet. All traffic of the run, \
             events included. Memory is the median over the nodes of what is resident at the end."
                .to_owned(),
        ));
        Ok(Report { title: format!("{a} beside {b}"), blocks })
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for row in &self.rows {
            for (side, measured) in row.sides.iter().enumerate() {
                let drawn = measured.as_ref().filter(|side| {
                    side.metrics.times.events.len() >= EVENTS_MIN && side.metrics.detection.crashes.is_empty()
                });
                let Some(summary) = drawn.and_then(|measured| measured.time(3)) else { continue };
                let same = |line: &Line| line.side == side && line.setting == row.setting && line.plan == row.plan;
                let place = lines.iter().position(same).unwrap_or_else(|| {
                    let (plan, setting) = (row.plan.clone(), row.setting.clone());
                    lines.push(Line { side, plan, setting, points: Vec::new() });
                    lines.len() - 1
                });
                lines[place].points.push((row.size, *summary));
            }
        }
        lines.retain(|line| line.points.len() > 1);
        lines
    }

    fn events(&self) -> Table {
        let [a, b] = &self.names;
        let heads = [
            "plan".to_owned(),
            "N".to_owned(),
            "setting".to_owned(),
            format!("complete, {a}"),
            format!("complete, {b}"),
            format!("t50 ms, {a}"),
            format!("t50 ms, {b}"),
            format!("t100 ms, {a}"),
            format!("t100 ms, {b}"),
            "ratio of t100".to_owned(),
        ];
        let mut table = Table { head: heads.to_vec(), rows: Vec::new() };
        for row in self.rows.iter().filter(|row| row.sides.iter().flatten().any(|side| !side.metrics.curves.is_empty()))
        {
            let complete = |side: &Option<Side>| or_none(side.as_ref().filter(|side| side.begun), Side::complete);
            let time = |side: usize, share: usize| {
                or_none(row.sides[side].as_ref().and_then(|side| side.time(share)), |summary: &Summary| {
                    format!("{} {}", ms(summary.median), interval(summary.interval))
                })
            };
            table.row(vec![
                row.plan.clone(),
                row.size.to_string(),
                row.setting.clone(),
                complete(&row.sides[0]),
                complete(&row.sides[1]),
                time(0, 0),
                time(1, 0),
                time(0, 3),
                time(1, 3),
                self.ratio(row, "t100", |side| side.metrics.times.column(3)),
            ]);
        }
        table
    }

    /// How many times as long the second takes, in the medians of what `of` takes of a side.
    fn ratio(&self, row: &Row, what: &str, of: impl Fn(&Side) -> Vec<f64>) -> String {
        let [ours, theirs] = [0, 1].map(|side| row.sides[side].as_ref().map(&of).unwrap_or_default());
        let Some((one, other)) = median(&ours).zip(median(&theirs)).filter(|(one, _)| one.is_finite()) else {
            return NONE.to_owned();
        };
        if other.is_infinite() {
            return "∞".to_owned();
        }
        let mut rng = rng(self.seed, &format!("analysis/peers/{what}/{}/{}/{}", row.plan, row.size, row.setting));
        let replicates = 2_000;
        let mut shuffled = bootstrap_medians(&theirs, replicates, &mut rng);
        // Sorted medians beside each other would be no independent pairs.
        for place in (1..shuffled.len()).rev() {
            shuffled.swap(place, crate::stats::below(&mut rng, place + 1));
        }
        let drawn = bootstrap_medians(&ours, replicates, &mut rng);
        let mut ratios: Vec<f64> = shuffled.iter().zip(&drawn).map(|(theirs, ours)| theirs / ours).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let range = or_none(percentile_interval(&ratios), interval);
        format!("{} {range}", significant(other / one))
    }

    fn membership(&self) -> Table {
        let [a, b] = &self.names;
        let mut heads = vec!["plan".to_owned(), "N".to_owned(), "setting".to_owned()];
        let whats = ["joined in, s", "crashes", "crash known to the first, s", "crash known to all, s"];
        for what in whats {
            heads.extend([format!("{what}, {a}"), format!("{what}, {b}")]);
        }
        heads.push("ratio of the last".to_owned());
        heads.extend([format!("living declared dead, {a}"), format!("living declared dead, {b}")]);
        let mut table = Table { head: heads, rows: Vec::new() };
        for row in &self.rows {
            let both = |of: &dyn Fn(&Side) -> String| [0, 1].map(|side| or_none(row.sides[side].as_ref(), of));
            let label = |what: &str| format!("analysis/peers/{what}/{}/{}/{}", row.plan, row.size, row.setting);
            let crash = |of: fn(&Side) -> Vec<f64>, what: &str| {
                both(&|side: &Side| or_none(summarise(&of(side), self.seed, &label(what)), |summary| seconds(&summary)))
            };
            let mut cells = vec![row.plan.clone(), row.size.to_string(), row.setting.clone()];
            cells.extend(both(&Side::joined));
            cells.extend(both(&Side::crashes));
            cells.extend(crash(Side::crash_first, "first"));
            cells.extend(crash(Side::crash_last, "last"));
            cells.push(self.ratio(row, "crash", Side::crash_last));
            cells.extend(both(&Side::false_deaths));
            table.row(cells);
        }
        table
    }

    fn costs(&self) -> Table {
        let [a, b] = &self.names;
        let mut heads = vec!["plan".to_owned(), "N".to_owned(), "setting".to_owned()];
        for what in ["bytes per node and s", "datagrams per node and s", "processor, share of one", "memory"] {
            heads.extend([format!("{what}, {a}"), format!("{what}, {b}")]);
        }
        let mut table = Table { head: heads, rows: Vec::new() };
        for row in &self.rows {
            let mut cells = vec![row.plan.clone(), row.size.to_string(), row.setting.clone()];
            let traffic = |side: usize| row.sides[side].as_ref().and_then(|side| side.metrics.traffic.as_ref());
            for side in 0..2 {
                cells.push(or_none(traffic(side), |traffic| bytes(traffic.bytes_per_second)));
            }
            for side in 0..2 {
                cells.push(or_none(traffic(side), |traffic| significant(traffic.datagrams_per_second)));
            }
            for side in 0..2 {
                let share = traffic(side).and_then(|traffic| traffic.cpu_share);
                cells.push(or_none(share, |share| format!("{} %", significant(share * 100.0))));
            }
            for side in 0..2 {
                cells.push(or_none(traffic(side).and_then(|traffic| traffic.resident_median), bytes));
            }
            table.row(cells);
        }
        table
    }
}

impl Side {
    fn of(experiment: &Experiment, run: &Run) -> Self {
        let joined = run.converged.last().map(|formed| (formed.took_ns as f64 / 1e6, formed.joined));
        Self { begun: run.begun, joined, metrics: RunMetrics::of(experiment, run) }
    }

    fn time(&self, share: usize) -> Option<&Summary> {
        self.metrics.times.summary.get(share)
    }

    fn complete(&self) -> String {
        let all = |curve: &&Curve| curve.reached_ms.len() == curve.expected;
        let curves = &self.metrics.curves;
        format!("{} of {}", curves.iter().filter(all).count(), curves.len())
    }

    fn joined(&self) -> String {
        if !self.begun {
            return "never".to_owned();
        }
        or_none(self.joined.filter(|(_, new)| *new > 1), |(took, new)| format!("{} ({new})", significant(took / 1e3)))
    }

    fn crashes(&self) -> String {
        let crashes = self.metrics.detection.crashes.len();
        if crashes == 0 { NONE.to_owned() } else { crashes.to_string() }
    }

    /// Until the first knew of each crash, milliseconds.
    fn crash_first(&self) -> Vec<f64> {
        self.metrics.detection.crashes.iter().map(|crash| crash.first_ms.unwrap_or(f64::INFINITY)).collect()
    }

    /// Until all did; without end when some never did.
    fn crash_last(&self) -> Vec<f64> {
        let known = |crash: &Departure| crash.last_ms.filter(|_| crash.declared_dead >= crash.survivors);
        self.metrics.detection.crashes.iter().map(|crash| known(crash).unwrap_or(f64::INFINITY)).collect()
    }

    fn false_deaths(&self) -> String {
        self.metrics.detection.false_deaths_awake().to_string()
    }
}

/// The median of times in milliseconds with its interval, in seconds.
fn seconds(summary: &Summary) -> String {
    let range = Interval { low: summary.interval.low / 1e3, high: summary.interval.high / 1e3 };
    let never = if summary.censored > 0 { format!(" ({} never)", summary.censored) } else { String::new() };
    format!("{} {}{never}", significant(summary.median / 1e3), interval(range))
}
