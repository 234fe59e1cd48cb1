//! Ten stations on one radio channel: two-byte addresses of their own, frames of 512 bytes, and one frame in five is lost.
//!
//! ```sh
//! cargo run -p gossip-core --example toy_radio
//! ```

use std::collections::BTreeSet;

use gossip_core::{Address, Command, Config, Event, Input, Instant, Node, Setup};

/// A station's address: a network and a station, as such radios have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Station {
    network: u8,
    number: u8,
}

impl Address for Station {
    type Stored = Self;

    const ENCODED_MAX: usize = 2;

    fn encode(&self, out: &mut [u8]) -> Option<usize> {
        out.get_mut(..2)?.copy_from_slice(&[self.network, self.number]);
        Some(2)
    }

    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let &[network, number] = bytes.first_chunk()?;
        Some((Self { network, number }, 2))
    }
}

fn main() {
    let config = Config { datagram_max: 512, ..Config::wan() };
    let station = |number| Station { network: 1, number };
    let mut stations: Vec<Node<Station>> = (0..10)
        .map(|number| {
            let setup = Setup { seed: number.into(), ..Setup::new(station(number)) };
            let mut node = Node::new(Instant::ZERO, config.clone(), &setup).expect("a valid configuration");
            node.handle(Instant::ZERO, Input::Command(Command::Join { seeds: &[station(0)] }))
                .expect("one seed is allowed");
            node
        })
        .collect();

    let mut frames = 0_u64;
    let mut started = false;
    let mut knows = BTreeSet::new();
    // The channel carries one frame per tick of ten milliseconds at most; stations that want to send take turns.
    for tick in 0..12_000_u64 {
        let now = Instant::from_millis(tick * 10);
        let turn = (tick % 10) as usize;
        let mut frame = [0; 512];
        let _ = stations[turn].handle(now, Input::Timeout);
        if let Some(transmit) = stations[turn].poll_transmit(now, &mut frame) {
            frames += 1;
            if !frames.is_multiple_of(5) {
                let (from, bytes) = (stations[turn].local(), &frame[..transmit.len]);
                let receiver = &mut stations[usize::from(transmit.to.number)];
                receiver.handle(now, Input::Datagram { from, bytes }).expect("our own frame");
            }
        }
        for node in &mut stations {
            while let Some(event) = node.poll_event() {
                if let Event::UserEvent { payload, .. } = event {
                    println!("{:>6} ms: {:?} heard {:?}", tick * 10, node.local(), String::from_utf8_lossy(&payload));
                    knows.insert(node.local());
                }
            }
        }
        if !started && stations.iter().all(|node| node.live_members() == 10) {
            println!("{:>6} ms: all stations know each other after {frames} frames", tick * 10);
            stations[3].handle(now, Input::Command(Command::event(b"QSL?"))).expect("short enough");
            started = true;
        }
        if knows.len() == 9 {
            println!("{:>6} ms: everybody knows, after {frames} frames", tick * 10);
            return;
        }
    }
    panic!("two minutes were not enough for {} of 9 stations", 9 - knows.len());
}
