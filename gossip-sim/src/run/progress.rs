//! What the terminal shows while plans run: how far each run is, how fast, and how long it will still take. Where standard error
//! is no terminal, a line for each run that is over.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// How far one run is: written by the thread that runs it, read by the one that shows it.
#[derive(Debug, Default)]
pub struct Gauge {
    virtual_ns: AtomicU64,
    steps: AtomicU64,
    /// Of the run's events, in millionths.
    share: AtomicU64,
    phase: Mutex<String>,
}

impl Gauge {
    /// It is doing something else now.
    pub fn phase(&self, text: &str) {
        text.clone_into(&mut self.phase.lock().expect("no holder of this lock panics"));
    }

    /// So much virtual time has passed, in so many steps.
    pub fn at(&self, now: Duration, steps: u64) {
        self.virtual_ns.store(now.as_nanos() as u64, Ordering::Relaxed);
        self.steps.store(steps, Ordering::Relaxed);
    }

    /// So much of it is done.
    pub fn share(&self, share: f64) {
        self.share.store((share * 1e6) as u64, Ordering::Relaxed);
    }

    fn done(&self) -> f64 {
        self.share.load(Ordering::Relaxed) as f64 / 1e6
    }

    fn line(&self) -> (f64, u64, String) {
        let seconds = self.virtual_ns.load(Ordering::Relaxed) as f64 / 1e9;
        let phase = self.phase.lock().expect("no holder of this lock panics").clone();
        (seconds, self.steps.load(Ordering::Relaxed), phase)
    }
}

/// Whether progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// On standard error.
    Yes,
    /// Nowhere: for tests.
    No,
}

/// The screen.
#[derive(Debug)]
pub(super) struct Display {
    show: Show,
    screen: Option<(MultiProgress, ProgressBar)>,
    started: Instant,
}

impl Display {
    pub(super) fn new(show: Show) -> Self {
        let screen = (show == Show::Yes && std::io::stderr().is_terminal()).then(|| {
            let bars = MultiProgress::new();
            let style = ProgressStyle::with_template("{bar:24} {msg}").expect("the template is valid");
            let bar = bars.add(ProgressBar::new(1_000).with_style(style.progress_chars("█▉ ")));
            (bars, bar)
        });
        Self { show, screen, started: Instant::now() }
    }

    /// Draws anew: `runs` are the name, the weight and the gauge of each, and whether it is over.
    pub(super) fn draw(&self, runs: &[(String, f64, &Gauge, bool)]) {
        let Some((_, bar)) = &self.screen else { return };
        let total: f64 = runs.iter().map(|(_, weight, ..)| weight).sum();
        let share = |gauge: &Gauge, over: bool| if over { 1.0 } else { gauge.done() };
        let done: f64 = runs.iter().map(|(_, weight, gauge, over)| weight * share(gauge, *over)).sum::<f64>() / total;
        let wall = self.started.elapsed().as_secs_f64().max(1e-9);
        let (mut steps, mut seconds) = (0, 0.0);
        let mut going = Vec::new();
        for (name, _, gauge, over) in runs {
            let (virtual_seconds, run_steps, phase) = gauge.line();
            steps += run_steps;
            seconds += virtual_seconds;
            if !over && !phase.is_empty() {
                going.push(format!("{name}: {phase}, {virtual_seconds:.1} s"));
            }
        }
        bar.set_position((done * 1e3) as u64);
        bar.set_message(message(steps, seconds, wall, done, &going));
    }

    /// Something that stays on the screen.
    pub(super) fn note(&self, text: &str) {
        match &self.screen {
            // A terminal that is gone must not end the run.
            Some((bars, _)) => drop(bars.println(text)),
            None if self.show == Show::Yes => drop(writeln!(std::io::stderr(), "{text}")),
            None => {}
        }
    }

    pub(super) fn finish(&self) {
        if let Some((_, bar)) = &self.screen {
            bar.finish_and_clear();
        }
    }
}

fn message(steps: u64, virtual_seconds: f64, wall: f64, done: f64, going: &[String]) -> String {
    let rate = steps as f64 / wall / 1e6;
    let speed = virtual_seconds / wall;
    let left = if done > 0.01 { format!(", {} left", span(wall * (1.0 - done) / done)) } else { String::new() };
    let shown = going.first().map(String::as_str).unwrap_or_default();
    let more = if going.len() > 1 { format!(" and {} more", going.len() - 1) } else { String::new() };
    format!("{:.0} %, {rate:.2} M steps/s, {speed:.3}x real time{left}  {shown}{more}", done * 100.0)
}

fn span(seconds: f64) -> String {
    match seconds as u64 {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        s => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_rate_speed_and_what_is_left() {
        let going = ["N = 64 · no faults: event 3 of 20, 5.0 s".to_owned(), "x".to_owned()];
        assert_eq!(
            message(3_000_000, 50.0, 2.0, 0.25, &going),
            "25 %, 1.50 M steps/s, 25.000x real time, 6 s left  N = 64 · no faults: event 3 of 20, 5.0 s and 1 more"
        );
        assert_eq!(message(0, 0.0, 1.0, 0.0, &[]), "0 %, 0.00 M steps/s, 0.000x real time  ");
        assert_eq!((span(61.9), span(7_260.0)), ("1 min 01 s".to_owned(), "2 h 01 min".to_owned()));
    }
}
