//! What the simulator is measured with: a bare queue, and a cluster whose applications send.

use std::net::SocketAddr;
use std::time::Duration;

use gossip_core::Config;
use gossip_sim::queue::Queue;
use gossip_sim::{Cluster, Latency, Network, Traffic};

/// Processor time that this process used so far.
#[must_use]
pub fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The most memory that this process held at once, bytes; 0 where the system does not tell.
#[must_use]
pub fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")).and_then(|text| text.trim().parse().ok());
    kilobytes.map_or(0, |kilobytes: u64| kilobytes << 10)
}

/// What belongs to whom an event concerns: one line of memory.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct State([u64; 8]);

/// Brown's hold model: each event that comes makes another, which comes after a random time of 100 ms on average. So many are
/// always pending.
#[derive(Debug)]
pub struct Hold<Q> {
    queue: Q,
    states: Vec<State>,
    word: u64,
    /// How many of the next events have their state looked at before they come.
    ahead: usize,
    warmed: usize,
}

const MEAN_NS: u64 = 100_000_000;

impl<Q: Queue> Hold<Q> {
    /// A queue in which `pending` events wait.
    #[must_use]
    pub fn new(pending: usize, ahead: usize) -> Self {
        let mut hold = Self { queue: Q::default(), states: vec![State([1; 8]); pending], word: 1, ahead, warmed: 0 };
        for what in 0..pending as u64 {
            let after = hold.draw();
            hold.queue.push(after, what);
        }
        // Until the ages of those that wait are what they will be.
        hold.run(pending * 3);
        hold
    }

    /// Lets so many events come.
    pub fn run(&mut self, events: usize) {
        for _ in 0..events {
            let entry = self.queue.pop(u64::MAX).expect("they do not get fewer");
            let state = &mut self.states[entry.what as usize];
            state.0[0] += 1;
            state.0[7] ^= entry.at;
            let at = entry.at + self.draw();
            self.queue.push(at, entry.what);
            self.look_ahead();
        }
    }

    /// Loads that do not wait for each other, so that memory serves several at a time.
    fn look_ahead(&mut self) {
        if self.ahead == 0 {
            return;
        }
        if self.warmed > 0 {
            self.warmed -= 1;
            return;
        }
        let touch = |sum: u64, entry: gossip_sim::queue::Entry| sum ^ self.states[entry.what as usize].0[0];
        let upcoming = std::iter::from_fn(|| self.queue.scout()).take(self.ahead);
        std::hint::black_box(upcoming.inspect(|_| self.warmed += 1).fold(0, touch));
    }

    /// Uniform on 0..2 means.
    fn draw(&mut self) -> u64 {
        self.word = self.word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(self.word) * u128::from(2 * MEAN_NS)) >> 64) as u64
    }
}

/// The workload of the project's comparison of simulators: `size` nodes that know each other, each of which sends 64 bytes of
/// its application to one of the others every 100 ms. Warm: a second has passed.
#[must_use]
pub fn loaded<Q: Queue>(size: u32) -> Cluster<SocketAddr, (), Q> {
    let config = Config { members_max: size as usize, ..Config::lan() };
    let mut cluster = Cluster::with_view(1, &config, size, ());
    let (min, max) = (Duration::from_micros(500), Duration::from_micros(1_500));
    cluster.set_network(Network::with_latency(Latency::Uniform { min, max }));
    cluster.set_traffic(Some(Traffic { every: Duration::from_millis(100), len: 64 }));
    cluster.run_for(Duration::from_secs(1));
    cluster
}
