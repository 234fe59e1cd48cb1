//! How rumors spread: one file per strategy, and here what they have in common.
//!
//! A strategy decides four things: whom a node calls in its round and whether it asks them for an answer; to whom an event is
//! told on as soon as it is learnt; whether rumors ride on a message; and how often this node tells a rumor. It sees the
//! member table (from which the number of members and the hash of a node's own address follow), and of a rumor its origin,
//! age, hops and how often it was told here. In which order rumors fill a datagram is the backlog's business and the same for
//! all, and so is the gossip on the back of probes and of application messages.

mod eager;
mod median_counter;
mod pull;
mod push;
mod push_pull;
mod sqrt_tree;

use alloc::vec::Vec;
use core::time::Duration;

use crate::address::Address;
use crate::backlog::LIMIT_MAX;
use crate::config::{Config, Strategy};
use crate::fanout::{self, Fanout};
use crate::members::{Members, Slot};
use crate::rng::Rng;
use crate::suspicion::digits;
use crate::wire::{Message, Rumor};
pub(crate) use median_counter::{Count, Limits};
pub(crate) use sqrt_tree::Branch;

/// Calls that a node makes at once; a round of more is made in parts, evenly over the interval.
const CALLS_AT_ONCE: u32 = 32;

/// What this node did about a rumor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    /// How often it was told, this time included.
    pub(crate) times: u8,
    /// How long ago it was learnt.
    pub(crate) held: Duration,
}

/// What a strategy decides upon, beside the rumor itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation<'a, A: Address> {
    config: &'a Config,
    members: &'a Members<A>,
    /// Whether the node has something to tell.
    news: bool,
    /// Calls in a round for what is told, where they depend on its age.
    aged: u32,
    /// λ·⌈log10(N + 1)⌉: how often an item is told before it counts as told (SWIM §4.1).
    pub(crate) transmissions: u8,
}

impl<'a, A: Address> Situation<'a, A> {
    pub(crate) fn new(config: &'a Config, members: &'a Members<A>, news: bool) -> Self {
        let transmissions = config.retransmit_multiplier.saturating_mul(digits(members.live_count()));
        Self { config, members, news, aged: 1, transmissions: transmissions.min(LIMIT_MAX) }
    }

    /// The same, where events of these ages are told.
    pub(crate) fn with_ages(mut self, ages: impl Iterator<Item = Duration>) -> Self {
        // Where calls carry nothing, or nothing bounds how often an event is told, more of them would only cost.
        let tells = !matches!(self.config.strategy, Strategy::Pull { .. } | Strategy::MedianCounter { .. });
        if self.config.strategy.fanout() == Fanout::Aging && tells {
            let round = self.config.gossip_interval.as_nanos().max(1);
            let rounds = |age: Duration| u32::try_from(age.as_nanos() / round).unwrap_or(u32::MAX);
            let calls = ages.map(|age| fanout::aged(self.members.live_count(), rounds(age))).max().unwrap_or(1);
            self.aged = calls.min(self.transmissions.max(1).into());
        }
        self
    }

    /// Calls of this node in a round.
    pub(crate) fn calls(&self, fanout: Fanout) -> u32 {
        match fanout {
            Fanout::Aging => self.aged,
            _ => fanout.calls(&self.members.local(), self.members.live_count()),
        }
    }

    /// In how many parts a round is made.
    pub(crate) fn parts(&self, fanout: Fanout) -> u32 {
        // Who has rounds with others together makes them at once.
        if self.config.aligned_rounds { 1 } else { self.calls(fanout).div_ceil(CALLS_AT_ONCE) }
    }

    /// Calls of this node in one part of a round.
    fn calls_of_part(&self, fanout: Fanout) -> u32 {
        self.calls(fanout).div_ceil(self.parts(fanout))
    }
}

/// The members that a strategy chose. The list is the node's, and is used again.
#[derive(Debug)]
pub(crate) struct Targets<'a> {
    pub(crate) rng: &'a mut Rng,
    pub(crate) slots: &'a mut Vec<Slot>,
}

impl Targets<'_> {
    /// Chooses `count` random live members instead, none of them `except`.
    fn random<A: Address>(&mut self, situation: &Situation<'_, A>, count: u32, except: Option<Slot>) {
        situation.members.random_peers(count as usize, except, self.rng, self.slots);
    }
}

