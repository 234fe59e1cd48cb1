//! What a node does when its timers are due: a probe that is answered, one that is not, a gossip round; and a storm of joins. One
//! table of medians.
//!
//! The clock is read around what is measured and nothing else, so that putting the node back into its state does not count; the row
//! "clock" tells what that adds to each figure.

use std::hint::black_box;
use std::net::{SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant as Clock};

use benches::{SIZES, address, datagram, drain, settled_node, update};
use foca::{Message as FocaMessage, Notification, Runtime, Timer};
use gossip_core::wire::{Encoder, Message, Sender, decode};
use gossip_core::{ClusterTag, Config, Event, Input, Instant, Node, Setup};

use crate::{Peer, alive, foca_datagram_from, settled_foca, v4};

/// How often each is done. foca is done less often, for resetting it takes long.
const ROUNDS: usize = 4_000;
const FOCA_ROUNDS: usize = 400;

pub(crate) fn table() {
    println!("median ns; encoding apart for gossip-core, within for foca\n");
    println!("| N | | gossip-core | its encoding | foca | ratio |");
    println!("|---:|---|---:|---:|---:|---:|");
    let clock = median((0..ROUNDS).map(|_| timed(|| ())).collect());
    println!("| | clock | {clock} | {clock} | {clock} | |");
    for size in SIZES {
        let (mut ours, mut theirs) = (Ours::new(size), Theirs::new(size));
        let rows = [
            ("probe tick", Ours::answered_probe as fn(&mut Ours) -> _, Theirs::answered_probe as fn(&mut Theirs) -> _),
            ("failed probe: helpers asked", Ours::helpers_asked, Theirs::helpers_asked),
            ("failed probe: period ends, suspicion raised", Ours::failed_probe, Theirs::failed_probe),
            ("gossip round to 3, backlog full", Ours::gossip_round, Theirs::gossip_round),
        ];
        for (name, of_ours, of_theirs) in rows {
            let (work, encoding): (Vec<_>, Vec<_>) = (0..ROUNDS).map(|_| of_ours(&mut ours)).unzip();
            let foca = median((0..FOCA_ROUNDS).map(|_| of_theirs(&mut theirs)).collect());
            let (work, encoding) = (median(work), median(encoding));
            let ratio = foca as f64 / (work + encoding).max(1) as f64;
            println!("| {size} | {name} | {work} | {encoding} | {foca} | {ratio:.1} |");
        }
    }
    let joins = join_datagrams();
    let ours = median((0..20).map(|_| join_storm(&joins)).collect());
    let foca = median((0..5).map(|_| foca_join_storm()).collect());
    println!("| 10,000 | so many fresh members applied | {ours} | | {foca} | {:.1} |\n", foca as f64 / ours as f64);
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Clock::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> u128 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos()
}

struct Ours {
    node: Node<SocketAddr>,
    now: Instant,
    incarnations: Vec<u32>,
    buffer: [u8; 1400],
}

impl Ours {
    fn new(size: u32) -> Self {
        let mut node = settled_node(size);
        let now = node.poll_timeout().expect("a living node has timers");
        drain(&mut node, now);
        let mut ours = Self { node, now, incarnations: vec![0; size as usize], buffer: [0; 1400] };
        // Its pings were not answered so far: until it is in good health again.
        while ours.node.health_score() > 0 {
            ours.answered_probe();
        }
        ours
    }

    fn sender(&self) -> Sender {
        Sender { incarnation: 0, digest: self.node.digest() }
    }

    /// Serves the next timer.
    fn tick(&mut self) -> Duration {
        self.now = self.node.poll_timeout().expect("a living node has timers").max(self.now);
        let Self { node, now, .. } = self;
        timed(|| _ = black_box(node.handle(*now, Input::Timeout)))
    }

    /// Pulls what is to be sent: whether a ping for `ack` is among it, and how long all took.
    fn pull(&mut self, acknowledge: bool) -> Duration {
        let mut took = Duration::ZERO;
        loop {
            let mut transmit = None;
            let Self { node, now, buffer, .. } = self;
            let span = timed(|| transmit = node.poll_transmit(*now, buffer));
            let Some(transmit) = transmit else { break };
            took += span;
            let sent = decode::<SocketAddr>(&self.buffer[..transmit.len], ClusterTag::default()).expect("our own");
            if let (Message::Ping { seq }, true) = (sent.message, acknowledge) {
                self.receive(transmit.to, &Message::Ack { seq });
            }
        }
        while self.node.poll_event().is_some() {}
        took
    }

