//! Well-formed lies: what a datagram can do that a faulty or hostile node of the cluster sends.

use std::time::Duration;

use gossip_core::member::INCARNATION_MAX;
use gossip_core::wire::{Encoder, Item, Message, Rumor, Sender, Terms, Update};
use gossip_core::{Claim, Command, Config, MemberState, Metadata};

use crate::{Cluster, converged};

const S: fn(u64) -> Duration = Duration::from_secs;

/// A datagram with whatever it is to tell, as if from a node of the cluster.
pub(crate) fn forge(message: &Message<'_, u16>, items: &[Item<'_, u16>]) -> Vec<u8> {
    let mut buffer = [0; 1400];
    let sender = Sender { incarnation: 0, digest: 0 };
    let mut encoder = Encoder::new(&mut buffer, Config::lan().cluster, sender, message).expect("it fits");
    items.iter().for_each(|item| assert!(encoder.push(item)));
    let len = encoder.finish();
    buffer[..len].to_vec()
}

fn claim(addr: u16, incarnation: u32, state: MemberState) -> Item<'static, u16> {
    let accuser = (state == MemberState::Suspect).then_some(addr);
    Item::Update(Update { addr, claim: Claim { incarnation, state }, accuser, metadata: None })
}

#[test]
fn a_lie_about_a_node_told_to_itself_does_not_silence_it() {
    for state in [MemberState::Alive, MemberState::Suspect, MemberState::Dead, MemberState::Left] {
        for incarnation in [0, 1_000_000, INCARNATION_MAX - 1, INCARNATION_MAX] {
            let mut cluster = converged(1, &Config::lan(), 5);
            let bytes = forge(&Message::Nack { seq: 1 }, &[claim(3, incarnation, state)]);
            _ = cluster.inject(3, 1, &bytes);
            cluster.run_for(S(30));
            assert!(cluster.is_complete() && cluster.deaths().is_empty(), "{state:?} {incarnation}");
            assert_eq!(cluster.stats().refused, 0, "{state:?} {incarnation}: the others understand it");
        }
    }
}

#[test]
fn a_lie_about_the_metadata_of_a_node_is_overruled_by_it_except_at_the_highest_version() {
    for (version, overruled) in [(1, true), (1_000_000, true), (u32::MAX - 1, true), (u32::MAX, false)] {
        let mut cluster = converged(7, &Config::lan(), 5);
        cluster.command(3, Command::SetMetadata { metadata: b"true" }).unwrap();
        cluster.run_for(S(2));
        let Item::Update(update) = claim(3, 0, MemberState::Alive) else { unreachable!("a claim is an update") };
        let metadata = Some(Metadata { version, bytes: b"untrue" });
        let bytes = forge(&Message::Nack { seq: 1 }, &[Item::Update(Update { metadata, ..update })]);
        _ = cluster.inject(2, 1, &bytes);
        cluster.run_for(S(5));
        for (addr, host) in cluster.up().filter(|(addr, _)| *addr != 3) {
            let metadata = host.node.member(&3).unwrap().metadata;
            assert_eq!(metadata, if overruled { &b"true"[..] } else { b"untrue" }, "version {version} at {addr}");
        }
        let before = cluster.stats().bytes;
        cluster.run_for(S(100));
        assert!(
            cluster.stats().bytes - before < 5 * 100 * 150,
            "no endless argument: {} bytes",
            cluster.stats().bytes - before
        );
    }
}