impl Strategy {
    /// Chooses whom to call in a round, or in one of its parts; true when they shall answer with what the caller lacks.
    pub(crate) fn round<A: Address>(self, situation: &Situation<'_, A>, targets: &mut Targets<'_>) -> bool {
        match self {
            Self::Push { fanout } => push::round(fanout, situation, targets),
            Self::Pull { fanout } => pull::round(fanout, situation, targets),
            Self::PushPull { fanout }
            | Self::MedianCounter { fanout }
            | Self::Eager { fanout }
            | Self::SqrtTree { fanout, .. } => push_pull::round(fanout, situation, targets),
        }
    }

    /// Whether a node with nothing to tell calls others all the same.
    pub(crate) const fn calls_when_idle(self, config: &Config) -> bool {
        match self {
            Self::Push { .. } => false,
            Self::Pull { .. } => true,
            Self::PushPull { .. } | Self::MedianCounter { .. } | Self::Eager { .. } | Self::SqrtTree { .. } => {
                config.idle_calls
            }
        }
    }

    /// Adds those to whom a rumor, which was just learnt, is told on at once. Who told it is `except`. `targets` holds those
    /// chosen for the other events of the same datagram: whoever is called is told them all.
    pub(crate) fn forward<A: Address>(
        self,
        situation: &Situation<'_, A>,
        _rumor: &Rumor<'_, A>,
        except: Option<Slot>,
        targets: &mut Targets<'_>,
    ) {
        match self {
            Self::Eager { fanout } => eager::forward(fanout, situation, except, targets),
            Self::Push { .. }
            | Self::Pull { .. }
            | Self::PushPull { .. }
            | Self::MedianCounter { .. }
            | Self::SqrtTree { .. } => {}
        }
    }

    /// Whether rumors ride on this message.
    pub(crate) fn carries<A>(self, message: &Message<'_, A>) -> bool {
        match self {
            Self::Pull { .. } => pull::carries(message),
            // What is told elsewhere is not counted, and a goodbye may be the last chance to tell.
            Self::MedianCounter { .. } => {
                matches!(message, Message::Gossip { .. } | Message::Answer | Message::Leave)
            }
            Self::Push { .. } | Self::PushPull { .. } | Self::Eager { .. } | Self::SqrtTree { .. } => true,
        }
    }

    /// Whether an answer is filled with what this node told often enough, but learnt lately.
    pub(crate) const fn repeats(self) -> bool {
        // Whoever is silent is not to be heard again: anti-entropy finds who missed it.
        !matches!(self, Self::MedianCounter { .. })
    }