    fn receive(&mut self, from: SocketAddr, message: &Message<'_, SocketAddr>) {
        let mut bytes = [0; 64];
        let encoder = Encoder::new(&mut bytes, ClusterTag::default(), self.sender(), message);
        let len = encoder.expect("it fits").finish();
        self.node.handle(self.now, Input::Datagram { from, bytes: &bytes[..len] }).expect("valid");
    }

    /// News of every member among `members`.
    fn hear(&mut self, members: impl Iterator<Item = u32>) {
        let members: Vec<u32> = members.collect();
        for index in &members {
            self.incarnations[*index as usize] += 1;
        }
        let updates = members.iter().map(|&index| update(index, self.incarnations[index as usize]));
        let bytes = datagram(self.sender(), &Message::Gossip { answer: false }, updates).0;
        self.node.handle(self.now, Input::Datagram { from: address(1), bytes: &bytes }).expect("valid");
        drain(&mut self.node, self.now);
    }

    fn answered_probe(&mut self) -> (Duration, Duration) {
        loop {
            let before = self.node.counters().probes;
            let took = self.tick();
            let encoding = self.pull(true);
            if self.node.counters().probes > before {
                return (took, encoding);
            }
        }
    }

    fn helpers_asked(&mut self) -> (Duration, Duration) {
        loop {
            let before = self.node.counters().probes_indirect;
            let took = self.tick();
            let asked = self.node.counters().probes_indirect > before;
            let encoding = self.pull(asked);
            if asked {
                // The last probe is lost; who is suspected for it is heard of.
                self.end_of_probe();
                return (took, encoding);
            }
        }
    }

    fn failed_probe(&mut self) -> (Duration, Duration) {
        self.end_of_probe()
    }

    /// To the end of a period in vain, and back to where nobody is suspected.
    fn end_of_probe(&mut self) -> (Duration, Duration) {
        loop {
            let before = self.node.counters().suspicions;
            self.now = self.node.poll_timeout().expect("a living node has timers").max(self.now);
            let Self { node, now, .. } = self;
            let took = timed(|| _ = black_box(node.handle(*now, Input::Timeout)));
            if self.node.counters().suspicions == before {
                self.pull(false);
                continue;
            }
            let suspect = core::iter::from_fn(|| self.node.poll_event()).find_map(|event| match event {
                Event::MemberChanged { addr, .. } => Some(addr),
                _ => None,
            });
            let encoding = self.pull(true);
            let SocketAddr::V4(suspect) = suspect.expect("it was told of") else {
                unreachable!("all are of version 4")
            };
            self.hear(core::iter::once(suspect.ip().to_bits() - v4(0).ip().to_bits()));
            // Until all have been told and the health is good.
            for _ in 0..8 {
                self.answered_probe();
            }
            return (took, encoding);
        }
    }

    fn gossip_round(&mut self) -> (Duration, Duration) {
        let size = self.incarnations.len() as u32;
        // Three datagrams full.
        for first in [2, 128, 254].into_iter().filter(|&first| first < size) {
            self.hear(first..size.min(first + 126));
        }
        loop {
            let before = self.node.counters().probes + self.node.counters().probes_retried;
            let took = self.tick();
            if self.node.counters().probes + self.node.counters().probes_retried > before {
                self.pull(true);
                continue;
            }
            let encoding = self.pull(true);
            if !encoding.is_zero() {
                return (took, encoding);
            }
        }
    }
}

/// What foca hands to its host.
#[derive(Default)]
struct Host {
    sent: Vec<(SocketAddrV4, [u8; 16])>,
    timers: Vec<Timer<SocketAddrV4>>,
}

impl Runtime<SocketAddrV4> for &mut Host {
    fn notify(&mut self, _: Notification<'_, SocketAddrV4>) {}

    fn send_to(&mut self, to: SocketAddrV4, data: &[u8]) {
        let mut start = [0; 16];
        start.copy_from_slice(&data[..16]);
        self.sent.push((to, start));
    }

    fn submit_after(&mut self, event: Timer<SocketAddrV4>, _: Duration) {
        self.timers.push(event);
    }
}

struct Theirs {
    foca: Peer,
    host: Host,
    incarnations: Vec<u16>,
}

impl Theirs {
    fn new(size: u32) -> Self {
        let mut host = Host::default();
        let foca = settled_foca(size, &mut host);
        let mut theirs = Self { foca, host, incarnations: vec![0; size as usize] };
        theirs.next_period();
        theirs
    }

