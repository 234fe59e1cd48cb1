//! The core's median counter: against a model of its own, against the kernel's, and against push-pull in the rounds that are run for
//! real.
//!
//! The kernel plays the paper. The core differs where its messages differ: rounds overlap (see `lab.rs`), a call of a node that brings
//! no copy is no contact, and an uninformed node that is called answers with a copy. The model here has these differences and must agree
//! with the core in distribution; how far the kernel is from both is printed and bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gossip_core::wire::{self, Item};
use gossip_core::{Command, Config, Event, Fanout};
use gossip_sim::kernel::{Options, Spec, Strategy, Stream, simulate_nodes};
use gossip_sim::{Cluster, Fate, Latency, Network, NodeId, Observer};

use crate::brute::somebody_else;
use crate::stats::{Counts, counts, mean, passes, runs, same};

/// When each node heard of the event, and how often it was told.
#[derive(Default)]
struct Telling {
    heard: BTreeMap<NodeId, Duration>,
    copies: u64,
    /// Copies by the node that sent them and its round.
    sent: BTreeMap<(NodeId, u64), u64>,
}

impl Observer<u16> for Telling {
    fn on_event(&mut self, now: Duration, node: NodeId, event: &Event<u16>) {
        if matches!(event, Event::UserEvent { .. }) {
            self.heard.entry(node).or_insert(now);
        }
    }

    fn on_sent(&mut self, now: Duration, from: NodeId, _: u16, bytes: &[u8], _: Fate) {
        let datagram = wire::decode::<u16>(bytes, Config::lab().cluster).expect("what a node sends decodes");
        let copies = datagram.items.filter(|item| matches!(item, Item::Rumor(_))).count() as u64;
        self.copies += copies;
        *self.sent.entry((from, now.as_millis() as u64 / 1000)).or_default() += copies;
    }
}

const LATENCY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(200));

/// What one event came to.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// Rounds to all.
    all: u64,
    copies: u64,
}

fn play(seed: u64, config: &Config, size: u32, loss: f64, latency: (Duration, Duration)) -> (Run, Telling) {
    let mut cluster: Cluster<u16, Telling> = Cluster::with_view(seed, config, size, Telling::default());
    let latency = Latency::Uniform { min: latency.0, max: latency.1 };
    cluster.set_network(Network { loss, ..Network::with_latency(latency) });
    // Between two rounds, which begin at whole seconds of the clocks in the preset lab.
    cluster.run_for(Duration::from_millis(2_700));
    let start = cluster.now();
    cluster.command(0, Command::event(b"x")).expect("a node starts an event");
    let round = config.gossip_interval;
    cluster.run_for(round * 60);
    let mut heard: BTreeSet<NodeId> = cluster.observer().heard.keys().copied().collect();
    heard.insert(0);
    assert_eq!(heard.len(), size as usize, "all know it");
    let first_round = round * (start.as_millis() / round.as_millis()) as u32;
    let last = cluster.observer().heard.values().max().copied().expect("somebody heard");
    let all = ((last - first_round).as_millis() / round.as_millis()) as u64;
    let telling = cluster.into_observer();
    (Run { all, copies: telling.copies }, telling)
}

/// The state of a node of the model: 0 does not know, 1 learnt in this round, then B-1, B-2, C (its rounds), and silent.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Uninformed,
    Learnt,
    B(u8),
    C(u8),
    Silent,
}

/// What a copy says.
fn counter(state: State) -> Option<u8> {
    match state {
        State::Uninformed | State::Silent => None,
        State::Learnt => Some(0),
        State::B(m) => Some(m),
        State::C(_) => Some(u8::MAX),
    }
}

/// The same by its model: all call at the beginning of a round; a datagram takes a uniform time; the called answers at once, if it can
/// say something about a copy that it was told, or can tell what the caller does not know.
fn modelled(size: usize, loss: f64, stream: &mut Stream) -> Run {
    let ln = (size as f64).ln();
    let (limit, age_max) = (ln.ln().ceil() as u8, 4 * ln.ceil() as u64);
    let mut states = vec![State::Uninformed; size];
    states[0] = State::Learnt;
    let (mut votes, mut heard_c) = (vec![0_i32; size], vec![false; size]);
    let mut run = Run { all: 0, copies: 0 };
    for round in 1_u64.. {
        for node in 0..size {
            let vote = std::mem::take(&mut votes[node]);
            let contagious = std::mem::take(&mut heard_c[node]);
            // The event is 0.3 rounds old at the first of them.
            let old = round > age_max;
            states[node] = match states[node] {
                State::Learnt if contagious || old => State::C(1),
                State::Learnt => State::B(1),
                State::B(_) if old => State::Silent,
                State::B(_) if contagious => State::C(1),
                State::B(m) if vote > 0 && m == limit => State::C(1),
                State::B(m) if vote > 0 => State::B(m + 1),
                State::C(rounds) if rounds == limit => State::Silent,
                State::C(rounds) => State::C(rounds + 1),
                same => same,
            };
        }
        if states.iter().all(|state| *state == State::Silent) {
            return run;
        }
        // Time of arrival, whom, the caller if it is a call, what it tells, and whether its sender knows.
        type Flight = (usize, Option<usize>, Option<u8>, bool);
        let mut flights: BTreeMap<(u64, usize), Flight> = BTreeMap::new();
        let span = (LATENCY.1 - LATENCY.0).as_nanos() as u64;
        let mut serial = 0;
        let mut send = |flights: &mut BTreeMap<_, _>, at: u64, flight: Flight, stream: &mut Stream| {
            run.copies += u64::from(flight.2.is_some());
            if stream.unit() >= loss {
                serial += 1;
                flights.insert((at + LATENCY.0.as_nanos() as u64 + stream.below(span), serial), flight);
            }
        };
        for (me, &state) in states.iter().enumerate() {
            let flight = (somebody_else(me, size, stream), Some(me), counter(state), state != State::Uninformed);
            send(&mut flights, 0, flight, stream);
        }
        while let Some(((at, _), (to, caller, told, sender_knows))) = flights.pop_first() {
            if let Some(theirs) = told {
                heard_c[to] |= theirs == u8::MAX;
                match states[to] {
                    State::Uninformed => (states[to], run.all) = (State::Learnt, round),
                    State::B(mine) => votes[to] += if theirs >= mine { 1 } else { -1 },
                    State::Learnt | State::C(_) | State::Silent => {}
                }
            }
            let knows = states[to] != State::Uninformed;
            if let Some(caller) = caller.filter(|_| told.is_some() || (knows && !sender_knows))
                && let Some(mine) = counter(states[to])
            {
                send(&mut flights, at, (caller, None, Some(mine), true), stream);
            }
        }
    }
    unreachable!("rounds without end");
}

