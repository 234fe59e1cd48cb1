//! `gossip-sim inputs`: lives one node's recorded life again.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use gossip_core::{Instant, Key};
use gossip_sim::inputs::file::{Recorded, recordings};
use gossip_sim::inputs::replay::{Blind, Difference, Output, Played, play};
use gossip_sim::inputs::trace::{Trace, datagram_in_words};
use netem::spec::Span;

/// Plays what a node was given (recorded with `gossip-node --record`) into a fresh node, and holds what it sends and tells against
/// what the recorded one sent and told, byte for byte. Ends with 0 if all recordings are whole and equal, else with 1.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A recording, or a folder of them, or a result folder that has them (in `inputs`).
    path: PathBuf,
    /// Tell every input, datagram and event.
    #[arg(long)]
    trace: bool,
    /// Begin to tell so long after the node's birth.
    #[arg(long, value_name = "TIME", default_value = "0s")]
    from: Span,
    /// Stop telling so long after the node's birth.
    #[arg(long, value_name = "TIME")]
    to: Option<Span>,
    /// Show whom the node held for what, so long after its birth.
    #[arg(long, value_name = "TIME")]
    members: Option<Span>,
    /// The file of keys, in the form that the agent takes, where datagrams were sealed: all keys that the node ever had.
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let keys = arguments.keyring.as_deref().map(read_keys).transpose()?.unwrap_or_default();
    let paths = recordings(&arguments.path).map_err(|error| format!("{}: {error}", arguments.path.display()))?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut all_equal = true;
    for path in &paths {
        let told = one(arguments, path, &keys, &mut out);
        match told {
            Ok(equal) => all_equal &= equal,
            Err(Failure::File(message)) => {
                all_equal = false;
                // One bad file does not hide the others.
                if writeln!(out, "{}: {message}", path.display()).is_err() {
                    return Ok(ExitCode::FAILURE);
                }
            }
            // The reader of the pipe has gone.
            Err(Failure::Out) => return Ok(ExitCode::FAILURE),
        }
    }
    let _ = out.flush();
    Ok(if all_equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

enum Failure {
    File(String),
    Out,
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::Out
    }
}

fn one(arguments: &Arguments, path: &Path, keys: &[Key], out: &mut impl Write) -> Result<bool, Failure> {
    let file = |error: gossip_sim::inputs::file::FileError| Failure::File(error.to_string());
    let recording = Recorded::open(path).map_err(file)?;
    let name = recording.label("name").unwrap_or("?").to_owned();
    let about = format!(
        "{}: {name} at {}, seed {:#018x}, recorded by {} on {}",
        path.display(),
        recording.local,
        recording.birth.seed,
        recording.label("program").unwrap_or("?"),
        recording.label("started").unwrap_or("?")
    );
    writeln!(out, "{about}")?;
    let born = Instant::from_nanos(recording.birth.at_ns);
    let (local, cluster) = (recording.local, recording.birth.config.cluster);
    let played = if arguments.trace || arguments.members.is_some() {
        let between = (arguments.from.get(), arguments.to.map(Span::get));
        let members = arguments.members.map(Span::get);
        let mut trace = Trace::new(&mut *out, born, between, arguments.trace, members, keys);
        let played = play(recording, keys, &mut trace);
        if trace.error.is_some() {
            return Err(Failure::Out);
        }
        played
    } else {
        play(recording, keys, &mut Blind)
    };
    let played = played.map_err(file)?;
    summary(&played, out)?;
    match &played.difference {
        None => writeln!(out, "  equal: everything that came out then comes out again, byte for byte")?,
        Some(difference) => {
            tell_difference(difference, played.from, out, |to, bytes| {
                datagram_in_words(bytes, cluster, (local, to), keys)
            })?;
        }
    }
    Ok(played.difference.is_none())
}

fn summary(played: &Played, out: &mut impl Write) -> io::Result<()> {
    let span = played.to.since(played.from);
    let (datagrams, bytes) = played.sent;
    writeln!(
        out,
        "  {:.3} s, inputs: {}; sent: {datagrams} datagrams, {bytes} bytes; told: {} events",
        span.as_secs_f64(),
        played.inputs,
        played.events
    )?;
    played.end.map_or(Ok(()), |end| writeln!(out, "  {end}"))
}

fn tell_difference(
    difference: &Difference,
    born: Instant,
    out: &mut impl Write,
    datagram: impl Fn(std::net::SocketAddr, &[u8]) -> String,
) -> io::Result<()> {
    let at: Duration = difference.at.since(born);
    let words = |output: &Output| match output {
        Output::Nothing => "nothing".to_owned(),
        Output::Result(words) => format!("result: {words}"),
        Output::Event(words) => format!("event: {words}"),
        Output::Transmit { to, bytes } => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("datagram to {to}: {}\n              {hex}", datagram(*to, bytes))
        }
    };
    writeln!(out, "  DIFFERENT after input #{} ({:.6} s after the birth):", difference.input, at.as_secs_f64())?;
    writeln!(out, "    recorded: {}", words(&difference.recorded))?;
    writeln!(out, "    replayed: {}", words(&difference.replayed))
}

/// Keys in the form that the agent reads them: an id and 64 hexadecimal digits a line.
fn read_keys(path: &Path) -> Result<Vec<Key>, String> {
    event_log::keyring::read(path).map(|keyring| keyring.keys().to_vec()).map_err(|error| error.to_string())
}
