//! The times and rates within which things are promised, from the configuration. Each formula with where it comes from.
//!
//! ```text
//!   n   addresses that ever were          T′  probe_interval        T_g  gossip_interval
//!   H   the highest local health score that the node had meanwhile (LHA-Probe stretches the period by H + 1)
//!   d   1.02: clocks drift, and spans begin and end within a tick of the checker
//!
//!   period     P = d·(H + 1)·T′
//!   suspicion  S = d·β·max(α·max(1, log10 n)·T′, suspicion_min)          (Lifeguard §IV.B; `gossip-core/src/suspicion.rs`)
//!   cycle      C = (2·(n − 1) + 1)·P                                     (SWIM §4.3: within 2n − 1 periods)
//!   detection  D = C + P + S + 4·P
//!   telling    E = 10·P + 4·sync_interval + 40·T_g
//!   refuting   R = C + 2·E
//!   meeting    M = (64·16 + 128)·P + 4·D
//! ```
//!
//! *Detection*: each member probes each other within a cycle by itself, whoever else does; the period ends with the verdict; the
//! suspicion runs out unconfirmed. Four periods more are for `self_doubt`, which stops the clock of a node that heard nobody
//! for two periods. Dissemination is not in it, since it can only be quicker.
//!
//! *Telling*: what one knows the other has. Gossip takes ⌈log2 n⌉ rounds and misses a share; each period brings about two probes
//! that show the difference of the digests, and an exchange follows, not before `sync_interval` is over while there are news
//! (`gossip-core/src/node/sync.rs`). There is no least upper bound for what is random; this one holds in 10,000 seeds.
//!
//! *Refuting*: a member that holds the other for alive probes it within a cycle, hears in the answer that it is held for dead,
//! and tells all.
//!
//! *Meeting*: two who hold each other for dead. The slowest way back is the last 16 of the dead, of whom one is called in 64
//! periods (`gossip-core/src/node/former.rs`); what is said of others then may have to be detected anew.

use core::time::Duration;

use gossip_core::{Config, Strategy};

/// The bounds of one configuration in a cluster of so many addresses.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// The configuration in force.
    pub config: &'a Config,
    /// Addresses that ever were.
    pub members: usize,
    /// The highest health score that counts.
    pub health: u8,
}

impl Bounds<'_> {
    /// P: the longest protocol period.
    #[must_use]
    pub fn period(&self) -> Duration {
        with_drift(self.config.probe_interval * (u32::from(self.health) + 1))
    }

    /// S: the longest suspicion.
    #[must_use]
    pub fn suspicion(&self) -> Duration {
        let log = libm::log10(self.members.max(1) as f64).max(1.0);
        let alpha = self.config.probe_interval * u32::from(self.config.suspicion_multiplier);
        let least = alpha.mul_f64(log).max(self.config.suspicion_min);
        with_drift(least * u32::from(self.config.suspicion_max_multiplier))
    }

    /// C: everybody probed everybody.
    #[must_use]
    pub fn cycle(&self) -> Duration {
        self.period() * (2 * self.peers() + 1)
    }

    /// D: who is gone is known to be.
    #[must_use]
    pub fn detection(&self) -> Duration {
        self.cycle() + self.period() * 5 + self.suspicion()
    }

    /// E: what one knows the other has.
    #[must_use]
    pub fn telling(&self) -> Duration {
        self.period() * 10 + with_drift(self.config.sync_interval * 4 + self.config.gossip_interval * 40)
    }

    /// R: who is held for dead by one that it holds for alive is so no more.
    #[must_use]
    pub fn refuting(&self) -> Duration {
        self.cycle() + self.telling() * 2
    }

    /// M: who hold each other for dead, or never heard of each other, do not any more.
    #[must_use]
    pub fn meeting(&self) -> Duration {
        self.period() * (64 * 16 + 128) + self.detection() * 4
    }

    /// Datagrams that a node of a cluster at rest causes in a period, its own and the answers to it: a probe and its answer, one
    /// in eight periods a call of the dead or of a seed, one in 64 another (`failure.rs`, `former.rs`); and the calls of rounds
    /// where the strategy makes them with nothing to tell, with their answers.
    #[must_use]
    pub fn idle_datagrams(&self) -> f64 {
        let calls = match self.config.strategy {
            Strategy::Pull { .. } => true,
            Strategy::Push { .. } => false,
            Strategy::PushPull { .. }
            | Strategy::MedianCounter { .. }
            | Strategy::Eager { .. }
            | Strategy::SqrtTree { .. } => self.config.idle_calls,
        };
        let rounds = self.config.probe_interval.as_secs_f64() / self.config.gossip_interval.as_secs_f64();
        let fanout = self.config.strategy.fanout().calls_max(self.peers() + 1).min(self.peers());
        2.0 + 2.0 / 8.0 + 2.0 / 64.0 + if calls { 2.0 * f64::from(fanout) * rounds } else { 0.0 }
    }

    fn peers(&self) -> u32 {
        u32::try_from(self.members.saturating_sub(1)).unwrap_or(u32::MAX)
    }
}

fn with_drift(span: Duration) -> Duration {
    span + span / 50
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_worked_for_ten_members_of_the_preset_lan() {
        let config = Config::lan();
        let bounds = Bounds { config: &config, members: 10, health: 0 };
        assert_eq!(bounds.period(), Duration::from_millis(1_020));
        assert_eq!(bounds.suspicion(), Duration::from_millis(18_360), "6·3 s");
        assert_eq!(bounds.cycle(), Duration::from_millis(19 * 1_020));
        assert_eq!(bounds.detection(), Duration::from_millis(24 * 1_020 + 18_360));
        assert_eq!(bounds.telling(), Duration::from_millis(10_200 + 8_160 + 8_160));
        let ill = Bounds { health: 2, ..bounds };
        assert_eq!(ill.period(), Duration::from_millis(3_060));
        let thousand = Bounds { members: 100_000, ..bounds };
        assert_eq!(thousand.suspicion(), Duration::from_millis(6 * 5_100), "log10 of 100,000 is 5");
    }

    #[test]
    fn a_cluster_at_rest_calls_only_if_it_is_to() {
        let config = Config::lan();
        let bounds = Bounds { config: &config, members: 10, health: 0 };
        assert!(bounds.idle_datagrams() < 2.3);
        let strategy = gossip_core::Strategy::PushPull { fanout: gossip_core::Fanout::Fixed(3) };
        let calling = Config { idle_calls: true, strategy, ..Config::lan() };
        let bounds = Bounds { config: &calling, ..bounds };
        assert!((bounds.idle_datagrams() - 32.28).abs() < 0.01, "five rounds of three calls and answers");
        let two = Bounds { members: 2, ..bounds };
        assert!((two.idle_datagrams() - 12.28).abs() < 0.01, "nobody calls more than there are");
    }
}
