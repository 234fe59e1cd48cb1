//! Datagrams are as short and as few as the configuration says.
//!
//! *Promised*: none is longer than `datagram_max`; a node with `datagrams_per_second_max` sends no more than that, and a quarter of a
//! second's worth at once; and in a period a node sends at most I + F times what it received and what its application asked for,
//! ```text
//!   I = (T′/T_g + 2)·(max(fanout, 3) + forwards_max) + 2·(64 + 8) + 3·(T′/T_g + 2) + 128
//!   F = max(T′·probe_pings/probe_timeout + 4, (members·(metadata_max + 40) + event_bytes_max) / (datagram_max − 100) + 12)
//! ```
//! I: the calls of rounds, events told on (only under `Eager`), the pings of a probe and its helpers, the calls of former
//! acquaintances, and what a change of the configuration brings at once; F: a `PingReq` has a helper ping for a period, a `Join` or a list is
//! answered with all that the node has. The tables within a node are the business of [`Invariants`](super::Invariants).

use core::time::Duration;
use std::collections::BTreeMap;

use gossip_core::{Command, Config, InputError, Outcome, Strategy};

use super::world::World;
use super::{Checker, Nodes, Start, Verdict};
use crate::addresses::{Addresses, NodeId};

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Limits {
    accounts: BTreeMap<NodeId, Account>,
}

#[derive(Debug, Default)]
struct Account {
    /// Datagrams of the bucket of the limit that are not paid for, and when that was counted.
    owed: f64,
    at: Duration,
    rate: u32,
    /// Since when sent and received are counted.
    since: Duration,
    sent: u64,
    received: u64,
}

impl Account {
    /// A datagram more under a limit; how many are not paid for.
    fn owe(&mut self, now: Duration, rate: u32) -> f64 {
        if rate != self.rate {
            (self.owed, self.rate) = (0.0, rate);
        }
        // A clock that is two percent fast.
        let paid = (now.saturating_sub(self.at)).as_secs_f64() * f64::from(rate) * 1.02;
        (self.owed, self.at) = ((self.owed - paid).max(0.0) + 1.0, now);
        self.owed
    }
}

impl<A: Addresses> Checker<A> for Limits {
    fn name(&self) -> &'static str {
        "limits"
    }

    fn on_sent(&mut self, world: &World, from: NodeId, bytes: &[u8]) -> Verdict {
        let account = self.accounts.entry(from).or_default();
        account.sent += 1;
        let Some(config) = world.node(from).and_then(|truth| truth.config.as_ref()) else { return Ok(()) };
        if bytes.len() > config.datagram_max {
            return Err(format!("node {from} sent {} bytes, and may {}", bytes.len(), config.datagram_max));
        }
        let rate = config.datagrams_per_second_max;
        let owed = account.owe(world.now(), rate);
        if rate > 0 && owed > f64::from(rate) / 4.0 + 2.0 {
            return Err(format!("node {from} sent {owed:.1} datagrams at once under a limit of {rate} per second"));
        }
        Ok(())
    }

    fn on_delivered(&mut self, _world: &World, to: NodeId, _result: &Result<Outcome<A>, InputError>) -> Verdict {
        self.accounts.entry(to).or_default().received += 1;
        Ok(())
    }

    fn on_command(
        &mut self,
        _world: &World,
        node: NodeId,
        _command: &Command<'_, A>,
        _outcome: &Result<Outcome<A>, InputError>,
    ) -> Verdict {
        self.accounts.entry(node).or_default().received += 1;
        Ok(())
    }

    fn on_started(&mut self, _world: &World, node: NodeId, _start: Start) -> Verdict {
        self.accounts.remove(&node);
        Ok(())
    }

    fn on_tick(&mut self, world: &World, _nodes: &Nodes<'_, A>) -> Verdict {
        for (&id, account) in &mut self.accounts {
            let Some(config) = world.node(id).and_then(|truth| truth.config.as_ref()) else { continue };
            let passed = world.now().saturating_sub(account.since);
            if passed < config.probe_interval {
                continue;
            }
            let periods = passed.as_secs_f64() / config.probe_interval.as_secs_f64();
            let members = world.ids().count();
            let most = (periods + 1.0) * initiated(config, members as u32)
                + factor(config, members) * (account.received as f64 + 1.0);
            let (sent, received) = (account.sent, account.received);
            (account.since, account.sent, account.received) = (world.now(), 0, 0);
            if sent as f64 > most {
                return Err(format!(
                    "node {id} sent {sent} datagrams in {passed:?}, to {received} inputs; the most is {most:.0}"
                ));
            }
        }
        Ok(())
    }
}

/// I: what a node sends by itself in a period.
fn initiated(config: &Config, members: u32) -> f64 {
    let rounds = config.probe_interval.as_secs_f64() / config.gossip_interval.as_secs_f64() + 2.0;
    let forwards = match config.strategy {
        // As many for a tree, and as many acknowledgements come and go.
        Strategy::Eager { .. } => f64::from(config.forwards_max),
        Strategy::SqrtTree { .. } => 2.0 * f64::from(config.forwards_max),
        Strategy::Push { .. } | Strategy::Pull { .. } | Strategy::PushPull { .. } | Strategy::MedianCounter { .. } => {
            0.0
        }
    };
    rounds * (f64::from(config.strategy.fanout().calls_max(members).max(3)) + forwards + 3.0) + 2.0 * 72.0 + 128.0
}

/// F: what a node sends for one input.
fn factor(config: &Config, members: usize) -> f64 {
    let pings =
        config.probe_interval.as_secs_f64() * f64::from(config.probe_pings) / config.probe_timeout.as_secs_f64() + 4.0;
    let table = (members * (config.metadata_max + 40)).min(1 << 20) + config.event_bytes_max.min(1 << 16);
    pings.max(table as f64 / (config.datagram_max - 100) as f64 + 12.0)
}
