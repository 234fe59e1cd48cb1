//! What can be put on the schedule: everything that can be done to a cluster, as values.

use std::sync::Arc;
use std::time::Duration;

use gossip_core::{Command, Config, EventOptions, Keyring, QueryOptions};
use netem::Impairment;

use super::run::Happening;
use super::{Cluster, nanos};
use crate::addresses::{Addresses, NodeId};
use crate::host::{Restart, StartOptions};
use crate::network::Network;
use crate::observe::Observer;
use crate::queue::Queue;

/// Something to do to a cluster at a given time. Each does what the method of its name does; what cannot be done then (a host
/// that is down cannot join) is not done. What a node says to a command is told by
/// [`Observer::on_outcome`].
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the methods of the same names say what each means")]
pub enum Action {
    /// Starts a node on the next host and lets it join.
    Start {
        config: Arc<Config>,
        metadata: Box<[u8]>,
        drift_ppm: i32,
        seeds: Vec<NodeId>,
    },
    Join {
        id: NodeId,
        seeds: Vec<NodeId>,
    },
    Leave {
        id: NodeId,
    },
    Crash {
        id: NodeId,
    },
    /// Without effect if the snapshot is no good.
    Restart {
        id: NodeId,
        how: Restart,
    },
    /// Restarts a host, which then joins.
    Rejoin {
        id: NodeId,
        seeds: Vec<NodeId>,
    },
    Snapshot {
        id: NodeId,
    },
    Pause {
        id: NodeId,
        span: Duration,
    },
    BlockProcess {
        id: NodeId,
        span: Duration,
    },
    Deafen {
        id: NodeId,
        span: Duration,
    },
    Starve {
        id: NodeId,
        least: Duration,
        most: Duration,
    },
    SlowDown {
        id: NodeId,
        span: Duration,
        waiting: usize,
    },
    Feed {
        id: NodeId,
    },
    Block {
        ours: Vec<NodeId>,
        theirs: Vec<NodeId>,
    },
    BlockOneWay {
        senders: Vec<NodeId>,
        receivers: Vec<NodeId>,
    },
    Partition {
        side: Vec<NodeId>,
    },
    UnblockAll,
    Impair {
        id: NodeId,
        fault: u32,
        impairment: Impairment,
    },
    Heal {
        id: NodeId,
    },
    SetNetwork {
        network: Box<Network>,
    },
    SetClock {
        id: NodeId,
        drift_ppm: i32,
        forward: Duration,
    },
    StartEvent {
        id: NodeId,
        payload: Box<[u8]>,
        options: EventOptions,
    },
    StartQuery {
        id: NodeId,
        payload: Box<[u8]>,
        deadline: Duration,
        options: QueryOptions,
    },
    Send {
        from: NodeId,
        to: NodeId,
        payload: Box<[u8]>,
    },
    SetMetadata {
        id: NodeId,
        metadata: Box<[u8]>,
    },
    SetKeyring {
        id: NodeId,
        keyring: Option<Box<Keyring>>,
    },
    Reconfigure {
        id: NodeId,
        config: Arc<Config>,
    },
    /// One of the live hosts but those of `spared`, drawn by the word, leaves or crashes.
    Depart {
        word: u64,
        crash: bool,
        spared: Arc<[NodeId]>,
    },
}

/// Actions that wait for their time. Places are used again.
#[derive(Debug, Default)]
pub(super) struct Actions {
    waiting: Vec<Option<Action>>,
    free: Vec<u32>,
}

impl Actions {
    fn put(&mut self, action: Action) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.waiting.push(None);
            self.waiting.len() as u32 - 1
        });
        self.waiting[index as usize] = Some(action);
        index
    }

    /// Whether an action changes nothing for the hosts that there are: what a newcomer sends takes as long as any datagram.
    pub(super) fn is_start(&self, index: u32) -> bool {
        matches!(self.waiting[index as usize], Some(Action::Start { .. }))
    }

    fn take(&mut self, index: u32) -> Action {
        self.free.push(index);
        self.waiting[index as usize].take().expect("an action happens once")
    }
}

impl<A: Addresses, O: Observer<A>, Q: Queue> Cluster<A, O, Q> {
    /// Schedules an action for a virtual time; a time that is over means now. Those of one time happen in the order in which they
    /// were scheduled.
    pub fn at(&mut self, when: Duration, action: Action) {
        let index = self.actions.put(action);
        self.push(nanos(when).max(self.now), Happening::Act { index });
    }

