//! Failure detection: crashes found, goodbyes heard, false alarms raised and taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use event_log::record::MemberState;

use crate::load::{Change, Experiment, Gone, Nanos, Run, StayId};
use crate::metrics::times::ms;

/// What the nodes of one run thought of each other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Detection {
    /// Each crash of the run and who noticed.
    pub crashes: Vec<Departure>,
    /// Each goodbye of the run and who heard it.
    pub goodbyes: Vec<Departure>,
    /// Declarations of death about nodes that had neither been killed nor left: the observer, the member, whether the
    /// member was asleep then.
    pub false_deaths: Vec<FalseDeath>,
    /// Times that a node began to suspect another which was neither killed nor gone.
    pub false_suspicions: u64,
    /// Times that a node began to suspect another, killed ones included.
    pub suspicions: u64,
    /// Suspicions that ended because the suspect was heard of alive.
    pub refutations: u64,
    /// Sleepers that somebody suspected while they slept, of how many.
    pub sleepers_suspected: (usize, usize),
    /// Sleepers that somebody declared dead.
    pub sleepers_declared_dead: usize,
}

/// A node that went, and what the survivors made of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Departure {
    /// Name of the node.
    pub name: String,
    /// Nodes that were in the cluster from then to the end of the run.
    pub survivors: usize,
    /// Of them those that declared it dead.
    pub declared_dead: usize,
    /// Of them those that took it as having left.
    pub heard_left: usize,
    /// From its going to the first suspicion, milliseconds.
    pub first_suspect_ms: Option<f64>,
    /// From its going to the first survivor that knew (dead for a crash, left for a goodbye), milliseconds.
    pub first_ms: Option<f64>,
    /// From its going until the last of those survivors that ever knew did, milliseconds.
    pub last_ms: Option<f64>,
}

/// A living node declared dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FalseDeath {
    /// Name of the node that was wrong.
    pub observer: String,
    /// Name of the node that was alive.
    pub member: String,
    /// Whether it was asleep, so that nobody could have known better.
    pub asleep: bool,
    /// When, since the run's start, milliseconds, rounded.
    pub at_ms: i64,
}

impl Detection {
    /// Goes through the changes of mind in `run`.
    #[must_use]
    pub fn of(experiment: &Experiment, run: &Run) -> Self {
        let mut detection = Self::default();
        let by_addr = Stays::of(experiment);
        for (id, stay) in experiment.stays.iter().enumerate() {
            let Some((at, how)) = stay.gone.filter(|(at, _)| (run.from..=run.to).contains(at)) else { continue };
            match how {
                Gone::Killed => detection.crashes.push(departure(experiment, run, id, at, MemberState::Dead)),
                Gone::Left => detection.goodbyes.push(departure(experiment, run, id, at, MemberState::Left)),
                Gone::Stopped => {}
            }
        }
        let naps = run.naps();
        let asleep = |id: StayId, at: Nanos| {
            naps.iter().any(|nap| nap.node == id && nap.from <= at && nap.to.is_none_or(|to| at <= to))
        };
        let (mut suspected, mut buried) = (BTreeSet::new(), BTreeSet::new());
        let mut suspects: BTreeSet<(StayId, SocketAddr)> = BTreeSet::new();
        for change in &run.changes {
            let member = by_addr.at(change.member, change.at);
            let pair = (change.observer, change.member);
            match change.state {
                MemberState::Suspect => {
                    suspects.insert(pair);
                    detection.suspicions += 1;
                    if let Some(id) = member {
                        detection.false_suspicions += 1;
                        if asleep(id, change.at) {
                            suspected.insert(id);
                        }
                    }
                }
                MemberState::Alive => {
                    if suspects.remove(&pair) {
                        detection.refutations += 1;
                    }
                }
                MemberState::Dead => {
                    suspects.remove(&pair);
                    if let Some(id) = member {
                        let slept = asleep(id, change.at);
                        if slept {
                            buried.insert(id);
                        }
                        detection.false_deaths.push(FalseDeath {
                            observer: experiment.stays[change.observer].name.clone(),
                            member: experiment.stays[id].name.clone(),
                            asleep: slept,
                            at_ms: ms(change.at - run.from) as i64,
                        });
                    }
                }
                MemberState::Left | MemberState::Forgotten => {
                    suspects.remove(&pair);
                }
            }
        }
        let sleepers: BTreeSet<StayId> = naps.iter().map(|nap| nap.node).collect();
        detection.sleepers_suspected = (suspected.len(), sleepers.len());
        detection.sleepers_declared_dead = buried.len();
        detection
    }

    /// Crashes that every survivor found.
    #[must_use]
    pub fn crashes_found(&self) -> usize {
        self.crashes.iter().filter(|crash| crash.declared_dead == crash.survivors).count()
    }

    /// False declarations of death about nodes that were awake.
    #[must_use]
    pub fn false_deaths_awake(&self) -> usize {
        self.false_deaths.iter().filter(|death| !death.asleep).count()
    }
}

/// Who had an address when.
struct Stays<'a> {
    experiment: &'a Experiment,
    of: BTreeMap<SocketAddr, Vec<StayId>>,
}

impl<'a> Stays<'a> {
    fn of(experiment: &'a Experiment) -> Self {
        let mut of: BTreeMap<SocketAddr, Vec<StayId>> = BTreeMap::new();
        for (id, stay) in experiment.stays.iter().enumerate() {
            if let Some(addr) = stay.addr {
                of.entry(addr).or_default().push(id);
            }
        }
        Self { experiment, of }
    }

    /// The node that lived under `addr` at `at`, if one did. A departure within the clocks' error counts as before.
    fn at(&self, addr: SocketAddr, at: Nanos) -> Option<StayId> {
        let slack = Nanos::try_from(self.experiment.clock_error_ns).unwrap_or(Nanos::MAX);
        let stays = &self.experiment.stays;
        self.of.get(&addr)?.iter().copied().find(|id| stays[*id].present(at.saturating_add(slack)))
    }
}

/// What the survivors of `run` made of node `id` that went at `at`; `state` is what they ought to think.
fn departure(experiment: &Experiment, run: &Run, id: StayId, at: Nanos, state: MemberState) -> Departure {
    let stays = &experiment.stays;
    let survives = |other: StayId| other != id && stays[other].covers(at, run.to);
    let about = |change: &&Change| {
        Some(change.member) == stays[id].addr && survives(change.observer) && change.at >= at && change.at <= run.to
    };
    let observers = |state: MemberState| -> BTreeMap<StayId, Nanos> {
        let mut first = BTreeMap::new();
        for change in run.changes.iter().filter(about).filter(|change| change.state == state) {
            let earliest = first.entry(change.observer).or_insert(change.at);
            *earliest = (*earliest).min(change.at);
        }
        first
    };
    let knew = observers(state);
    Departure {
        name: stays[id].name.clone(),
        survivors: (0..stays.len()).filter(|other| survives(*other)).count(),
        declared_dead: observers(MemberState::Dead).len(),
        heard_left: observers(MemberState::Left).len(),
        first_suspect_ms: observers(MemberState::Suspect).values().min().map(|first| ms(first - at)),
        first_ms: knew.values().min().map(|first| ms(first - at)),
        last_ms: knew.values().max().map(|last| ms(last - at)),
    }
}
