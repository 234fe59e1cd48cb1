//! One subcommand per file.

pub(crate) mod inputs;
pub(crate) mod kernel;
pub(crate) mod latency;
pub(crate) mod replay;
pub(crate) mod rerun;
pub(crate) mod run;
pub(crate) mod scale;
pub(crate) mod seeds;
pub(crate) mod shrink;
pub(crate) mod verify;
