//! Every queue against a list that is searched.

use proptest::prelude::*;

use super::{Entry, Heap, Queue, Wheel};

fn in_order_of_time_then_of_arrival<Q: Queue>() {
    let mut queue = Q::default();
    for (at, what) in [(5, 1), (3, 2), (5, 3), (3, 4), (1 << 40, 5), (0, 6)] {
        queue.push(at, what);
    }
    assert_eq!(queue.len(), 6);
    let popped: Vec<u64> = std::iter::from_fn(|| queue.pop(10)).map(|entry| entry.what).collect();
    assert_eq!(popped, [6, 2, 4, 1, 3]);
    assert_eq!(queue.pop((1 << 40) - 1), None);
    assert_eq!(queue.pop(1 << 40), Some(Entry { at: 1 << 40, what: 5 }));
    assert!(queue.is_empty());
    assert_eq!(queue.pop(u64::MAX), None);
}

#[test]
fn a_heap_gives_them_in_order_of_time_then_of_arrival() {
    in_order_of_time_then_of_arrival::<Heap>();
}

#[test]
fn a_wheel_gives_them_in_order_of_time_then_of_arrival() {
    in_order_of_time_then_of_arrival::<Wheel>();
}

/// A delay of any magnitude, and often one that meets another's time.
fn delay() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        0_u64..4,
        (0_u32..45).prop_map(|bits| 1 << bits),
        (0_u32..45, any::<u64>()).prop_map(|(bits, word)| word >> (63 - bits)),
        (0_u64..8).prop_map(|n| n * 1_000_000),
    ]
}

proptest! {
    #[test]
    fn the_wheel_gives_what_the_heap_gives(
        steps in proptest::collection::vec((proptest::collection::vec(delay(), 0..20), delay(), 0_usize..30), 1..60),
        scouted in 0_usize..5,
    ) {
        let (mut heap, mut wheel) = (Heap::default(), Wheel::default());
        let (mut now, mut what) = (0_u64, 0);
        for (delays, span, count) in steps {
            for delay in delays {
                what += 1;
                heap.push(now + delay, what);
                wheel.push(now + delay, what);
            }
            let until = now + span;
            for _ in 0..count {
                let next = heap.pop(until);
                prop_assert_eq!(wheel.pop(until), next);
                // A hint, which changes nothing.
                (0..scouted).for_each(|_| _ = wheel.scout());
                prop_assert_eq!(wheel.len(), heap.len());
                match next {
                    Some(entry) => now = entry.at,
                    None => {
                        now = until;
                        break;
                    }
                }
                // What follows from it, at once or soon.
                if what % 4 == 1 {
                    what += 1;
                    heap.push(now + what % 3, what);
                    wheel.push(now + what % 3, what);
                }
            }
        }
        loop {
            for span in [1, 1_000_000, 1 << 24, u64::MAX - now] {
                let (mut known, mut all) = (Vec::new(), Vec::new());
                let until = wheel.upcoming(now + span, &mut known);
                prop_assert!(until <= now + span && heap.upcoming(until, &mut all) == until);
                prop_assert_eq!(known, all);
            }
            let Some(entry) = heap.pop(u64::MAX) else { break };
            prop_assert_eq!(wheel.pop(u64::MAX), Some(entry));
            now = entry.at;
        }
        prop_assert_eq!(wheel.pop(u64::MAX), None);
    }
}

#[test]
fn a_crowd_in_one_grain_and_one_at_the_end_of_time_come_in_order() {
    let (mut heap, mut wheel) = (Heap::default(), Wheel::default());
    for what in 0..50_000_u64 {
        let at = 5_000_000 + what * 7_919 % 16_384;
        heap.push(at, what);
        wheel.push(at, what);
    }
    for at in [u64::MAX, u64::MAX - 1] {
        heap.push(at, 0);
        wheel.push(at, 0);
    }
    while let Some(entry) = heap.pop(u64::MAX) {
        assert_eq!(wheel.pop(u64::MAX), Some(entry));
    }
    assert!(wheel.is_empty());
}
