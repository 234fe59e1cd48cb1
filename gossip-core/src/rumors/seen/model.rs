//! The identities that are remembered against a list of all that ever were.

use alloc::vec::Vec;

use proptest::prelude::{Strategy, prop, prop_oneof, proptest};

use super::*;

/// An identity, when it is to be forgotten, when its event started.
type Model = Vec<(EventId<u16>, Instant, Start)>;

#[derive(Debug, Clone)]
enum Step {
    Hear { sequence: u64, age: u64 },
    Shrink(usize),
    Pass(u64),
}

fn arb_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12_u64, 0..40_u64).prop_map(|(sequence, age)| Step::Hear { sequence, age }),
        1 => (0..6_usize).prop_map(Step::Shrink),
        2 => (0..30_u64).prop_map(Step::Pass),
    ]
}

const LIFETIME: Duration = Duration::from_secs(60);

proptest! {
    #[test]
    fn what_is_remembered_is_what_was_heard_and_not_forgotten(steps in prop::collection::vec(arb_step(), 0..80)) {
        let mut seen = Seen::new(FixedState::with_seed(1));
        let (mut model, mut horizon) = (Model::new(), None);
        let mut now = Instant::from_millis(1_000_000);
        for step in steps {
            match step {
                Step::Hear { sequence, age } => {
                    let id = EventId { origin: 1, sequence };
                    let started = Start::new(now, Duration::from_secs(age));
                    seen.insert(id, started, now + LIFETIME);
                    if model.iter().all(|(other, ..)| *other != id) {
                        model.push((id, now + LIFETIME, started));
                    }
                }
                Step::Shrink(max) => {
                    let early = model.len().saturating_sub(max);
                    assert_eq!(seen.shrink(max), early as u64);
                    horizon = model.drain(..early).map(|(.., started)| Some(started)).fold(horizon, Ord::max);
                }
                Step::Pass(seconds) => {
                    now += Duration::from_secs(seconds);
                    seen.expire(now);
                    model.retain(|(_, forget, _)| *forget > now);
                }
            }
            for sequence in 0..12 {
                let id = EventId { origin: 1, sequence };
                assert_eq!(seen.contains(&id), model.iter().any(|(other, ..)| *other == id));
            }
            for age in 0..60 {
                let started = Start::new(now, Duration::from_secs(age));
                let forgotten = horizon.is_some_and(|horizon| started <= horizon);
                assert_eq!(seen.may_have_forgotten(started, Duration::ZERO), forgotten);
            }
            assert_eq!(seen.next_expiry(), model.iter().map(|(_, forget, _)| *forget).min());
            seen.check(usize::MAX);
        }
    }
}
