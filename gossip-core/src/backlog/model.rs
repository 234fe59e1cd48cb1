//! The backlog against a list that is searched and moved about.

use alloc::vec::Vec;

use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};

use super::{Backlog, LIMIT_MAX, Offer, SKIPS_MAX};

/// The slots in the order in which they will be offered, each with how often it was told.
#[derive(Default)]
struct Model(Vec<(u32, u8)>);

impl Model {
    fn remove(&mut self, slot: u32) {
        self.0.retain(|&(other, _)| other != slot);
    }

    fn push(&mut self, slot: u32, told: u8) {
        let behind = self.0.iter().position(|&(_, other)| other > told).unwrap_or(self.0.len());
        self.0.insert(behind, (slot, told));
    }

    fn offer(&mut self, mut send: impl FnMut(u32, u8) -> Offer) {
        let mut skips = 0;
        for (slot, told) in self.0.clone() {
            match send(slot, told + 1) {
                Offer::Sent { last } => {
                    self.remove(slot);
                    if !last {
                        self.push(slot, (told + 1).min(LIMIT_MAX));
                    }
                }
                Offer::Skip if skips < SKIPS_MAX => skips += 1,
                Offer::Skip | Offer::Full => return,
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u32),
    Remove(u32),
    /// What becomes of each that is offered, and how often one is told at most.
    Offer {
        fates: Vec<u8>,
        limit: u8,
    },
}

fn arb_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..24_u32).prop_map(Step::Insert),
        1 => (0..26_u32).prop_map(Step::Remove),
        2 => (prop::collection::vec(any::<u8>(), 1..40), 1..6_u8).prop_map(|(fates, limit)| Step::Offer { fates, limit }),
    ]
}

/// One in three does not fit, one in thirty-two is the end.
fn fate(fates: &[u8], offered: &[(u32, u8)], told: u8, limit: u8) -> Offer {
    match fates[offered.len() % fates.len()] {
        0..8 => Offer::Full,
        8..92 => Offer::Skip,
        92.. => Offer::Sent { last: told >= limit },
    }
}

proptest! {
    #[test]
    fn a_backlog_offers_what_a_sorted_list_would(steps in prop::collection::vec(arb_step(), 0..60)) {
        let (mut backlog, mut model) = (Backlog::default(), Model::default());
        for step in steps {
            match step {
                Step::Insert(slot) => {
                    backlog.insert(slot);
                    model.remove(slot);
                    model.push(slot, 0);
                }
                Step::Remove(slot) => {
                    backlog.remove(slot);
                    model.remove(slot);
                }
                Step::Offer { fates, limit } => {
                    let (mut offered, mut expected) = (Vec::new(), Vec::new());
                    backlog.offer(|slot, told| {
                        offered.push((slot, told));
                        fate(&fates, &offered, told, limit)
                    });
                    model.offer(|slot, told| {
                        expected.push((slot, told));
                        fate(&fates, &expected, told, limit)
                    });
                    assert_eq!(offered, expected);
                }
            }
            assert_eq!(backlog.check(), model.0);
            assert_eq!(backlog.is_empty(), model.0.is_empty());
            for slot in 0..26 {
                assert_eq!(backlog.contains(slot), model.0.iter().any(|&(other, _)| other == slot));
            }
        }
    }
}