    pub(super) fn on_action(&mut self, index: u32) {
        let action = self.actions.take(index);
        self.act(action);
    }

    /// Does it now.
    pub fn act(&mut self, action: Action) {
        match action {
            Action::Start { config, metadata, drift_ppm, seeds } => {
                let options = StartOptions { metadata: &metadata, drift_ppm, ..StartOptions::default() };
                let id = self.start(&config, &options);
                self.join(id, &seeds);
            }
            Action::Join { id, seeds } if self.is_up(id) => self.join(id, &seeds),
            Action::Leave { id } if self.is_up(id) && !self.has_left(id) => self.goodbye(id),
            Action::Crash { id } => self.crash(id),
            Action::Restart { id, how } if self.get(id).is_some() => {
                let _ = self.restart(id, &how);
            }
            Action::Rejoin { id, seeds } if self.get(id).is_some() => {
                let _ = self.restart(id, &Restart::Fresh);
                self.join(id, &seeds);
            }
            Action::Snapshot { id } if self.is_up(id) => drop(self.snapshot(id)),
            Action::Pause { id, span } if self.is_up(id) => self.pause(id, span),
            Action::BlockProcess { id, span } if self.is_up(id) => self.block_process(id, span),
            Action::Deafen { id, span } if self.is_up(id) => self.deafen(id, span),
            Action::Starve { id, least, most } if self.is_up(id) => self.starve(id, least, most),
            Action::SlowDown { id, span, waiting } if self.is_up(id) => self.slow_down(id, span, waiting),
            Action::Feed { id } if self.is_up(id) => self.feed(id),
            Action::Block { ours, theirs } => self.block(&ours, &theirs),
            Action::BlockOneWay { senders, receivers } => self.block_one_way(&senders, &receivers),
            Action::Partition { side } => self.partition(&side),
            Action::UnblockAll => self.unblock_all(),
            Action::Impair { id, fault, impairment } => self.impair(id, fault, impairment),
            Action::Heal { id } => self.heal(id),
            Action::SetNetwork { network } => self.set_network(*network),
            Action::SetClock { id, drift_ppm, forward } => self.set_clock(id, drift_ppm, forward),
            Action::StartEvent { id, payload, options } => {
                self.order(id, Command::StartEvent { payload: &payload, options });
            }
            Action::StartQuery { id, payload, deadline, options } => {
                self.order(id, Command::StartQuery { payload: &payload, deadline, options });
            }
            Action::Send { from, to, payload } => {
                self.order(from, Command::Send { to: A::of(to), payload: &payload });
            }
            Action::SetMetadata { id, metadata } => self.order(id, Command::SetMetadata { metadata: &metadata }),
            Action::SetKeyring { id, keyring } => self.order(id, Command::SetKeyring { keyring: keyring.as_deref() }),
            Action::Reconfigure { id, config } => self.order(id, Command::Reconfigure { config: &config }),
            Action::Depart { word, crash, spared } => {
                if let Some(id) = self.draw_live(word, &spared) {
                    if crash { self.crash(id) } else { self.goodbye(id) }
                }
            }
            // What the guards above let through: there is nobody to do it to.
            Action::Join { .. }
            | Action::Leave { .. }
            | Action::Restart { .. }
            | Action::Rejoin { .. }
            | Action::Snapshot { .. }
            | Action::Pause { .. }
            | Action::BlockProcess { .. }
            | Action::Deafen { .. }
            | Action::Starve { .. }
            | Action::SlowDown { .. }
            | Action::Feed { .. } => {}
        }
    }

    fn order(&mut self, id: NodeId, command: Command<'_, A>) {
        let outcome = self.command(id, command);
        self.observer.on_outcome(Duration::from_nanos(self.now), id, &outcome);
    }

    /// Leaves, unless it is on its way out already.
    fn goodbye(&mut self, id: NodeId) {
        self.tell(id, crate::observe::Lifecycle::Leaving);
        self.order(id, Command::Leave);
    }

    fn draw_live(&self, word: u64, spared: &[NodeId]) -> Option<NodeId> {
        let candidates: Vec<NodeId> = self.live().filter(|id| !spared.contains(id)).collect();
        let place = (u128::from(word) * candidates.len() as u128) >> 64;
        candidates.get(place as usize).copied()
    }
}
