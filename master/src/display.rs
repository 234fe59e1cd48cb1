//! What the terminal shows: a bar for the current phase and a table of the nodes by state. Where standard error is no
//! terminal, plain lines.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use event_log::plan::node_name;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::fleet::{Fleet, State};

/// The table is drawn at most so often.
const TABLE_INTERVAL: Duration = Duration::from_millis(100);

/// Columns for the names of a state's nodes.
const NAMES_WIDTH: usize = 60;

/// The screen.
#[derive(Debug)]
pub struct Display {
    screen: Option<Screen>,
    phase: String,
    total: u64,
    quiet: bool,
}

#[derive(Debug)]
struct Screen {
    bars: MultiProgress,
    phase: ProgressBar,
    rows: Vec<ProgressBar>,
    drawn: Option<Instant>,
}

impl Display {
    /// A live screen when standard error is a terminal, plain lines otherwise.
    #[must_use]
    pub fn new() -> Self {
        let screen = std::io::stderr().is_terminal().then(Screen::new);
        Self { screen, phase: String::new(), total: 0, quiet: false }
    }

    /// Shows nothing (for tests).
    #[must_use]
    pub fn silent() -> Self {
        Self { screen: None, phase: String::new(), total: 0, quiet: true }
    }

    /// A phase begins that ends after `total` steps.
    pub fn phase(&mut self, text: &str, total: u64) {
        tracing::info!("{text}");
        self.phase = text.to_owned();
        self.total = total;
        match &self.screen {
            Some(screen) => {
                screen.phase.reset();
                screen.phase.set_length(total);
                screen.phase.set_message(text.to_owned());
            }
            None => self.line(&format!("{text} …")),
        }
    }

    /// So many steps of the phase are done.
    pub fn progress(&self, done: u64) {
        if let Some(screen) = &self.screen {
            screen.phase.set_position(done.min(self.total));
        }
    }

    /// Draws the table of nodes by state anew, unless that was done a moment ago.
    pub fn table(&mut self, fleet: &Fleet) {
        let Some(screen) = &mut self.screen else { return };
        if screen.drawn.is_some_and(|drawn| drawn.elapsed() < TABLE_INTERVAL) {
            return;
        }
        screen.drawn = Some(Instant::now());
        for ((row, name), nodes) in screen.rows.iter().zip(State::NAMES).zip(fleet.table()) {
            row.set_message(table_row(name, &nodes));
        }
    }

    /// Something that stays on the screen.
    pub fn note(&self, text: &str) {
        tracing::info!("{text}");
        self.line(text);
    }

    /// Something that is not as it should be.
    pub fn warn(&self, text: &str) {
        tracing::warn!("{text}");
        self.line(&format!("warning: {text}"));
    }

    /// Takes bar and table off the screen.
    pub fn finish(&mut self) {
        if let Some(screen) = self.screen.take() {
            screen.phase.finish_and_clear();
            for row in &screen.rows {
                row.finish_and_clear();
            }
        }
    }

    fn line(&self, text: &str) {
        if self.quiet {
            return;
        }
        match &self.screen {
            Some(screen) => {
                // A terminal that is gone must not end the experiment.
                let _ = screen.bars.println(text);
            }
            None => {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
        }
    }
}

impl Default for Display {
    fn default() -> Self {
        Self::new()
    }
}

impl Screen {
    fn new() -> Self {
        let bars = MultiProgress::new();
        let rows_style = ProgressStyle::with_template("{msg}").expect("the template is valid");
        let rows: Vec<ProgressBar> = State::NAMES
            .iter()
            .map(|name| {
                let row = bars.add(ProgressBar::new(0).with_style(rows_style.clone()));
                row.set_message(table_row(name, &[]));
                row
            })
            .collect();
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}  {elapsed}")
            .expect("the template is valid")
            .progress_chars("█▉ ");
        let phase = bars.add(ProgressBar::new(0).with_style(style));
        phase.enable_steady_tick(Duration::from_millis(200));
        Self { bars, phase, rows, drawn: None }
    }
}

fn table_row(state: &str, nodes: &[usize]) -> String {
    format!("  {state:<9}{:>5}  {}", nodes.len(), ranges(nodes))
}

/// `n001–n032, n040`, cut to the width of the table.
fn ranges(nodes: &[usize]) -> String {
    let name = |index: usize| node_name(u32::try_from(index).unwrap_or(u32::MAX - 1));
    let mut text = String::new();
    let mut rest = nodes;
    while let Some(&first) = rest.first() {
        let length = rest.iter().zip(first..).take_while(|(node, expected)| **node == *expected).count();
        let last = rest[length - 1];
        let range = match length {
            1 => name(first),
            2 => format!("{}, {}", name(first), name(last)),
            _ => format!("{}–{}", name(first), name(last)),
        };
        if text.chars().count() + range.chars().count() + 4 > NAMES_WIDTH {
            text.push_str(", …");
            break;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&range);
        rest = &rest[length..];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_drawn_together() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[0]), "n001");
        assert_eq!(ranges(&[0, 1]), "n001, n002");
        assert_eq!(ranges(&[0, 1, 2, 4, 6, 7]), "n001–n003, n005, n007, n008");
    }

    #[test]
    fn a_row_fits_the_screen_whatever_the_number_of_nodes() {
        let scattered: Vec<usize> = (0..4_000).step_by(2).collect();
        let row = table_row("crashed", &scattered);
        assert!(row.starts_with("  crashed   2000  n001, n003, "), "{row}");
        assert!(row.ends_with(", …") && row.chars().count() <= 80, "{row}");
    }
}
