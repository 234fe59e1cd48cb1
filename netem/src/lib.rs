//! Fault models for datagrams.
//!
//! One question, asked for every datagram: *what becomes of it?* [`Netem::judge`] answers with a [`Fate`], a value, not
//! an action. The socket shim of a real node and the simulated network ask the same models, so a fault means the same
//! in both. netem sees lengths, links and times. It never sees what is in a datagram.
//!
//! # How to drive it
//! ```
//! use core::time::Duration;
//! use netem::{Endpoint, Fate, Impairment, Netem, Shaper, spec};
//!
//! let mut netem = Netem::new(1, Endpoint(0));
//! let mut held = Shaper::new(1024);
//! let now = Duration::ZERO; // since an origin of the caller's choice; it must not go back
//! let delay = spec::Delay {
//!     mean: spec::Span::from_millis(20),
//!     jitter: spec::Span::default(),
//!     distribution: spec::Distribution::Fixed,
//!     direction: spec::Direction::Out,
//! };
//! netem.impair(now, 0, Impairment::Delay(delay));
//! match netem.judge(now, spec::Direction::Out, Endpoint(7), 120) {
//!     Fate::Deliver { delay } if delay.is_zero() => { /* send it */ }
//!     Fate::Deliver { delay } => held.push(now, now + delay, "datagram").expect("there is room"),
//!     Fate::Drop(_) => {}
//! }
//! assert_eq!(held.next_due(), Some(Duration::from_millis(20)));
//! ```
//!
//! # What can be relied on
//! There is no clock, no global generator and no order of hashes in here: the fates are a function of the seed and of
//! the calls, on every machine. Each directed link and each model draws from a stream of its own (see [`LINKS_MAX`] for
//! the bound), so that traffic on one link does not change the fates on another, and a delay does not change what is
//! lost.

#![forbid(unsafe_code)]

pub mod delay;
pub mod partition;
pub mod seed;
pub mod spec;

mod counts;
mod fate;
mod loss;
mod schedule;
mod shaper;
mod streams;

use core::time::Duration;

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

pub use crate::counts::Counts;
pub use crate::fate::{Cause, Endpoint, Fate};
pub use crate::schedule::Impairment;
pub use crate::shaper::Shaper;
pub use crate::streams::LINKS_MAX;

use crate::schedule::Schedule;
use crate::spec::Direction;
use crate::streams::Streams;

/// The fault models of one node.
///
/// Every call takes the time, counted from an origin of the caller's choice; it must not go back. Models are asked in
/// this order, and the first that drops ends it: asleep, partitioned, drop the next, loss; then the delays.
#[derive(Debug, Clone)]
pub struct Netem {
    schedule: Schedule,
    loss: Streams,
    delay: Streams,
    counts: Counts,
}

impl Netem {
    /// The models of the node `local` in the experiment with this master seed; nothing is impaired yet.
    #[must_use]
    pub fn new(seed: u64, local: Endpoint) -> Self {
        Self {
            schedule: Schedule::default(),
            loss: Streams::new(seed, local, "loss"),
            delay: Streams::new(seed, local, "delay"),
            counts: Counts::default(),
        }
    }

    /// Lets a fault take effect. Several may hold at once: losses of the same direction strike independently, delays
    /// add. An id that is in force is replaced.
    pub fn impair(&mut self, now: Duration, id: u32, impairment: Impairment) {
        self.schedule.start(now, id, impairment);
    }

    /// Ends all faults. [`Netem::poll_ended`] does not tell of them, since the caller knows.
    pub fn heal(&mut self) {
        self.schedule.heal();
    }

    /// What becomes of a datagram of `len` bytes that goes to (`Out`) or comes from (`In`) `peer` now.
    ///
    /// A datagram is judged once per side, when it is sent or read; one that a delay holds back is not judged again
    /// when it is released.
    pub fn judge(&mut self, now: Duration, direction: Direction, peer: Endpoint, len: usize) -> Fate {
        self.schedule.expire(now);
        self.counts.on_judged(direction);
        if let Some(cause) = self.drops(direction, peer) {
            self.counts.on_dropped(cause, len);
            return Fate::Drop(cause);
        }
        Fate::Deliver { delay: self.delays(direction, peer) }
    }

    fn drops(&mut self, direction: Direction, peer: Endpoint) -> Option<Cause> {
        if self.schedule.is_asleep() {
            return Some(Cause::Asleep);
        }
        if self.schedule.blocks(peer) {
            return Some(Cause::Partitioned);
        }
        if self.schedule.take_next(direction) {
            return Some(Cause::DropNext);
        }
        let probability = loss::combined(self.schedule.losses(direction).map(|loss| loss.probability));
        if probability <= 0.0 {
            return None;
        }
        self.counts.on_loss_trial(probability);
        loss::strikes(probability, self.loss.of(peer, direction)).then_some(Cause::Loss)
    }

    fn delays(&mut self, direction: Direction, peer: Endpoint) -> Duration {
        if self.schedule.delays(direction).next().is_none() {
            return Duration::ZERO;
        }
        // One word of the link's stream seeds the draws for this datagram: however many of them a sampler takes, the
        // next datagram's are not shifted, and a second model does not change the delays of the first.
        let word = self.delay.of(peer, direction).next_u64();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(word);
        let sum = self.schedule.delays(direction).map(|delay| delay::sample(delay, &mut rng)).sum();
        self.counts.on_delayed(sum);
        sum
    }

    /// The id of a fault that has ended by itself (a sleep or a block is over, a "drop the next" is used up), each
    /// once, in the order in which they ended. To be called until it gives nothing.
    pub fn poll_ended(&mut self, now: Duration) -> Option<u32> {
        self.schedule.expire(now);
        self.schedule.poll_ended()
    }

    /// When the next of the faults that last a given time ends.
    #[must_use]
    pub fn next_end(&self) -> Option<Duration> {
        self.schedule.next_end()
    }

    /// Whether the node sleeps now.
    pub fn is_asleep(&mut self, now: Duration) -> bool {
        self.schedule.expire(now);
        self.schedule.is_asleep()
    }

    /// What was done so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}