#[test]
fn a_node_at_the_highest_incarnation_comes_back_when_it_is_forgotten() {
    let mut cluster = converged(2, &Config::lan(), 5);
    let bytes = forge(&Message::Nack { seq: 1 }, &[claim(3, INCARNATION_MAX, MemberState::Dead)]);
    _ = cluster.inject(2, 1, &bytes);
    cluster.run_for(S(5));
    assert!(!cluster.is_complete(), "believed, and nothing higher can refute it");
    assert!(cluster.run_until(S(240), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    cluster.command(3, Command::SetMetadata { metadata: b"no overflow" }).unwrap();
}

#[test]
fn invented_members_are_buried_and_the_real_ones_are_not() {
    let mut cluster = converged(3, &Config::lan(), 8);
    let invented: Vec<_> = (1_000..1_020).map(|addr| claim(addr, 0, MemberState::Alive)).collect();
    let bytes = forge(&Message::Nack { seq: 1 }, &invented);
    _ = cluster.inject(2, 1, &bytes);
    cluster.run_for(S(2));
    assert!(cluster.sizes().iter().all(|&size| size == 28), "{:?}", cluster.sizes());
    assert!(cluster.run_until(S(600), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    assert!(cluster.deaths().iter().all(|&(_, of)| of >= 1_000), "{:?}", cluster.deaths());
}

#[test]
fn rumors_with_numbers_at_their_ends_are_delivered_once_or_dropped() {
    let mut cluster = converged(4, &Config::lan(), 8);
    let rumor = |sequence, age_ms, hops, payload| {
        Item::Rumor(Rumor { origin: 99, sequence, age_ms, hops, terms: Terms::default(), counter: None, payload })
    };
    let items = [
        rumor(u64::MAX, 0, u8::MAX, &b""[..]),
        rumor(0, u32::MAX, 1, b"older than any lifetime"),
        rumor(1, 59_999, 1, b"nearly expired"),
    ];
    let bytes = forge(&Message::Gossip { answer: true }, &items);
    _ = cluster.inject(2, 1, &bytes);
    cluster.run_for(S(5));
    for (addr, host) in cluster.up() {
        let of = |sequence| host.journal.delivered.iter().filter(|delivery| delivery.id.sequence == sequence).count();
        assert_eq!((of(u64::MAX), of(0)), (1, 0), "at {addr}");
        assert!(of(1) <= 1, "at {addr}");
    }
    assert_eq!(cluster.node(2).counters().events_expired, 1);
    let mut of_the_last = cluster.journal(3).delivered.iter().filter(|delivery| delivery.id.sequence == u64::MAX);
    assert!(of_the_last.all(|delivery| delivery.hops == u8::MAX), "counts to its end and stays");
}

#[test]
fn nobody_is_made_to_accuse_by_the_accused() {
    // An accusation that names the accused, or this node itself, as accuser; and one by the dead.
    let mut cluster = converged(5, &Config::lan(), 6);
    for accuser in [3, 2, 77] {
        let update = Update {
            addr: 3,
            claim: Claim { incarnation: 0, state: MemberState::Suspect },
            accuser: Some(accuser),
            metadata: None,
        };
        let bytes = forge(&Message::Nack { seq: 1 }, &[Item::Update(update)]);
        _ = cluster.inject(2, 1, &bytes);
    }
    cluster.run_for(S(30));
    assert!(cluster.deaths().is_empty(), "{:?}", cluster.deaths());
    assert_eq!(cluster.node(1).member(&3).unwrap().incarnation, 1, "refuted");
}

#[test]
fn a_flood_of_anti_entropy_is_answered_a_few_times_a_round() {
    let mut cluster = converged(6, &Config::lan(), 4);
    for _ in 0..50 {
        cluster.start_event(1, &[7; 1_000]);
    }
    cluster.run_for(S(5));
    // Who asks is a stranger, and what he asks for is as much as a message can ask for.
    let flood = |cluster: &mut Cluster, message: &Message<'_, u16>| {
        cluster.run_for(S(1));
        let bytes = forge(message, &[]);
        let (sent, refused) = (cluster.stats().bytes, cluster.node(2).counters().syncs_refused);
        (0..1_000).for_each(|_| _ = cluster.inject(2, 99, &bytes));
        (cluster.stats().bytes - sent, cluster.node(2).counters().syncs_refused - refused)
    };
    let (sent, refused) = flood(&mut cluster, &Message::SyncOpen { bits: 0, digests: &[0xff; 4] });
    assert!((32_000..50_000).contains(&sent) && refused == 968, "{sent} bytes of sketches, {refused} refused");
    let (sent, refused) = flood(&mut cluster, &Message::SyncMore { bits: 0, buckets: 1, first: 0, datagrams: 255 });
    assert!((32_000..50_000).contains(&sent) && refused == 996, "{sent} bytes of sketches, {refused} refused");
    let list = Message::SyncList { bits: 0, want: true, buckets: 1 };
    let (sent, refused) = flood(&mut cluster, &list);
    assert!((8..=9).contains(&(sent / 50_000)) && refused == 992, "{sent} bytes of lists, {refused} refused");
    let (sent, refused) =
        flood(&mut cluster, &Message::SyncSketch { bits: 0, buckets: 1, first: 0, symbols: &[7; 26] });
    assert!((sent, refused) == (0, 1_000), "nobody had asked");
    let bytes = forge(&list, &[]);
    cluster.run_for(S(1));
    let before = cluster.stats().bytes;
    _ = cluster.inject(2, 99, &bytes);
    assert!(cluster.stats().bytes - before > 50_000, "and again in the next round");
}

#[test]
fn a_stranger_does_not_stop_an_exchange() {
    let mut cluster = converged(61, &Config::lan(), 4);
    cluster.run_for(S(30));
    let opened = cluster.node(2).counters().syncs_opened;
    let call = forge(&Message::Gossip { answer: false }, &[]);
    _ = cluster.inject(2, 1, &call);
    assert_eq!(cluster.node(2).counters().syncs_opened, opened + 1, "its digest is another");
    let refused = cluster.node(2).counters().syncs_refused;
    let sketch = forge(&Message::SyncSketch { bits: 0, buckets: 1, first: 0, symbols: &[] }, &[]);
    _ = cluster.inject(2, 99, &sketch);
    assert_eq!(cluster.node(2).counters().syncs_refused, refused + 1);
    _ = cluster.inject(2, 1, &sketch);
    assert_eq!(cluster.node(2).counters().syncs_refused, refused + 1, "this one was asked for");
}
