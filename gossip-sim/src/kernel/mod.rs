//! Rumor spreading by rounds on the complete graph, at sizes that no state machine reaches.
//!
//! Two methods, one result. [`simulate_nodes`] plays every node (bits per node, threads, up to 10⁹ nodes); [`simulate_chain`]
//! draws from the exact law of the *number* of informed nodes (up to 10¹⁸) where that number is all that a strategy's future
//! depends on. A [`Spec`] says what to play, an [`Outcome`] what came of it; both are functions of the spec and the number of
//! the run alone, on every machine and with any number of threads.
//!
//! What it is not: the protocol. Here nodes have neither clocks nor latencies, all start their round together, and an answer
//! carries what was known when the round began. `docs/kernel.md` has the equations, their accuracy and the table of results.

pub mod chain;
mod error;
mod nodes;
mod outcome;
mod random;
mod strategy;

pub use chain::simulate_chain;
pub use error::KernelError;
pub use nodes::{Detail, Options, nodes_max, simulate_nodes};
pub use outcome::{Outcome, ROUNDS_MAX, Reached, Traffic};
pub use random::Stream;
pub use strategy::{Cap, HeavyTail, Spec, Strategy, aged_fanout, grown_fanout};