    /// Whether a rumor that this node told is to be told again.
    pub(crate) fn tells_again<A: Address>(
        self,
        situation: &Situation<'_, A>,
        _rumor: &Rumor<'_, A>,
        told: Told,
    ) -> bool {
        match self {
            // The tree told it: the rounds mend what was lost, and cost no more than that.
            Self::SqrtTree { .. } => return told.times < situation.config.retransmit_multiplier,
            // The end of a round takes it out, when its counter says so.
            Self::MedianCounter { .. } => return true,
            Self::Push { .. } | Self::Pull { .. } | Self::PushPull { .. } | Self::Eager { .. } => {}
        }
        match self.fanout() {
            Fanout::Fixed(_) | Fanout::Logarithmic | Fanout::Aging => told.times < situation.transmissions,
            // A number of times would be over in one round at a node that makes many calls: λ rounds.
            Fanout::Growing | Fanout::HeavyTail { .. } => {
                let rounds = u32::from(situation.config.retransmit_multiplier);
                told.held < situation.config.gossip_interval * rounds
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::{Claim, MemberState, Metadata};
    use crate::wire::Terms;

    fn table(size: u16) -> Members<u16> {
        let mut members = Members::new(0, 0, Metadata::default(), 1);
        for addr in 1..size {
            members.insert(addr, Claim { incarnation: 0, state: MemberState::Alive }, None);
        }
        members
    }

    const PUSH: Strategy = Strategy::Push { fanout: Fanout::Fixed(3) };
    const PULL: Strategy = Strategy::Pull { fanout: Fanout::Fixed(2) };
    const PUSH_PULL: Strategy = Strategy::PushPull { fanout: Fanout::Fixed(1) };
    const EAGER: Strategy = Strategy::Eager { fanout: Fanout::Fixed(2) };
    const COUNTER: Strategy = Strategy::MedianCounter { fanout: Fanout::Fixed(1) };

    #[test]
    fn who_calls_when() {
        let members = table(20);
        let (mut rng, mut slots) = (Rng::new(1), Vec::new());
        // Strategy, idle calls, something to tell: how many are called, and whether they are to answer.
        let table = [
            (PUSH, false, true, 3, false),
            (PUSH, true, false, 0, false),
            (PULL, false, false, 2, true),
            (PULL, false, true, 2, true),
            (PUSH_PULL, false, true, 1, true),
            (PUSH_PULL, false, false, 0, true),
            (PUSH_PULL, true, false, 1, true),
            (COUNTER, false, true, 1, true),
            (COUNTER, false, false, 0, true),
            (COUNTER, true, false, 1, true),
            (EAGER, false, true, 2, true),
            (EAGER, false, false, 0, true),
        ];
        for (strategy, idle_calls, news, calls, answer) in table {
            let config = Config { strategy, idle_calls, ..Config::lan() };
            let situation = Situation::new(&config, &members, news);
            let mut targets = Targets { rng: &mut rng, slots: &mut slots };
            assert_eq!(strategy.round(&situation, &mut targets), answer, "{strategy:?} {idle_calls} {news}");
            assert_eq!(slots.len(), calls, "{strategy:?} {idle_calls} {news}");
            assert!(news || (calls > 0) == strategy.calls_when_idle(&config), "{strategy:?} {idle_calls}");
        }
    }

    #[test]
    fn the_oldest_that_should_not_be_known_to_all_yet_says_how_many_are_called() {
        let members = table(400);
        let config = Config { strategy: Strategy::PushPull { fanout: Fanout::Aging }, ..Config::lan() };
        let calls = |ages: &[u64]| {
            let ages = ages.iter().map(|&ms| Duration::from_millis(ms));
            Situation::new(&config, &members, true).with_ages(ages).calls(Fanout::Aging)
        };
        // Rounds of 200 ms; 3·5·9·17 > 400, so growth is over at 8 rounds; an event is told 4·3 times.
        for (ages, expected) in [
            (&[][..], 1),
            (&[0], 1),
            (&[199], 1),
            (&[200], 2),
            (&[0, 640, 450], 8),
            (&[0, 60_000], 1),
            (&[1_599], 12),
            (&[1_600], 1),
            (&[1_600, 400], 4),
        ] {
            assert_eq!(calls(ages), expected, "{ages:?}");
        }
    }

    #[test]
    fn only_eager_tells_on_at_once_and_the_events_of_one_datagram_together() {
        let members = table(20);
        let config = Config::lan();
        let situation = Situation::new(&config, &members, true);
        let terms = Terms::default();
        let rumor = Rumor { origin: 7, sequence: 1, age_ms: 0, hops: 1, terms, counter: None, payload: b"x" };
        for (strategy, calls) in [(PUSH, 0), (PULL, 0), (PUSH_PULL, 0), (COUNTER, 0), (EAGER, 2)] {
            let (mut rng, mut slots) = (Rng::new(1), Vec::new());
            for _ in 0..3 {
                strategy.forward(&situation, &rumor, Some(4), &mut Targets { rng: &mut rng, slots: &mut slots });
            }
            assert_eq!(slots.len(), calls, "{strategy:?}");
            assert!(!slots.contains(&4), "not back to the teller");
        }
    }

    #[test]
    fn pull_pushes_nothing_in_its_calls() {
        let [call, answer, ping]: [Message<'_, u16>; 3] =
            [Message::Gossip { answer: true }, Message::Answer, Message::Ping { seq: 1 }];
        for (strategy, carried) in [(PUSH, true), (PUSH_PULL, true), (EAGER, true), (PULL, false)] {
            assert_eq!(strategy.carries(&call), carried, "{strategy:?}");
            assert!(strategy.carries(&answer) && strategy.carries(&ping), "{strategy:?}");
        }
        assert_eq!(
            [call, answer, ping, Message::Leave].map(|message| COUNTER.carries(&message)),
            [true, true, false, true]
        );
    }
}
