//! The preset `lab` against the theory of synchronous push-pull.

use gossip_core::{Command, Config, Event, Input, Instant, Node, Outcome, Setup, SharedView};

/// Rounds from the start of an event until all know it, with latencies that are nothing against a round.
fn rounds(seed: u64, size: u16, view: &SharedView<u16>) -> u32 {
    let start = Instant::from_millis(seed * 1_000 + 500);
    let node = |addr| {
        let setup = Setup { seed: seed << 16 | u64::from(addr), ..Setup::new(addr) };
        Node::with_view(start, Config::lab(), &setup, view).unwrap()
    };
    let mut nodes: Vec<Node<u16>> = (0..size).map(node).collect();
    let Ok(Outcome::Started(_)) = nodes[0].handle(start, Input::Command(Command::event(b"x"))) else { panic!() };
    let (mut informed, mut buffer) = (1, [0; 1400]);
    for round in 1..100 {
        let now = Instant::from_millis((seed + u64::from(round)) * 1_000);
        for node in &mut nodes {
            assert!(node.poll_timeout().is_some_and(|due| due <= now), "all beat together");
            node.handle(now, Input::Timeout).unwrap();
        }
        // Calls, then answers.
        for _ in 0..2 {
            let mut flights = Vec::new();
            for (from, node) in (0..size).zip(&mut nodes) {
                while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
                    flights.push((from, transmit.to, buffer[..transmit.len].to_vec()));
                }
            }
            for (from, to, bytes) in flights {
                let node = &mut nodes[usize::from(to)];
                node.handle(now, Input::Datagram { from, bytes: &bytes }).unwrap();
                let events = std::iter::from_fn(|| node.poll_event());
                informed += events.filter(|event| matches!(event, Event::UserEvent { .. })).count();
            }
        }
        if informed == usize::from(size) {
            return round;
        }
    }
    panic!("{informed} of {size} know it after a hundred rounds")
}

/// The model: in a round everybody calls somebody else at random, and an event that caller or called knew when the round began is
/// known to both when it ends (Karp, Schindelhauer, Shenker, Vöcking, FOCS 2000). With `fresh_answers` the called answers with
/// what it was told in the same round as well, as nodes do: they answer when the calls have come.
fn model(size: usize, fresh_answers: bool, random: &mut impl FnMut(usize) -> usize) -> u32 {
    let mut informed = vec![false; size];
    informed[0] = true;
    let mut round = 0;
    while !informed.iter().all(|known| *known) {
        round += 1;
        let before = informed.clone();
        let called: Vec<usize> = (0..size).map(|caller| (caller + 1 + random(size - 1)) % size).collect();
        called.iter().enumerate().for_each(|(caller, &called)| informed[called] |= before[caller]);
        let told = if fresh_answers { informed.clone() } else { before };
        called.iter().enumerate().for_each(|(caller, &called)| informed[caller] |= told[called]);
    }
    round
}

#[test]
fn rounds_to_inform_all_are_those_of_synchronous_push_pull() {
    use rand_core::{Rng as _, SeedableRng};
    let mut rng = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(1);
    let mut random = |below: usize| (rng.next_u64() % below as u64) as usize;
    for (size, runs) in [(64_u16, 60), (256, 40), (1_024, 20)] {
        let view = SharedView::new((0..size).map(Setup::new)).unwrap();
        let mean = |total: u32, runs: u32| f64::from(total) / f64::from(runs);
        let ours = mean((1..=runs).map(|seed| rounds(u64::from(seed), size, &view)).sum(), runs);
        let [theory, fresh] =
            [false, true].map(|fresh| mean((0..200).map(|_| model(usize::from(size), fresh, &mut random)).sum(), 200));
        // A call is answered if the called knows more when it comes: some of the calls that told it have come by then.
        let bracket = fresh - 0.3..theory + 0.3;
        assert!(bracket.contains(&ours), "{size} nodes: {ours} rounds, the theory says {bracket:?}");
        assert!(theory - ours < 1.2, "{size} nodes: {ours} rounds, the theory says {theory}");
    }
}
