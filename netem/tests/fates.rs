//! The models together, as a driver sees them: marginal rates, order of judgement, determinism, ends.

use core::time::Duration;
use std::collections::BTreeSet;

use netem::spec::{Delay, Direction, Distribution, DropNext, Loss, Probability, Sleep, Span};
use netem::{Cause, Counts, Endpoint, Fate, Impairment, Netem};
use proptest::prelude::*;

const SEED: u64 = 42;
const ME: Endpoint = Endpoint(0);
const PEER: Endpoint = Endpoint(1);
const NS: Duration = Duration::from_nanos(1);
const OUT: Direction = Direction::Out;
const IN: Direction = Direction::In;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn loss(probability: f64, direction: Direction) -> Impairment {
    Impairment::Loss(Loss { probability: Probability::new(probability).expect("a probability"), direction })
}

fn delay(mean_ms: u32, jitter_ms: u32, distribution: Distribution) -> Impairment {
    let (mean, jitter) = (Span::from_millis(mean_ms), Span::from_millis(jitter_ms));
    Impairment::Delay(Delay { mean, jitter, distribution, direction: OUT })
}

fn sleep(millis: u32) -> Impairment {
    Impairment::Sleep(Sleep { duration: Span::from_millis(millis) })
}

fn drop_next(count: u32, direction: Direction) -> Impairment {
    Impairment::DropNext(DropNext { count, direction })
}

fn block(peers: &[u64], duration: Duration) -> Impairment {
    Impairment::Block { peers: peers.iter().copied().map(Endpoint).collect(), duration }
}

fn with(impairments: impl IntoIterator<Item = Impairment>) -> Netem {
    let mut netem = Netem::new(SEED, ME);
    for (id, impairment) in (0..).zip(impairments) {
        netem.impair(Duration::ZERO, id, impairment);
    }
    netem
}

fn fates(netem: &mut Netem, direction: Direction, peer: Endpoint, count: usize) -> Vec<Fate> {
    (0..count).map(|_| netem.judge(Duration::ZERO, direction, peer, 100)).collect()
}

fn losses(fates: &[Fate]) -> Vec<bool> {
    fates.iter().map(|fate| *fate == Fate::Drop(Cause::Loss)).collect()
}

#[test]
fn nothing_impaired_delivers_at_once_and_tries_nothing() {
    let mut netem = Netem::new(SEED, ME);
    assert!(fates(&mut netem, OUT, PEER, 100).iter().all(|fate| *fate == Fate::AT_ONCE));
    assert!(fates(&mut netem, IN, PEER, 10).iter().all(|fate| *fate == Fate::AT_ONCE));
    assert_eq!(*netem.counts(), Counts { judged_out: 100, judged_in: 10, ..Counts::default() });
    assert_eq!((netem.next_end(), netem.poll_ended(ms(9))), (None, None));
}

#[test]
fn the_share_lost_is_the_share_asked_for() {
    const TRIALS: usize = 50_000;
    for p in [0.001, 0.05, 0.1, 0.5, 0.9] {
        let mut netem = with([loss(p, OUT)]);
        // Spread over links: the bound is on their sum, each link has a stream of its own.
        for peer in 1..=10 {
            fates(&mut netem, OUT, Endpoint(peer), TRIALS / 10);
        }
        let counts = netem.counts();
        let lost = counts.loss_dropped as f64;
        let (expected, deviation) = (TRIALS as f64 * p, (TRIALS as f64 * p * (1.0 - p)).sqrt());
        assert!((lost - expected).abs() < 3.5 * deviation, "p = {p}: {lost} lost, {expected} expected");
        assert_eq!(counts.loss_trials, TRIALS as u64);
        assert!((counts.loss_expected - expected).abs() < 1e-6);
        assert_eq!(counts.dropped_bytes, counts.loss_dropped * 100);
    }
}

#[test]
fn a_loss_does_not_make_the_next_one_likelier() {
    let lost = losses(&fates(&mut with([loss(0.3, OUT)]), OUT, PEER, 50_000));
    let after_a_loss: Vec<bool> = lost.windows(2).filter(|pair| pair[0]).map(|pair| pair[1]).collect();
    let n = after_a_loss.len() as f64;
    let share = after_a_loss.iter().filter(|&&lost| lost).count() as f64 / n;
    assert!((share - 0.3).abs() < 3.5 * (0.3 * 0.7 / n).sqrt(), "{share} of the losses are followed by one");
}

