//! `serf-node`: a node of an experiment that is a Serf agent. It understands the flags of `gossip-node` that the master gives, starts
//! `serf agent` as it is, and stamps what that says.
//!
//! What it cannot know it says so: hops are 0, an event's teller is its origin. Of the faults it knows loss.

mod agent;
mod rpc;
mod wire;

use std::process::ExitCode;

use clap::Parser;
use gossip_node::config::Args;

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let fail = |error: String| {
        eprintln!("serf-node: {error}");
        ExitCode::FAILURE
    };
    let config = match Args::parse().resolve() {
        Ok(config) => config,
        Err(error) => return fail(error.to_string()),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(error.to_string()),
    };
    match runtime.block_on(agent::run(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error.to_string()),
    }
}
