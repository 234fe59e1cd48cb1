//! A cluster that joins from nothing through one seed, in the simulator: `sim-join [N] [SECONDS] [THREADS]`, 10,000, 60 and all
//! processors if not given.
//!
//! Each node learns its membership by itself. Five times a second those that know more than half as much as the first refer to one table for what
//! they know alike (`Node::share`), which changes where it is kept and not what they know: 10,000 tables of 10,000 take 3.7 GiB.
//!
//! Prints when all knew all, and what the run took: wall and processor time, peak memory, datagrams, false deaths.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use benches::sim::{cpu_time, peak_memory};
use gossip_core::{Config, Event, MemberState, SharedView};
use gossip_sim::{Action, Cluster, NodeId, Observer};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often somebody was held for dead; nobody dies.
#[derive(Debug, Default)]
struct Deaths(u64);

impl Observer<SocketAddr> for Deaths {
    fn on_event(&mut self, _: Duration, _: NodeId, event: &Event<SocketAddr>) {
        self.0 += u64::from(matches!(event, Event::MemberChanged { state: MemberState::Dead, .. }));
    }
}

const LOOK: Duration = Duration::from_millis(100);
const SHARE_EVERY: Duration = Duration::from_millis(200);

/// Those that know more than half of what the first knows keep only what they know otherwise.
fn share(cluster: &mut Cluster<SocketAddr, Deaths>, view: &SharedView<SocketAddr>) -> SharedView<SocketAddr> {
    let renewed = view.renewed(cluster.node(0));
    let enough = renewed.len() as u32 / 5 * 3;
    cluster.share_all(&renewed, |node| node.live_members() >= enough);
    renewed
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let size: u32 = arguments.next().unwrap_or(10_000);
    let end = Duration::from_secs(arguments.next().unwrap_or(60).into());
    let processors = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = arguments.next().map_or_else(processors, |threads| threads as usize);
    let config = Arc::new(Config { members_max: (size as usize).max(65_536), ..Config::lan() });
    let started = Clock::now();
    let mut cluster = Cluster::<SocketAddr, _>::new(1, Deaths::default());
    cluster.set_threads(threads);
    cluster.reserve(size as usize);
    for id in 0..size {
        let at = Duration::from_nanos(u64::from(id) * 1_000_000_000 / u64::from(size));
        let (config, seeds) = (config.clone(), vec![0]);
        cluster.at(at, Action::Start { config, metadata: Box::default(), drift_ppm: 0, seeds });
    }
    let mut view = SharedView::new([]).expect("nobody has no incarnation");
    let (mut full, mut shared) = (None, false);
    while cluster.now() < end {
        cluster.run_to((cluster.now() + LOOK).min(end));
        if cluster.now().as_millis() % SHARE_EVERY.as_millis() == 0 && !shared {
            view = share(&mut cluster, &view);
            // When all know the same it has been told.
            shared = full.is_some();
        }
        if full.is_none() && cluster.live().count() == size as usize && cluster.is_full() {
            full = Some((cluster.now(), started.elapsed(), *cluster.stats()));
        }
    }
    let stats = cluster.stats();
    match full {
        Some((at, wall, then)) => println!(
            "{size} nodes knew each other after {at:?} ({:.1} s of wall time, {} datagrams, {} bytes per node)",
            wall.as_secs_f64(),
            then.datagrams,
            then.bytes / u64::from(size)
        ),
        None => println!("{size} nodes did not find together"),
    }
    println!("datagrams: {} in all, {} refused", stats.datagrams, stats.refused);
    println!("ahead {} of {}", cluster.computed_ahead(), stats.delivered + stats.timeouts);
    println!("false deaths: {}", cluster.observer().0);
    println!(
        "{:?} of virtual time: wall {:.1} s on {threads} threads, processor {:.1} s, peak memory {:.2} GiB",
        cluster.now(),
        started.elapsed().as_secs_f64(),
        cpu_time().as_secs_f64(),
        peak_memory() as f64 / f64::from(1 << 30),
    );
}
