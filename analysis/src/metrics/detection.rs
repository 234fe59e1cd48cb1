//! Failure detection: crashes found, goodbyes heard, false alarms raised and taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use event_log::plan::Backend;
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
    /// Declarations of death that were old news: about an earlier node at the same address, heard after a new one had
    /// taken its place.
    pub old_news: u64,
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
        let by_addr = Stays::of(experiment, run.index);
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
                    if let Some(id) = member.filter(|id| !by_addr.is_old_news(*id, change)) {
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
                    if member.is_some_and(|id| by_addr.is_old_news(id, change)) {
                        detection.old_news += 1;
                    } else if let Some(id) = member {
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
    /// The run that is looked at.
    run: u32,
    of: BTreeMap<SocketAddr, Vec<StayId>>,
}

impl<'a> Stays<'a> {
    fn of(experiment: &'a Experiment, run: u32) -> Self {
        let mut of: BTreeMap<SocketAddr, Vec<StayId>> = BTreeMap::new();
        for (id, stay) in experiment.stays.iter().enumerate() {
            if let Some(addr) = stay.addr {
                of.entry(addr).or_default().push(id);
            }
        }
        Self { experiment, run, of }
    }

    /// Whether `change`, heard while `id` has its address, is about an earlier node there: its incarnation is none that was
    /// not known before `id` came.
    fn is_old_news(&self, id: StayId, change: &Change) -> bool {
        let stays = &self.experiment.stays;
        let stay = &stays[id];
        // A simulated run has a cluster of its own: nobody in it can have heard of a node of another run. Its runs do not overlap.
        let alone = self.experiment.manifest.backend == Backend::Sim;
        let begins = |run: &&Run| run.index == self.run;
        let since = self.experiment.runs.iter().find(begins).filter(|_| alone).map_or(Nanos::MIN, |run| run.first);
        let before = self.of[&change.member].iter().any(|other| (since..stay.from).contains(&stays[*other].from));
        let known = || {
            let changes = self.experiment.runs.iter().flat_map(|run| &run.changes);
            let earlier = changes.filter(|c| c.member == change.member && (since..stay.from).contains(&c.at));
            earlier.map(|c| c.incarnation).max()
        };
        before && known().is_some_and(|known| change.incarnation <= known)
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

#[cfg(test)]
mod tests {
    use event_log::plan::Plan;

    use super::*;
    use crate::load::Stay;
    use crate::load::tests::empty;

    fn stay(name: &str, last: u8, from: Nanos, gone: Option<(Nanos, Gone)>) -> Stay {
        let addr = Some(addr(last));
        let (traffic, faults, counters) = (vec![], vec![], vec![]);
        Stay { name: name.into(), addr, from, gone, stopped: None, traffic, faults, counters }
    }

    fn addr(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], 1))
    }

    /// a lives throughout; b is killed at 10, and another b takes its place at 50.
    fn experiment(changes: Vec<Change>) -> Experiment {
        let mut experiment = empty(Plan::parse("t", "name = \"t\"\n[cluster]\nsizes = [2]\n").expect("a plan"));
        experiment.stays =
            vec![stay("a", 1, 0, None), stay("b", 2, 0, Some((10, Gone::Killed))), stay("b", 2, 50, None)];
        experiment.runs[0].to = 100;
        experiment.runs[0].changes = changes;
        experiment
    }

    fn dead(at: Nanos, incarnation: u32) -> Change {
        Change { observer: 0, member: addr(2), state: MemberState::Dead, incarnation, at }
    }

    #[test]
    fn the_death_of_an_earlier_node_at_the_address_is_old_news_and_that_of_the_new_one_false() {
        let of = |changes| {
            let experiment = experiment(changes);
            Detection::of(&experiment, &experiment.runs[0])
        };
        let detection = of(vec![dead(20, 3), dead(60, 3)]);
        assert_eq!((detection.old_news, detection.false_deaths.len()), (1, 0));
        assert_eq!(detection.crashes[0].declared_dead, 1);
        let detection = of(vec![dead(20, 3), dead(60, 4)]);
        assert_eq!((detection.old_news, detection.false_deaths.len()), (0, 1), "incarnation 4 is the new node's");
        let detection = of(vec![dead(9, 3)]);
        assert_eq!(detection.false_deaths.len(), 1, "one nanosecond before the kill it was not true yet");
        assert_eq!(detection.crashes[0].declared_dead, 0);
    }

    #[test]
    fn in_simulated_runs_nothing_of_an_earlier_run_is_old_news() {
        let of = |backend, first| {
            let mut experiment = experiment(vec![dead(20, 3), dead(60, 3)]);
            experiment.manifest.backend = backend;
            experiment.runs[0].first = first;
            let detection = Detection::of(&experiment, &experiment.runs[0]);
            (detection.old_news, detection.false_deaths.len())
        };
        assert_eq!(of(Backend::Local, 40), (1, 0));
        assert_eq!(of(Backend::Sim, 40), (0, 1), "the node before was one of another run");
        assert_eq!(of(Backend::Sim, 0), (1, 0), "it was one of this run");
    }

    #[test]
    fn a_suspicion_that_ends_with_the_suspect_alive_is_a_refutation() {
        let change = |at, state| Change { observer: 0, member: addr(2), state, incarnation: 0, at };
        let experiment = experiment(vec![
            change(1, MemberState::Suspect),
            change(2, MemberState::Alive),
            change(3, MemberState::Alive),
            change(12, MemberState::Suspect),
            change(13, MemberState::Dead),
        ]);
        let detection = Detection::of(&experiment, &experiment.runs[0]);
        assert_eq!((detection.suspicions, detection.false_suspicions, detection.refutations), (2, 1, 1));
        assert_eq!(detection.crashes[0].first_suspect_ms, Some(2e-6));
    }
}
