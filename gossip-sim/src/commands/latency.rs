//! `gossip-sim latency`: how long datagrams took on a real cluster, as a table that a plan's `[network]` takes.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use gossip_sim::inputs::file::recordings;
use gossip_sim::inputs::latency::{Collected, Measured, quantiles};
use netem::spec::Span;

/// Measures one-way times from the recordings of a result (`--record-inputs`): from the moment at which a node was asked for a
/// datagram to the moment at which the other node was given it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A result folder with recordings (in `inputs`), or a folder of recordings.
    path: PathBuf,
    /// Only of datagrams that were sent so soon after an event began: under the load that events make.
    #[arg(long, value_name = "TIME")]
    after_events: Option<Span>,
    /// Quantiles in the table.
    #[arg(long, default_value_t = 1001, value_parser = clap::value_parser!(u16).range(2..=10_001))]
    quantiles: u16,
    /// Write the table there, in the form of a plan's `[network]`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The file of keys, in the form that the agent takes, where datagrams were sealed.
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let keys = match &arguments.keyring {
        Some(path) => event_log::keyring::read(path).map_err(|error| error.to_string())?.keys().to_vec(),
        None => Vec::new(),
    };
    let mut collected = Collected::default();
    for path in recordings(&arguments.path).map_err(|error| format!("{}: {error}", arguments.path.display()))? {
        collected.add(&path, &keys)?;
    }
    let after = arguments.after_events.map(|span| u64::try_from(span.get().as_nanos()).unwrap_or(u64::MAX));
    let measured = collected.measure(after);
    let summary = summary(&measured, collected.recordings);
    if measured.one_way.is_empty() {
        return Err("no datagram was both sent and received by recorded nodes".to_owned());
    }
    print!("{summary}");
    if let Some(path) = &arguments.out {
        std::fs::write(path, table(&measured, &summary, usize::from(arguments.quantiles)))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

const SHOWN: [(f64, &str); 8] = [
    (0.0, "least"),
    (0.1, "10 %"),
    (0.5, "50 %"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
    (1.0, "greatest"),
];

fn summary(measured: &Measured, recordings: usize) -> String {
    let mut text = format!(
        "{recordings} recordings, all replayed equal; {} datagrams between them, {} not received, {} received and not sent\n",
        measured.sent, measured.unmatched, measured.unknown
    );
    for (name, sorted) in [("one-way time", &measured.one_way), ("lateness of timers", &measured.timers)] {
        let Some(last) = sorted.len().checked_sub(1) else { continue };
        let mean = sorted.iter().map(|ns| *ns as f64).sum::<f64>() / sorted.len() as f64;
        let _ = write!(text, "{name}, µs, n = {}: mean {:.0}", sorted.len(), mean / 1e3);
        for (q, label) in SHOWN {
            let value = sorted[(q * last as f64).round() as usize];
            let _ = write!(text, ", {label} {:.0}", value as f64 / 1e3);
        }
        text.push('\n');
    }
    text
}

/// The table in the form of a plan.
fn table(measured: &Measured, summary: &str, count: usize) -> String {
    let mut text = String::new();
    for line in summary.lines() {
        let _ = writeln!(text, "# {line}");
    }
    let _ = write!(text, "[network]\nlatency = {{ table = [");
    for (place, ns) in quantiles(&measured.one_way, count).into_iter().enumerate() {
        let comma = if place == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}\"{}\"", humantime::format_duration(Duration::from_nanos(ns)));
    }
    text.push_str("] }\n");
    text
}
