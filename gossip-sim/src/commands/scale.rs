//! `gossip-sim scale`: the great run.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use gossip_sim::scale::{Meter, Phase, Sample, Scale, run};

use crate::heap;

/// Arguments of `scale`.
#[derive(Debug, Args)]
pub(crate) struct Task {
    /// Nodes that know each other from birth.
    #[arg(long, default_value_t = 10_000)]
    nodes: u32,
    /// Nodes that join; a two-hundredth if not given.
    #[arg(long)]
    joins: Option<u32>,
    /// Those of them that know nobody; the others come with the membership.
    #[arg(long, default_value_t = 1)]
    from_nothing: u32,
    /// The master seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds of virtual time between two renewals of the shared view.
    #[arg(long, default_value_t = 1.0)]
    share_every: f64,
    /// Seconds of virtual time for which the idle cluster is watched.
    #[arg(long, default_value_t = 5.0)]
    idle: f64,
    /// Most gibibytes that the process may hold.
    #[arg(long, default_value_t = 20.0)]
    resident_max: f64,
    /// Say nothing while a phase lasts.
    #[arg(long)]
    quiet: bool,
}

pub(crate) fn run_task(task: &Task) -> Result<ExitCode, String> {
    let scale = Scale {
        joins: task.joins.unwrap_or_else(|| Scale::of(task.nodes).joins),
        from_nothing: task.from_nothing,
        seed: task.seed,
        share_every: Duration::try_from_secs_f64(task.share_every)
            .map_err(|error| format!("--share-every: {error}"))?,
        idle: Duration::try_from_secs_f64(task.idle).map_err(|error| format!("--idle: {error}"))?,
        ..Scale::of(task.nodes)
    };
    if task.nodes < 20 || scale.joins < scale.from_nothing || scale.share_every.is_zero() {
        return Err("at least 20 nodes, as many joins as come from nothing, and some time between renewals".into());
    }
    let mut meter = Machine { begun: Instant::now(), quiet: task.quiet };
    say(&format!(
        "{} nodes, each with a membership of {0}; {} join ({} of them from nothing) over {:?}; seed {}; {}",
        scale.nodes,
        scale.joins,
        scale.from_nothing,
        scale.join_span,
        scale.seed,
        load(),
    ));
    run(&scale, &mut meter).map_err(|failure| format!("failed: {failure}"))?;
    let end = meter.sample();
    let peak = end.resident_peak as f64 / GIB;
    say(&format!(
        "all phases: wall {:.1} s, cpu {:.1} s, peak {peak:.2} GiB; {}",
        seconds(end.wall),
        seconds(end.cpu),
        load()
    ));
    if peak > task.resident_max {
        return Err(format!("failed: {peak:.2} GiB were held, of which {} are allowed", task.resident_max));
    }
    Ok(ExitCode::SUCCESS)
}

const GIB: f64 = (1_u64 << 30) as f64;
const MIB: f64 = (1_u64 << 20) as f64;

struct Machine {
    begun: Instant,
    quiet: bool,
}

impl Meter for Machine {
    fn sample(&mut self) -> Sample {
        let (resident, resident_peak) = resident();
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Sample {
            wall: self.begun.elapsed(),
            cpu: Duration::new(cpu.tv_sec as u64, cpu.tv_nsec as u32),
            heap: Some(heap::in_use()),
            resident,
            resident_peak,
        }
    }

    fn on_phase(&mut self, phase: &Phase) {
        let Phase { name, virtual_time, wall, cpu, datagrams, after, view, bytes_per_node, found } = phase;
        say(&format!(
            "{name:<10} virtual {:6.1} s  wall {:7.1} s  cpu {:7.1} s  datagrams {datagrams:>11}  resident {:6.0} MiB  peak {:6.0} MiB  \
             heap {:6.0} MiB  view {:4.1} MiB  beside it {} B per node",
            seconds(*virtual_time),
            seconds(*wall),
            seconds(*cpu),
            after.resident as f64 / MIB,
            after.resident_peak as f64 / MIB,
            after.heap.unwrap_or(0) as f64 / MIB,
            view.unwrap_or(0) as f64 / MIB,
            bytes_per_node.unwrap_or(0),
        ));
        for (what, value) in found {
            say(&format!("           {what}: {value}"));
        }
    }

    fn on_progress(&mut self, phase: &str, now: Duration, of: String) {
        if !self.quiet {
            let sample = self.sample();
            let line = format!(
                "  [{phase} at {:.1} s: {of}; wall {:.0} s, resident {:.0} MiB]",
                seconds(now),
                seconds(sample.wall),
                sample.resident as f64 / MIB
            );
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }
}

fn seconds(span: Duration) -> f64 {
    span.as_secs_f64()
}

/// Who else uses the machine: a time without that says little.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("load {load} on {cores} cores")
}

/// Bytes of memory that this process holds, now and at most; zeros where that is not told.
fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |field: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    };
    (kib("VmRSS:") << 10, kib("VmHWM:") << 10)
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
