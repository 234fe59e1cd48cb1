//! The real core in virtual time, preset `lab`, against the models.
//!
//! Synchronous rounds are not what real nodes do, even when all begin their round together: a call is answered with what the called
//! knows when it comes, and that includes what other calls of the same round have told it by then. So there are two comparisons.
//! One is of agreement: the order of events of a round is modelled as it is (every datagram takes a random time, within a round),
//! and the distributions must be the same. The other tells how far that is from synchronous rounds: never slower than the chain, by
//! up to a round quicker.

use std::collections::BTreeMap;
use std::time::Duration;

use gossip_core::{Command, Config, Event, Fanout};
use gossip_sim::kernel::{Spec, Strategy, Stream, aged_fanout, simulate_chain};
use gossip_sim::{Cluster, Latency, Network, NodeId, Observer};

use crate::brute::somebody_else;
use crate::stats::{Counts, counts, mean, passes, runs, same};

/// When each node heard of the event.
#[derive(Default)]
struct Hearing(BTreeMap<NodeId, Duration>);

impl Observer<u16> for Hearing {
    fn on_event(&mut self, now: Duration, node: NodeId, event: &Event<u16>) {
        if matches!(event, Event::UserEvent { .. }) {
            self.0.entry(node).or_insert(now);
        }
    }
}

const LATENCY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(200));

/// An age leaves out the time on the wire. Where calls depend on it, five hops are to take less than the 0.3 rounds that an event is old at
/// the first round. Only the order of arrivals matters to the model, which is the same.
const SHORT: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(40));

/// Rounds to 99 % and to all of one event among real nodes, by the round in which each heard of it.
fn real(seed: u64, fanout: Fanout, size: u32, loss: f64, latency: (Duration, Duration)) -> (u64, u64) {
    let config = Config { strategy: gossip_core::Strategy::PushPull { fanout }, ..Config::lab() };
    let mut cluster: Cluster<u16, Hearing> = Cluster::with_view(seed, &config, size, Hearing::default());
    let latency = Latency::Uniform { min: latency.0, max: latency.1 };
    cluster.set_network(Network { loss, ..Network::with_latency(latency) });
    // Between two rounds, which begin at whole seconds of the clocks.
    cluster.run_for(Duration::from_millis(2_700));
    let start = cluster.now();
    cluster.command(0, Command::event(b"x")).expect("a node starts an event");
    let all = |cluster: &Cluster<u16, Hearing>| {
        let heard = &cluster.observer().0;
        heard.len() + usize::from(!heard.contains_key(&0)) == size as usize
    };
    let took = cluster.run_until_every(Duration::from_millis(100), Duration::from_secs(300), all);
    assert!(took.is_some(), "{} of {size} know it after 300 rounds", cluster.observer().0.len());
    let first_round = Duration::from_millis(start.as_millis() as u64 / 1000 * 1000);
    let mut rounds: Vec<u64> = cluster
        .observer()
        .0
        .iter()
        .filter(|&(&node, _)| node != 0)
        .map(|(_, &at)| (at - first_round).as_secs())
        .collect();
    rounds.push(0);
    rounds.sort_unstable();
    (rounds[(size as usize * 99).div_ceil(100) - 1], rounds[size as usize - 1])
}

/// The same by its model: all call at the beginning of a round and tell what they know then; a datagram takes a uniform time; the
/// called answers at once if it can tell what the caller did not know. Who knows calls as many as `calls` says of the round, of which the
/// first is 0, and who does not one.
fn modelled(size: usize, loss: f64, calls: impl Fn(u64) -> u32, stream: &mut Stream) -> (u64, u64) {
    let mut knows = vec![false; size];
    knows[0] = true;
    let (mut round, mut most) = (0, None);
    loop {
        let informed = knows.iter().filter(|&&knows| knows).count();
        if most.is_none() && informed * 100 >= size * 99 {
            most = Some(round);
        }
        if informed == size {
            return (most.expect("all are more than 99 %"), round);
        }
        round += 1;
        // Time of arrival, whom, the caller if it asks, and whether the rumor is in it.
        let mut flights: BTreeMap<(u64, usize), (usize, Option<usize>, bool)> = BTreeMap::new();
        let span = (LATENCY.1 - LATENCY.0).as_nanos() as u64;
        let mut serial = 0;
        let mut send = |flights: &mut BTreeMap<_, _>, at: u64, flight, stream: &mut Stream| {
            if stream.unit() >= loss {
                serial += 1;
                flights.insert((at + LATENCY.0.as_nanos() as u64 + stream.below(span), serial), flight);
            }
        };
        for (me, &tells) in knows.iter().enumerate() {
            for called in others(me, size, if tells { calls(round - 1) as usize } else { 1 }, stream) {
                send(&mut flights, 0, (called, Some(me), tells), stream);
            }
        }
        while let Some(((at, _), (to, caller, rumor))) = flights.pop_first() {
            knows[to] |= rumor;
            if let Some(caller) = caller.filter(|_| !rumor && knows[to]) {
                send(&mut flights, at, (caller, None, true), stream);
            }
        }
    }
}

