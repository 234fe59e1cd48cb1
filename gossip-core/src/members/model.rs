//! The member table against a map.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};

use super::{Members, SELF};
use crate::member::{Claim, MemberState, Metadata};
use crate::rng::Rng;

#[derive(Debug, Clone)]
enum Step {
    /// Adds or changes a member.
    Set {
        addr: u16,
        claim: Claim,
        metadata: Option<(u32, u8)>,
    },
    Remove(u16),
    Probe,
    Draw {
        count: usize,
        except: u16,
    },
}

fn arb_step() -> impl Strategy<Value = Step> {
    let state = prop::sample::select(alloc::vec![
        MemberState::Alive,
        MemberState::Alive,
        MemberState::Suspect,
        MemberState::Dead,
        MemberState::Left,
    ]);
    let claim = (0..4_u32, state).prop_map(|(incarnation, state)| Claim { incarnation, state });
    prop_oneof![
        4 => (1..20_u16, claim, prop::option::of((1..4_u32, any::<u8>())))
            .prop_map(|(addr, claim, metadata)| Step::Set { addr, claim, metadata }),
        2 => (1..20_u16).prop_map(Step::Remove),
        2 => proptest::strategy::Just(Step::Probe),
        1 => (0..22_usize, 0..20_u16).prop_map(|(count, except)| Step::Draw { count, except }),
    ]
}

type Model = BTreeMap<u16, (Claim, (u32, Vec<u8>))>;

fn live(model: &Model) -> BTreeSet<u16> {
    model.iter().filter(|(_, (claim, _))| claim.state.is_live()).map(|(&addr, _)| addr).collect()
}

fn compare(members: &Members<u16>, model: &Model) {
    members.check();
    assert_eq!(members.len(), model.len() + 1, "and the node itself");
    assert_eq!(members.live_count() as usize, live(model).len() + 1);
    for addr in 1..20 {
        let found = members.find(&addr).map(|slot| {
            let Metadata { version, bytes } = members.metadata(slot);
            (members.entry(slot).claim(), (version, bytes.to_vec()))
        });
        assert_eq!(found.as_ref(), model.get(&addr), "member {addr}");
    }
}

proptest! {
    #[test]
    fn a_table_of_members_is_a_map_that_draws(steps in prop::collection::vec(arb_step(), 0..80), seed: u64) {
        let mut rng = Rng::new(seed);
        let mut members = Members::new(0_u16, 0, Metadata::default(), seed);
        let mut model = Model::new();
        let mut chosen = Vec::new();
        for step in steps {
            match step {
                Step::Set { addr, claim, metadata } => {
                    let bytes = metadata.map(|(version, byte)| (version, alloc::vec![byte; usize::from(byte % 3)]));
                    let stated = bytes.as_ref().map(|(version, bytes)| Metadata { version: *version, bytes });
                    match members.find(&addr) {
                        Some(slot) => members.set(slot, claim, stated),
                        None => assert_ne!(members.insert(addr, claim, stated), SELF),
                    }
                    let known = model.entry(addr).or_insert_with(|| (claim, (0, Vec::new())));
                    known.0 = claim;
                    if let Some(bytes) = bytes {
                        known.1 = bytes;
                    }
                }
                Step::Remove(addr) => {
                    if let Some(slot) = members.find(&addr) {
                        members.remove(slot);
                    }
                    model.remove(&addr);
                }
                Step::Probe => {
                    let target = members.next_probe(&mut rng).map(|slot| members.entry(slot).addr());
                    assert_eq!(target.is_some(), !live(&model).is_empty());
                    assert!(target.is_none_or(|addr| live(&model).contains(&addr)), "{target:?} is probed");
                }
                Step::Draw { count, except } => {
                    let excepted = members.find(&except);
                    members.random_peers(count, excepted, &mut rng, &mut chosen);
                    let drawn: BTreeSet<u16> = chosen.iter().map(|&slot| members.entry(slot).addr()).collect();
                    let mut allowed = live(&model);
                    allowed.remove(&except);
                    assert_eq!(drawn.len(), chosen.len(), "each once");
                    assert_eq!(drawn.len(), count.min(allowed.len()));
                    assert!(drawn.is_subset(&allowed));
                }
            }
            compare(&members, &model);
        }
        // Whatever happened in the running cycle: in two more everybody is probed.
        let mut probed = BTreeSet::new();
        for _ in 0..2 * model.len() {
            let target = members.next_probe(&mut rng);
            probed.extend(target.map(|slot| members.entry(slot).addr()));
        }
        assert_eq!(probed, live(&model), "SWIM §4.3: within two cycles");
    }
}