    /// A probe begins.
    fn next_period(&mut self) -> Duration {
        let timer = self.take(|timer| matches!(timer, Timer::ProbeRandomMember(_)));
        self.host.sent.clear();
        self.serve(timer)
    }

    fn call_for_help(&mut self) -> Duration {
        let timer = self.take(|timer| matches!(timer, Timer::SendIndirectProbe { .. }));
        self.serve(timer)
    }

    fn take(&mut self, wanted: impl Fn(&Timer<SocketAddrV4>) -> bool) -> Timer<SocketAddrV4> {
        let found = self.host.timers.iter().position(wanted).expect("foca asked for this timer");
        self.host.timers.swap_remove(found)
    }

    fn serve(&mut self, timer: Timer<SocketAddrV4>) -> Duration {
        let Self { foca, host, .. } = self;
        timed(|| foca.handle_timer(timer, host).expect("a timer that it asked for"))
    }

    fn answer(&mut self) {
        let (to, start) = *self.host.sent.first().expect("a ping");
        let ack = foca_datagram_from(to, FocaMessage::Ack(start[15]), &[]);
        self.foca.handle_data(&ack, &mut self.host).expect("valid");
    }

    fn hear(&mut self, members: impl Iterator<Item = u32>) {
        let updates: Vec<_> = members
            .flat_map(|index| {
                let incarnation = &mut self.incarnations[index as usize];
                *incarnation = incarnation.wrapping_add(1);
                alive([index], *incarnation)
            })
            .collect();
        let bytes = foca_datagram_from(v4(1), FocaMessage::Gossip, &updates);
        self.foca.handle_data(&bytes, &mut self.host).expect("valid");
    }

    fn answered_probe(&mut self) -> Duration {
        self.answer();
        self.call_for_help();
        self.next_period()
    }

    fn helpers_asked(&mut self) -> Duration {
        let took = self.call_for_help();
        self.answer();
        self.next_period();
        took
    }

    fn failed_probe(&mut self) -> Duration {
        let (to, _) = *self.host.sent.first().expect("a ping");
        self.call_for_help();
        let took = self.next_period();
        self.host.timers.retain(|timer| !matches!(timer, Timer::ChangeSuspectToDown { .. }));
        self.hear(core::iter::once(to.ip().to_bits() - v4(0).ip().to_bits()));
        took
    }

    fn gossip_round(&mut self) -> Duration {
        let size = self.incarnations.len() as u32;
        for first in [2, 128, 254].into_iter().filter(|&first| first < size) {
            self.hear(first..size.min(first + 126));
        }
        let Self { foca, host, .. } = self;
        let kept = host.sent.first().copied();
        let took = timed(|| foca.gossip(&mut *host).expect("connected"));
        host.sent.clear();
        host.sent.extend(kept);
        took
    }
}

/// All of 10,000 members, in as many datagrams as it takes.
fn join_datagrams() -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    let mut index = 1;
    while index < 10_000 {
        let sender = Sender { incarnation: 0, digest: 0 };
        let (bytes, count) = datagram(sender, &Message::Members, (index..10_000).map(|index| update(index, 0)));
        datagrams.push(bytes);
        index += count as u32;
    }
    datagrams
}

fn join_storm(datagrams: &[Vec<u8>]) -> Duration {
    let start = Instant::from_millis(1);
    let mut node = Node::new(start, Config::lan(), &Setup { seed: 1, ..Setup::new(address(0)) }).expect("a preset");
    let took = timed(|| {
        for bytes in datagrams {
            node.handle(start, Input::Datagram { from: address(1), bytes }).expect("valid");
            while node.poll_event().is_some() {}
        }
    });
    assert_eq!(node.live_members(), 10_000);
    took
}

fn foca_join_storm() -> Duration {
    let mut host = Host::default();
    let mut foca = settled_foca(2, &mut host);
    let datagrams: Vec<_> = (2..10_000)
        .step_by(126)
        .map(|first| foca_datagram_from(v4(1), FocaMessage::Gossip, &alive(first..10_000.min(first + 126), 0)))
        .collect();
    timed(|| datagrams.iter().for_each(|bytes| foca.handle_data(bytes, &mut host).expect("valid")))
}