fn means(of: &[Run], what: impl Fn(&Run) -> f64) -> (f64, f64) {
    mean(&of.iter().map(what).collect::<Vec<_>>())
}

#[test]
fn the_median_counter_of_the_core_is_that_of_its_model_and_near_the_kernels() {
    let config =
        Config { strategy: gossip_core::Strategy::MedianCounter { fanout: Fanout::Fixed(1) }, ..Config::lab() };
    for (size, loss, real_runs) in [(64, 0.0, 2000), (64, 0.05, 2000), (1000, 0.0, 300), (1000, 0.05, 300)] {
        let played: Vec<Run> = (0..runs(real_runs)).map(|seed| play(seed, &config, size, loss, LATENCY).0).collect();
        let mut stream = Stream::new(size.into());
        let model: Vec<Run> = (0..runs(real_runs * 5)).map(|_| modelled(size as usize, loss, &mut stream)).collect();
        let spec = Spec { strategy: Strategy::MedianCounter, nodes: size.into(), loss, seed: 1 };
        let kernel: Vec<Run> = (0..runs(real_runs * 5))
            .map(|run| simulate_nodes(&spec, run, &Options::default(), &mut |_, _| {}).expect("a valid spec"))
            .filter_map(|outcome| Some(Run { all: outcome.reached.all? as u64, copies: outcome.traffic.rumor as u64 }))
            .collect();
        let nodes = f64::from(size);
        let copies = [&played, &model, &kernel].map(|of| means(of, |run| run.copies as f64 / nodes));
        let rounds = [&played, &model, &kernel].map(|of| means(of, |run| run.all as f64));
        println!(
            "N = {size}, p = {loss}: copies per node, core {:.3} ± {:.3}, model {:.3} ± {:.3}, kernel {:.3} ± {:.3}; \
             rounds to all, core {:.3} ± {:.3}, model {:.3} ± {:.3}, kernel {:.3} ± {:.3}",
            copies[0].0,
            copies[0].1,
            copies[1].0,
            copies[1].1,
            copies[2].0,
            copies[2].1,
            rounds[0].0,
            rounds[0].1,
            rounds[1].0,
            rounds[1].1,
            rounds[2].0,
            rounds[2].1,
        );
        let all = |of: &[Run]| -> Counts { counts(of.iter().map(|run| run.all)) };
        passes(&format!("N = {size}, p = {loss}: core and model, all"), same(&all(&played), &all(&model)));
        let error = 5.0 * (copies[0].1.powi(2) + copies[1].1.powi(2)).sqrt();
        assert!((copies[0].0 - copies[1].0).abs() < error, "copies of the core and of its model");
        assert!((copies[0].0 / copies[2].0 - 1.0).abs() < 0.15, "copies of the core and of the kernel");
        let error = 4.0 * (rounds[0].1.powi(2) + rounds[2].1.powi(2)).sqrt();
        let lead = rounds[2].0 - rounds[0].0;
        assert!(lead > -error && lead < 2.0, "the core is {lead} rounds ahead of the kernel");
    }
}

#[test]
fn the_median_counter_tells_all_with_fewer_copies_than_a_number_of_times() {
    let (size, latency) = (1000, (Duration::from_millis(1), Duration::from_millis(5)));
    for loss in [0.0, 0.05] {
        let fanout = Fanout::Fixed(1);
        let [counter, times] =
            [gossip_core::Strategy::MedianCounter { fanout }, gossip_core::Strategy::PushPull { fanout }].map(
                |strategy| {
                    let config = Config { strategy, idle_calls: true, ..Config::lan() };
                    let played: Vec<(Run, u64)> = (0..runs(50))
                        .map(|seed| {
                            let (run, telling) = play(seed, &config, size, loss, latency);
                            (run, telling.sent.values().copied().max().unwrap_or(0))
                        })
                        .collect();
                    let most = played.iter().map(|(_, most)| *most).max().expect("a run");
                    let of = |what: &dyn Fn(&Run) -> f64| {
                        mean(&played.iter().map(|(run, _)| what(run)).collect::<Vec<_>>()).0
                    };
                    let copies = of(&|run| run.copies as f64 / f64::from(size));
                    let rounds = of(&|run| run.all as f64);
                    println!(
                        "N = {size}, p = {loss}, {strategy:?}: {copies:.2} copies per node, {rounds:.2} intervals to \
                         all, at most {most} copies from one node in a second"
                    );
                    (copies, rounds)
                },
            );
        assert!(counter.0 < 0.75 * times.0, "{counter:?} copies and {times:?}");
        assert!((counter.1 - times.1).abs() < 3.0, "{counter:?} rounds and {times:?}");
    }
}
