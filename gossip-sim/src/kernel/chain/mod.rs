//! Exact Markov chains: one draw per round of how many nodes learn, in place of one per node.
//!
//! One file per kind of state: `count` (how many are informed), `classes` (how many of each fan-out), `one_answer`, and
//! `poisson` (in continuous time); below them the laws: `occupancy`, `binomial`, `law`.

mod binomial;
mod classes;
mod count;
mod law;
mod occupancy;
mod one_answer;
mod poisson;

use super::error::KernelError;
use super::outcome::{Outcome, ROUNDS_MAX, Traffic};
use super::random::{Key, Stream};
use super::strategy::{Spec, Strategy, grown_fanout};

pub use occupancy::{Method, Occupancy};

/// The most nodes of an exact chain.
pub(crate) const NODES_MAX: u64 = 1_000_000_000_000_000_000;

/// A strategy whose state is one or a few counts.
trait Chain {
    /// Plays one round; what it cost.
    fn round(&mut self, stream: &mut Stream) -> Traffic;
    /// Nodes that do not know the rumor.
    fn uninformed(&self) -> u64;
}

/// Draws one run from the exact law: run number `run` of the experiment that `spec` describes.
///
/// # Errors
/// A spec that makes no sense, or one whose strategy's state is no count.
pub fn simulate_chain(spec: &Spec, run: u64) -> Result<Outcome, KernelError> {
    spec.check()?;
    if spec.nodes > NODES_MAX {
        let (nodes, strategy) = (spec.nodes, spec.strategy);
        return Err(KernelError::TooMany { nodes, max: NODES_MAX, method: "the exact chain", strategy });
    }
    let mut stream = Key::of_run(spec.seed, run).child(0).stream();
    match spec.strategy {
        Strategy::Push { fanout } => Ok(play(spec, count::Count::new(spec, fanout, true, false), &mut stream)),
        Strategy::Pull { fanout } => Ok(play(spec, count::Count::new(spec, fanout, false, true), &mut stream)),
        Strategy::PushPull { fanout } => Ok(play(spec, count::Count::new(spec, fanout, true, true), &mut stream)),
        Strategy::PushPullGrow => {
            Ok(play(spec, count::Count::new(spec, grown_fanout(spec.nodes), true, true), &mut stream))
        }
        Strategy::PushPullAging => Ok(play(spec, count::Count::aging(spec), &mut stream)),
        Strategy::HeavyTail(tail) => {
            let chain = classes::Classes::new(spec, &tail, &mut stream);
            Ok(play(spec, chain, &mut stream))
        }
        Strategy::OneAnswer => Ok(play(spec, one_answer::OneAnswer::new(spec), &mut stream)),
        Strategy::Poisson => Ok(poisson::simulate(spec, &mut stream)),
        other @ (Strategy::MedianCounter | Strategy::SqrtTree { .. } | Strategy::Cluster) => {
            Err(KernelError::NotACount(other))
        }
    }
}

fn play(spec: &Spec, mut chain: impl Chain, stream: &mut Stream) -> Outcome {
    let mut outcome = Outcome::default();
    for round in 0..=ROUNDS_MAX {
        let informed = spec.nodes - chain.uninformed();
        outcome.note(f64::from(round), informed, spec.nodes);
        if informed == spec.nodes {
            break;
        }
        outcome.traffic.add(chain.round(stream));
    }
    outcome
}