#[test]
fn two_losses_strike_independently_and_only_in_their_direction() {
    let mut netem = with([loss(0.5, OUT), loss(0.5, OUT), loss(1.0, IN)]);
    let lost = losses(&fates(&mut netem, OUT, PEER, 20_000)).iter().filter(|&&lost| lost).count() as f64;
    assert!((lost - 15_000.0).abs() < 3.5 * (20_000.0_f64 * 0.75 * 0.25).sqrt(), "{lost} of 20,000 lost");
    assert_eq!(netem.counts().loss_expected, 15_000.0);
    assert!(losses(&fates(&mut netem, IN, PEER, 100)).iter().all(|&lost| lost));
}

#[test]
fn a_probability_of_zero_is_no_trial() {
    let mut netem = with([loss(0.0, OUT)]);
    fates(&mut netem, OUT, PEER, 10);
    assert_eq!(*netem.counts(), Counts { judged_out: 10, ..Counts::default() });
}

#[test]
fn delays_add_and_are_counted() {
    let mut netem = with([delay(20, 0, Distribution::Fixed), delay(5, 0, Distribution::Fixed)]);
    assert_eq!(netem.judge(ms(0), OUT, PEER, 1), Fate::Deliver { delay: ms(25) });
    assert_eq!(netem.judge(ms(0), IN, PEER, 1), Fate::AT_ONCE);
    let counts = netem.counts();
    assert_eq!((counts.delayed, counts.delay_sum_ns, counts.delay_square_sum_ns2), (1, 25e6, 625e12));
}

#[test]
fn the_sums_give_back_mean_and_deviation_of_the_delays() {
    let mut netem = with([delay(20, 5, Distribution::Normal)]);
    fates(&mut netem, OUT, PEER, 40_000);
    let counts = netem.counts();
    let n = counts.delayed as f64;
    let mean = counts.delay_sum_ns / n;
    let deviation = (counts.delay_square_sum_ns2 / n - mean * mean).sqrt();
    assert_eq!(counts.delayed, 40_000);
    assert!((mean / 1e6 - 20.0).abs() < 0.1, "mean {mean} ns");
    assert!((deviation / 1e6 - 5.0).abs() < 0.07, "deviation {deviation} ns");
}

#[test]
fn a_delay_does_not_change_what_is_lost() {
    let plain = losses(&fates(&mut with([loss(0.3, OUT)]), OUT, PEER, 1_000));
    let delayed = losses(&fates(&mut with([delay(20, 5, Distribution::Normal), loss(0.3, OUT)]), OUT, PEER, 1_000));
    assert_eq!(plain, delayed);
}

#[test]
fn a_second_delay_does_not_change_the_first() {
    let one = fates(&mut with([delay(20, 5, Distribution::Normal)]), OUT, PEER, 200);
    let two = fates(&mut with([delay(20, 5, Distribution::Normal), delay(7, 0, Distribution::Fixed)]), OUT, PEER, 200);
    for (one, two) in one.iter().zip(&two) {
        let (Fate::Deliver { delay: one }, Fate::Deliver { delay: two }) = (one, two) else {
            panic!("a delay drops nothing")
        };
        assert_eq!(*one + ms(7), *two);
    }
}

#[test]
fn the_two_ends_of_a_link_lose_independently() {
    let mut sender = Netem::new(SEED, ME);
    let mut receiver = Netem::new(SEED, PEER);
    sender.impair(ms(0), 0, loss(0.5, OUT));
    receiver.impair(ms(0), 0, loss(0.5, IN));
    let sent = losses(&fates(&mut sender, OUT, PEER, 10_000));
    let received = losses(&fates(&mut receiver, IN, ME, 10_000));
    let alike = sent.iter().zip(&received).filter(|(a, b)| a == b).count() as f64;
    assert!((alike - 5_000.0).abs() < 3.5 * 50.0, "{alike} of 10,000 fates agree");
}