/// So many others, each once: as the core draws those whom it calls in a round.
fn others(me: usize, size: usize, count: usize, stream: &mut Stream) -> Vec<usize> {
    let mut others = Vec::with_capacity(count);
    while others.len() < count.min(size - 1) {
        let other = somebody_else(me, size, stream);
        if !others.contains(&other) {
            others.push(other);
        }
    }
    others
}

#[test]
fn the_aging_fanout_of_the_core_takes_the_rounds_of_its_model() {
    for (size, loss, real_runs) in [(64, 0.0, 2000), (64, 0.2, 2000), (1000, 0.05, 600)] {
        let played: Vec<(u64, u64)> =
            (0..runs(real_runs)).map(|seed| real(seed, Fanout::Aging, size, loss, SHORT)).collect();
        let mut stream = Stream::new(size.into());
        let calls = |age| aged_fanout(size.into(), age);
        let model: Vec<(u64, u64)> =
            (0..runs(real_runs * 5)).map(|_| modelled(size as usize, loss, calls, &mut stream)).collect();
        let spec = Spec { strategy: Strategy::PushPullAging, nodes: size.into(), loss, seed: 1 };
        let chain: Vec<f64> = (0..runs(8000))
            .map(|run| simulate_chain(&spec, run).expect("a count").reached.all.expect("it ends"))
            .collect();
        let [core, own] =
            [&played, &model].map(|of| mean(&of.iter().map(|rounds| rounds.1 as f64).collect::<Vec<_>>()));
        let synchronous = mean(&chain);
        println!(
            "aging, N = {size}, p = {loss}: core {:.3} ± {:.3}, model {:.3} ± {:.3}, synchronous chain {:.3} ± {:.3}",
            core.0, core.1, own.0, own.1, synchronous.0, synchronous.1
        );
        let all = |of: &[(u64, u64)]| -> Counts { counts(of.iter().map(|rounds| rounds.1)) };
        let most = |of: &[(u64, u64)]| -> Counts { counts(of.iter().map(|rounds| rounds.0)) };
        passes(&format!("aging, N = {size}, p = {loss}: core and model, all"), same(&all(&played), &all(&model)));
        passes(&format!("aging, N = {size}, p = {loss}: core and model, 99 %"), same(&most(&played), &most(&model)));
        let lead = synchronous.0 - core.0;
        let error = 4.0 * (synchronous.1.powi(2) + core.1.powi(2)).sqrt();
        assert!(lead > -error && lead < 1.5, "the core is {lead} rounds ahead of the synchronous model");
    }
}

#[test]
fn the_real_core_takes_the_rounds_of_its_model() {
    // Two runs of the largest cluster, which is what a debug build would do, tell nothing apart.
    let largest = if cfg!(debug_assertions) { None } else { Some((10_000, 0.0, 40)) };
    for (size, loss, real_runs) in [(64, 0.0, 2000), (64, 0.2, 2000), (1024, 0.0, 1000)].into_iter().chain(largest) {
        let played: Vec<(u64, u64)> =
            (0..runs(real_runs)).map(|seed| real(seed, Fanout::Fixed(1), size, loss, LATENCY)).collect();
        let mut stream = Stream::new(size.into());
        let of_model = runs(real_runs * 5);
        let model: Vec<(u64, u64)> = (0..of_model).map(|_| modelled(size as usize, loss, |_| 1, &mut stream)).collect();
        let spec = Spec { strategy: Strategy::PushPull { fanout: 1 }, nodes: size.into(), loss, seed: 1 };
        let chain: Vec<f64> = (0..runs(8000))
            .map(|run| simulate_chain(&spec, run).expect("a count").reached.all.expect("it ends"))
            .collect();
        let all = |of: &[(u64, u64)]| -> Counts { counts(of.iter().map(|rounds| rounds.1)) };
        let most = |of: &[(u64, u64)]| -> Counts { counts(of.iter().map(|rounds| rounds.0)) };
        let means = [&played, &model].map(|of| mean(&of.iter().map(|rounds| rounds.1 as f64).collect::<Vec<_>>()));
        let synchronous = mean(&chain);
        println!(
            "N = {size}, p = {loss}: core {:.3} ± {:.3}, model {:.3} ± {:.3}, synchronous chain {:.3} ± {:.3}",
            means[0].0, means[0].1, means[1].0, means[1].1, synchronous.0, synchronous.1
        );
        passes(&format!("N = {size}, p = {loss}: core and model, all"), same(&all(&played), &all(&model)));
        passes(&format!("N = {size}, p = {loss}: core and model, 99 %"), same(&most(&played), &most(&model)));
        let lead = synchronous.0 - means[0].0;
        let error = 4.0 * (synchronous.1.powi(2) + means[0].1.powi(2)).sqrt();
        // How far ahead it is grows with N; the model above says how far. It is never behind.
        assert!(lead > -error, "the core is {lead} rounds ahead of the synchronous model");
    }
}
