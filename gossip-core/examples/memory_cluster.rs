//! A cluster in memory and in virtual time: the smallest driver there is. Prints how an event spreads over 100 nodes.
//!
//! ```sh
//! cargo run -p gossip-core --example memory_cluster
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use gossip_core::{Command, Config, Event, Fanout, Input, Instant, Node, Setup, Strategy};

const NODES: u16 = 100;
const LATENCY: Duration = Duration::from_millis(1);

fn main() {
    let config =
        Config { strategy: Strategy::PushPull { fanout: Fanout::Fixed(1) }, idle_calls: true, ..Config::lan() };
    let mut now = Instant::ZERO;
    let mut nodes: Vec<Node<u16>> = (0..NODES)
        .map(|addr| {
            Node::new(now, config.clone(), &Setup { seed: addr.into(), ..Setup::new(addr) }).expect("a valid preset")
        })
        .collect();
    for node in &mut nodes {
        node.handle(now, Input::Command(Command::Join { seeds: &[0] })).expect("one seed is allowed");
    }

    // One latency for all: what is sent first arrives first, and a queue will do.
    let mut flying: VecDeque<(Instant, u16, u16, Vec<u8>)> = VecDeque::new();
    let mut started = None;
    let mut informed = 1;
    while informed < NODES {
        for (addr, node) in (0..).zip(&mut nodes) {
            let mut buffer = [0; 1400];
            while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
                flying.push_back((now + LATENCY, addr, transmit.to, buffer[..transmit.len].to_vec()));
            }
            while let Some(event) = node.poll_event() {
                if let Event::UserEvent { hops, via, .. } = event {
                    informed += 1;
                    let after = now.since(started.expect("no event before its start"));
                    println!(
                        "{:>4} ms: {informed:>3} nodes know; node {addr} by {via:?} after {hops} hops",
                        after.as_millis()
                    );
                }
            }
        }
        if started.is_none() && nodes.iter().all(|node| node.live_members() == u32::from(NODES)) {
            println!("all {NODES} nodes know each other after {} ms", now.since(Instant::ZERO).as_millis());
            nodes[7].handle(now, Input::Command(Command::event(b"gossip"))).expect("short enough");
            started = Some(now);
            continue;
        }
        let timer = nodes.iter().filter_map(Node::poll_timeout).min().expect("nodes have timers");
        match flying.front() {
            Some(&(arrival, ..)) if arrival <= timer => {
                let (arrival, from, to, bytes) = flying.pop_front().expect("it was just seen");
                now = arrival.max(now);
                nodes[usize::from(to)].handle(now, Input::Datagram { from, bytes: &bytes }).expect("our own datagram");
            }
            _ => {
                now = timer.max(now);
                for node in nodes.iter_mut().filter(|node| node.poll_timeout().is_some_and(|due| due <= now)) {
                    node.handle(now, Input::Timeout).expect("a timeout is never refused");
                }
            }
        }
    }
}
