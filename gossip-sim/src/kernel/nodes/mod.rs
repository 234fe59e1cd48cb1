//! Every node played: Monte Carlo of synchronous rounds, one bit per node where the state allows.
//!
//! A strategy is one small file behind the trait [`Protocol`]. Work is cut into chunks of 65,536 nodes, each with a stream of its
//! own in each round and phase; what chunks do to others is setting bits and adding numbers, which commutes. So a run is the
//! same on any number of threads.

mod aging;
mod bits;
mod cluster;
mod fanout;
mod median_counter;
mod one_answer;
mod parallel;
mod poisson;
mod sqrt_tree;
mod uniform;
mod world;

use super::error::KernelError;
use super::outcome::{Outcome, ROUNDS_MAX};
use super::random::Key;
use super::strategy::{Spec, Strategy, grown_fanout};
use fanout::{Fanout, Tail};
use uniform::Uniform;
use world::{Done, World};

/// How much is drawn and counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Detail {
    /// Calls that can change nothing are not drawn, only counted: the same in distribution, and quickest.
    #[default]
    Fast,
    /// Every call is drawn.
    EveryCall,
    /// Every call is drawn, and what arrives at each node is counted: eight more bytes per node.
    Loads,
}

/// How to simulate; nothing in here but [`Detail`] changes what comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Threads to use, at least 1.
    pub threads: usize,
    /// How much is drawn.
    pub detail: Detail,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: 1, detail: Detail::default() }
    }
}

/// A strategy, node by node.
trait Protocol {
    /// Plays one round: reads who knew when it began, adds who learns.
    fn round(&mut self, world: &World) -> Done;

    /// Whether the round after everybody knows is still played, since the nodes do not know that they all know.
    fn goes_on(&self) -> bool {
        false
    }

    /// Whether nobody will ever send again.
    fn silent(&self) -> bool {
        false
    }
}

impl Protocol for Uniform {
    fn round(&mut self, world: &World) -> Done {
        Uniform::round(self, world)
    }
}

/// Plays one run with all its nodes: run number `run` of the experiment that `spec` describes. `watch` is called after every
/// round with its number and the nodes informed.
///
/// # Errors
/// A spec that makes no sense, or more nodes than memory is meant for.
pub fn simulate_nodes(
    spec: &Spec,
    run: u64,
    options: &Options,
    watch: &mut dyn FnMut(u64, u64),
) -> Result<Outcome, KernelError> {
    spec.check()?;
    let max = nodes_max(spec.strategy, options.detail);
    if spec.nodes > max {
        let (nodes, strategy) = (spec.nodes, spec.strategy);
        return Err(KernelError::TooMany { nodes, max, method: "the simulation of every node", strategy });
    }
    let key = Key::of_run(spec.seed, run).child(1);
    let uniform = |fanout, push, pull| Uniform { fanout, asks: None, push, pull };
    let same = |fanout: u32| Fanout::Same(u64::from(fanout));
    let mut protocol: Box<dyn Protocol> = match spec.strategy {
        Strategy::Push { fanout } => Box::new(uniform(same(fanout), true, false)),
        Strategy::Pull { fanout } => Box::new(uniform(same(fanout), false, true)),
        Strategy::PushPull { fanout } => Box::new(uniform(same(fanout), true, true)),
        Strategy::PushPullGrow => Box::new(uniform(same(grown_fanout(spec.nodes)), true, true)),
        Strategy::PushPullAging => Box::new(aging::Aging::new(spec.nodes)),
        Strategy::HeavyTail(tail) => {
            Box::new(uniform(Fanout::Tail(Tail::new(&tail, spec.nodes, key.child(u64::MAX))), true, true))
        }
        Strategy::MedianCounter => Box::new(median_counter::MedianCounter::new(spec.nodes)),
        Strategy::OneAnswer => Box::new(one_answer::OneAnswer::new(spec.nodes)),
        Strategy::SqrtTree { split_max, repair } => {
            Box::new(sqrt_tree::SqrtTree::new(spec.nodes, split_max, repair, uniform(same(1), true, true)))
        }
        Strategy::Cluster => Box::new(cluster::Cluster::new(spec.nodes)),
        Strategy::Poisson => return Ok(poisson::simulate(spec, &mut key.stream())),
    };
    Ok(play(&mut World::new(spec, options, key), &mut *protocol, watch))
}

/// The most nodes: numbers of nodes are kept in 32 bits, and memory is to stay within 2 GiB.
#[must_use]
pub fn nodes_max(strategy: Strategy, detail: Detail) -> u64 {
    let own = match strategy {
        Strategy::Push { .. } | Strategy::Pull { .. } | Strategy::PushPull { .. } => 4_000_000_000,
        Strategy::PushPullGrow | Strategy::PushPullAging | Strategy::HeavyTail(_) => 4_000_000_000,
        Strategy::MedianCounter => 1_200_000_000,
        Strategy::OneAnswer | Strategy::Poisson | Strategy::SqrtTree { .. } => 200_000_000,
        Strategy::Cluster => 50_000_000,
    };
    if detail == Detail::Loads { own.min(200_000_000) } else { own }
}

fn play(world: &mut World, protocol: &mut dyn Protocol, watch: &mut dyn FnMut(u64, u64)) -> Outcome {
    let mut outcome = Outcome::default();
    outcome.note(0.0, 1, world.nodes);
    for round in 1..=u64::from(ROUNDS_MAX) {
        if world.uninformed == 0 && !protocol.goes_on() || protocol.silent() {
            break;
        }
        let mut done = protocol.round(world);
        world.commit(&mut done);
        outcome.traffic.add(done.traffic);
        outcome.note(round as f64, world.informed(), world.nodes);
        watch(round, world.informed());
    }
    outcome
}
