//! How rounds grow with N over decades that only mathematics reaches: laws fitted, compared and tested.
//!
//! [`runs`] reads what `gossip-sim kernel sweep` wrote; [`fits`] fits laws chosen beforehand and says what the sizes and the
//! number of runs could have told apart; [`study`] does so for each strategy; [`figures`] and [`report`] show it.
//!
//! Three answers, the first of which decides where laws of two parameters all miss the points, as they do for the heavy
//! tail: b of a + b·log₂ N + c·log₂ log₂ N over windows that begin at ever larger N (it falls to 0 where log log N is the truth);
//! the slope over the last decades against that over the first; and which law that was fitted below a million nodes predicts the rest.

pub mod figures;
pub mod fits;
pub mod report;
pub mod runs;
pub mod study;

#[cfg(test)]
mod tests;
