//! Chaos: from a seed to a plan of faults over a random configuration, the run of a plan, and a smaller plan that still fails.
//!
//! What must hold meanwhile is the checkers' business ([`crate::checkers`]); what is promised, and how to read and replay a failing
//! seed, is in `docs/chaos.md`.

mod acts;
mod draw;
mod generate;
pub mod plan;
mod run;
pub mod shrink;
mod tally;
mod trace;

pub use self::generate::plan as plan_of;
pub use self::plan::Plan;
pub use self::run::{Outcome, run};
pub use self::tally::Tally;
pub use self::trace::Trace;
