//! Reading the runs of the kernel.

use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

/// Rounds to inform shares of the nodes in one run, infinite where they were never reached; and what it cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// To 50 %.
    pub half: f64,
    /// To 90 %.
    pub ninety: f64,
    /// To 99 %.
    pub ninety_nine: f64,
    /// To all.
    pub all: f64,
    /// Copies of the rumor sent, per node.
    pub copies: f64,
    /// Datagrams sent, per node.
    pub datagrams: f64,
    /// Most calls of one node in one round.
    pub out_max: f64,
    /// Most arrivals at one node in one round, where that was counted.
    pub in_max: Option<f64>,
}

/// What a run's time is taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Rounds to all.
    All,
    /// Rounds to 99 %.
    NinetyNine,
    /// Rounds to 90 %.
    Ninety,
    /// Rounds to 50 %: the growth.
    Half,
    /// Rounds from 50 % to all: the end phase.
    End,
}

impl Quantity {
    /// Its value in a run.
    #[must_use]
    pub fn of(self, run: &Run) -> f64 {
        match self {
            Self::All => run.all,
            Self::NinetyNine => run.ninety_nine,
            Self::Ninety => run.ninety,
            Self::Half => run.half,
            Self::End => run.all - run.half,
        }
    }

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "to all",
            Self::NinetyNine => "to 99 %",
            Self::Ninety => "to 90 %",
            Self::Half => "to 50 %",
            Self::End => "from 50 % to all",
        }
    }
}

/// All runs of one strategy at one size.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// N.
    pub nodes: f64,
    /// The runs.
    pub runs: Vec<Run>,
}

/// One strategy under one loss, by size.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The strategy's name with its parameters.
    pub strategy: String,
    /// Probability that a datagram is lost.
    pub loss: f64,
    /// By N, rising.
    pub cells: Vec<Cell>,
}

impl Series {
    /// Strategy and loss in words.
    #[must_use]
    pub fn title(&self) -> String {
        // As plans call it; not every font has the root.
        let strategy = self.strategy.replace("√-", "sqrt-");
        if self.loss == 0.0 { strategy } else { format!("{strategy}, p={}", self.loss) }
    }
}

/// Reads JSON Lines, in the order in which the strategies first come.
///
/// # Errors
/// The line and what is wrong with it.
pub fn read(input: impl Read) -> Result<Vec<Series>, String> {
    let mut all: Vec<Series> = Vec::new();
    for (number, line) in BufReader::new(input).lines().enumerate() {
        let wrong = |what: &str| format!("line {}: {what}", number + 1);
        let line = line.map_err(|error| wrong(&error.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let value: Value = serde_json::from_str(&line).map_err(|error| wrong(&error.to_string()))?;
        let missing = |key: &str| wrong(&format!("no \"{key}\": this is not a line of `gossip-sim kernel sweep`"));
        let number = |key: &str| value[key].as_f64().filter(|number| number.is_finite()).ok_or_else(|| missing(key));
        // A share that was never reached has no number.
        let rounds = |key: &str| match &value[key] {
            Value::Null if value.get(key).is_some() => Ok(f64::INFINITY),
            _ => number(key),
        };
        let run = Run {
            half: rounds("rounds_50")?,
            ninety: rounds("rounds_90")?,
            ninety_nine: rounds("rounds_99")?,
            all: rounds("rounds_all")?,
            copies: number("copies_per_node")?,
            datagrams: number("datagrams_per_node")?,
            out_max: number("out_max")?,
            in_max: value["in_max"].as_f64(),
        };
        let strategy = value["strategy"].as_str().ok_or_else(|| missing("strategy"))?;
        let (nodes, loss) = (number("nodes")?, number("loss")?);
        if nodes < 2.0 {
            return Err(wrong("fewer than two nodes"));
        }
        let place = all.iter().position(|series| series.strategy == strategy && series.loss == loss);
        let place = place.unwrap_or_else(|| {
            all.push(Series { strategy: strategy.to_owned(), loss, cells: Vec::new() });
            all.len() - 1
        });
        let cells = &mut all[place].cells;
        let cell = cells.partition_point(|cell| cell.nodes < nodes);
        if cells.get(cell).is_none_or(|cell| cell.nodes != nodes) {
            cells.insert(cell, Cell { nodes, runs: Vec::new() });
        }
        cells[cell].runs.push(run);
    }
    if all.is_empty() { Err("there are no runs".to_owned()) } else { Ok(all) }
}