#[test]
fn the_first_cause_in_the_documented_order_drops() {
    let mut netem =
        with([loss(1.0, IN), drop_next(1, IN), block(&[1], ms(20)), sleep(10), delay(5, 0, Distribution::Fixed)]);
    let mut at = |now| netem.judge(now, IN, PEER, 1);
    assert_eq!(at(ms(10) - NS), Fate::Drop(Cause::Asleep));
    assert_eq!(at(ms(10)), Fate::Drop(Cause::Partitioned));
    assert_eq!(at(ms(20) - NS), Fate::Drop(Cause::Partitioned));
    assert_eq!(at(ms(20)), Fate::Drop(Cause::DropNext), "what was dropped before has not used it up");
    assert_eq!(at(ms(20)), Fate::Drop(Cause::Loss));
    let counts = netem.counts();
    let dropped = [counts.sleep_dropped, counts.partition_dropped, counts.next_dropped, counts.loss_dropped];
    assert_eq!((dropped, counts.loss_trials, counts.judged_in), ([1, 2, 1, 1], 1, 5));
}

#[test]
fn a_sleeper_neither_sends_nor_receives_until_the_very_end() {
    let mut netem = Netem::new(SEED, ME);
    netem.impair(ms(1_000), 9, sleep(3_000));
    assert_eq!(netem.next_end(), Some(ms(4_000)));
    for now in [ms(1_000), ms(4_000) - NS] {
        assert_eq!(netem.judge(now, IN, PEER, 1), Fate::Drop(Cause::Asleep));
        assert_eq!(netem.judge(now, OUT, PEER, 1), Fate::Drop(Cause::Asleep));
    }
    assert!(netem.is_asleep(ms(4_000) - NS));
    assert_eq!(netem.poll_ended(ms(4_000) - NS), None);
    assert_eq!(netem.judge(ms(4_000), OUT, PEER, 1), Fate::AT_ONCE);
    assert!(!netem.is_asleep(ms(4_000)));
    assert_eq!([netem.poll_ended(ms(4_000)), netem.poll_ended(ms(4_000))], [Some(9), None]);
}

#[test]
fn a_block_stops_both_directions_of_its_peers_only() {
    let mut netem = with([block(&[1, 2], ms(50))]);
    let cut = Fate::Drop(Cause::Partitioned);
    for direction in [IN, OUT] {
        for (peer, fate) in [(1, cut), (2, cut), (3, Fate::AT_ONCE)] {
            assert_eq!(netem.judge(ms(50) - NS, direction, Endpoint(peer), 1), fate, "peer {peer} {direction:?}");
        }
    }
    assert_eq!(netem.judge(ms(50), IN, PEER, 1), Fate::AT_ONCE);
    assert_eq!(netem.poll_ended(ms(50)), Some(0));
}

#[test]
fn the_next_packets_are_not_accepted_and_the_end_is_told_when_they_came() {
    let mut netem = with([drop_next(2, IN)]);
    assert_eq!(netem.judge(ms(0), OUT, PEER, 1), Fate::AT_ONCE);
    assert_eq!(netem.judge(ms(0), IN, PEER, 1), Fate::Drop(Cause::DropNext));
    assert_eq!(netem.poll_ended(ms(0)), None);
    assert_eq!(netem.judge(ms(0), IN, Endpoint(2), 1), Fate::Drop(Cause::DropNext), "whoever sends them");
    assert_eq!(netem.judge(ms(0), IN, PEER, 1), Fate::AT_ONCE);
    assert_eq!([netem.poll_ended(ms(0)), netem.poll_ended(ms(0))], [Some(0), None]);
    assert_eq!(netem.next_end(), None, "no timer is needed for it");
}

#[test]
fn healed_everything_is_delivered_at_once() {
    let mut netem =
        with([loss(1.0, IN), drop_next(1, IN), block(&[1], ms(20)), sleep(10), delay(5, 0, Distribution::Fixed)]);
    netem.heal();
    for direction in [IN, OUT] {
        assert_eq!(netem.judge(ms(1), direction, PEER, 1), Fate::AT_ONCE);
    }
    assert_eq!((netem.next_end(), netem.poll_ended(ms(99))), (None, None));
}

#[test]
fn a_flood_of_forged_addresses_is_judged_beyond_the_bound_too() {
    let mut netem = with([loss(0.5, IN)]);
    let flood = netem::LINKS_MAX as u64 + 10_000;
    for peer in 1..=flood {
        netem.judge(ms(0), IN, Endpoint(peer), 1);
    }
    let (lost, n) = (netem.counts().loss_dropped as f64, flood as f64);
    assert!((lost - n / 2.0).abs() < 3.5 * (n / 4.0).sqrt(), "{lost} of {n} lost");
}

