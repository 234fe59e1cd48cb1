//! `gossip-sim`: runs plans in virtual time, searches for seeds that break the protocol, and computes what no machine can run.

mod commands;
mod heap;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs gossip-core in virtual time.
#[derive(Debug, Parser)]
#[command(name = "gossip-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

/// One line per subcommand; each lives in its own file of `commands/`.
#[derive(Debug, Subcommand)]
enum Task {
    /// Rounds of rumor spreading on the complete graph: every node to 10⁹, exact chains to 10¹⁸.
    #[command(subcommand)]
    Kernel(commands::kernel::Task),
    Inputs(commands::inputs::Arguments),
    Latency(commands::latency::Arguments),
    /// A hundred thousand real nodes that all know each other: memory, joins, an event, a crash.
    Scale(commands::scale::Task),
    /// Runs a plan and writes a result folder, as gossip-master does with real nodes.
    Run(commands::run::Run),
    /// Checks a result: the hashes, the counts, that every run is complete.
    Verify(commands::verify::Verify),
    /// Runs a simulated result again, from its folder alone, and compares.
    Rerun(commands::rerun::Again),
    /// Runs the plans of chaos of many seeds, and stops at the first that breaks a promise.
    Seeds(commands::seeds::Args),
    /// Runs one plan again and writes down what happens.
    Replay(commands::replay::Args),
    /// Finds a smaller plan that still breaks the same promise.
    Shrink(commands::shrink::Args),
}

fn main() -> ExitCode {
    let result: Result<ExitCode, String> = match Cli::parse().command {
        Task::Kernel(task) => commands::kernel::run(task),
        Task::Inputs(arguments) => commands::inputs::run(&arguments),
        Task::Latency(arguments) => commands::latency::run(&arguments),
        Task::Scale(task) => commands::scale::run_task(&task),
        Task::Run(arguments) => commands::run::run(&arguments),
        Task::Verify(arguments) => commands::verify::run(&arguments),
        Task::Rerun(arguments) => commands::rerun::run(&arguments),
        Task::Seeds(args) => commands::seeds::run(&args),
        Task::Replay(args) => commands::replay::run(&args),
        Task::Shrink(args) => commands::shrink::run(&args),
    };
    result.unwrap_or_else(|message| {
        // Not eprintln: it panics where the terminal is gone.
        let _ = writeln!(std::io::stderr(), "gossip-sim: {message}");
        ExitCode::FAILURE
    })
}