fn any_direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(IN), Just(OUT)]
}

fn any_impairment() -> impl Strategy<Value = Impairment> {
    let distribution = prop_oneof![Just(Distribution::Fixed), Just(Distribution::Uniform), Just(Distribution::Normal)];
    prop_oneof![
        (0.0..=1.0, any_direction()).prop_map(|(p, direction)| loss(p, direction)),
        (0_u32..50, 0_u32..50, distribution, any_direction()).prop_map(|(mean, jitter, distribution, direction)| {
            let (mean, jitter) = (Span::from_millis(mean), Span::from_millis(jitter));
            Impairment::Delay(Delay { mean, jitter, distribution, direction })
        }),
        (0_u32..5, any_direction()).prop_map(|(count, direction)| drop_next(count, direction)),
        (0_u32..50).prop_map(sleep),
        (proptest::collection::btree_set((1_u64..6).prop_map(Endpoint), 0..4), 0_u64..50)
            .prop_map(|(peers, millis)| Impairment::Block { peers, duration: ms(millis) }),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Impair(u32, Impairment),
    Heal,
    Judge(Direction, u64),
}

fn any_steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![
        3 => (0_u32..8, any_impairment()).prop_map(|(id, impairment)| Step::Impair(id, impairment)),
        1 => Just(Step::Heal),
        20 => (any_direction(), 1_u64..6).prop_map(|(direction, peer)| Step::Judge(direction, peer)),
    ];
    proptest::collection::vec((0_u64..10, step), 1..150)
}

/// Runs the steps; before each datagram, `extra` more are judged on the link with peer 99.
fn run(steps: &[(u64, Step)], extra: usize) -> (Vec<Fate>, Vec<u32>, Counts) {
    let (mut netem, mut now) = (Netem::new(SEED, ME), Duration::ZERO);
    let (mut fates, mut ended) = (Vec::new(), Vec::new());
    for (pause, step) in steps {
        now += ms(*pause);
        match step {
            Step::Impair(id, impairment) => netem.impair(now, *id, impairment.clone()),
            Step::Heal => netem.heal(),
            Step::Judge(direction, peer) => {
                for _ in 0..extra {
                    netem.judge(now, *direction, Endpoint(99), 1);
                }
                fates.push(netem.judge(now, *direction, Endpoint(*peer), 100));
            }
        }
        ended.extend(core::iter::from_fn(|| netem.poll_ended(now)));
    }
    (fates, ended, *netem.counts())
}

proptest! {
    #[test]
    fn the_same_seed_and_calls_give_the_same_fates(steps in any_steps()) {
        prop_assert_eq!(run(&steps, 0), run(&steps, 0));
    }

    /// "Drop the next" counts datagrams of all links by its nature, so it is left out here.
    #[test]
    fn traffic_on_one_link_leaves_the_others_alone(mut steps in any_steps()) {
        steps.retain(|(_, step)| !matches!(step, Step::Impair(_, Impairment::DropNext(_))));
        prop_assert_eq!(run(&steps, 0).0, run(&steps, 3).0);
    }

    #[test]
    fn every_datagram_is_counted_once(steps in any_steps()) {
        let (fates, ended, counts) = run(&steps, 0);
        let count = |cause| fates.iter().filter(|fate| **fate == Fate::Drop(cause)).count() as u64;
        prop_assert_eq!(counts.judged_in + counts.judged_out, fates.len() as u64);
        prop_assert_eq!(counts.loss_dropped, count(Cause::Loss));
        prop_assert_eq!(counts.next_dropped, count(Cause::DropNext));
        prop_assert_eq!(counts.sleep_dropped, count(Cause::Asleep));
        prop_assert_eq!(counts.partition_dropped, count(Cause::Partitioned));
        prop_assert!(counts.loss_expected <= counts.loss_trials as f64);
        let dropped = fates.iter().filter(|fate| matches!(fate, Fate::Drop(_))).count() as u64;
        prop_assert_eq!(counts.dropped_bytes, 100 * dropped);
        // No id is told more often than it was ordered.
        for id in ended.iter().copied().collect::<BTreeSet<u32>>() {
            let ordered = steps.iter().filter(|(_, step)| matches!(step, Step::Impair(other, _) if *other == id)).count();
            prop_assert!(ended.iter().filter(|other| **other == id).count() <= ordered);
        }
    }
}
