use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use super::*;
use crate::member::{Claim, INCARNATION_MAX, MemberState, Metadata};
use crate::options::Priority;
use crate::wire::update::TAG_UPDATE;
use crate::wire::{COUNTER_C, Part, Response, RumorKind, Terms};

const CLUSTER: ClusterTag = ClusterTag(0xbeef);
const PING: Message<'_, u16> = Message::Ping { seq: 1 };
const PING_UDP: Message<'_, SocketAddr> = Message::Ping { seq: 5 };

fn encode<A: Address>(sender: Sender, message: &Message<'_, A>, items: &[Item<'_, A>]) -> Vec<u8> {
    let mut buffer = [0; 1400];
    let mut encoder = Encoder::new(&mut buffer, CLUSTER, sender, message).unwrap();
    for item in items {
        assert!(encoder.push(item), "{item:?} does not fit");
    }
    let len = encoder.finish();
    buffer[..len].to_vec()
}

/// Golden vectors: what version 1 looks like. They may never change once a version is released.
#[test]
fn golden_vectors_of_version_1() {
    let sender = Sender { incarnation: 300, digest: 0x0102_0304 };
    let peer: SocketAddr = "10.0.0.7:7400".parse().unwrap();
    let ping = encode(sender, &PING_UDP, &[]);
    assert_eq!(hex(&ping), "6801beef 61f5808f 01 ac02 01020304 05".replace(' ', ""));

    let items = [
        Item::Update(Update {
            addr: peer,
            claim: Claim { incarnation: 0, state: MemberState::Alive },
            accuser: None,
            metadata: Some(Metadata { version: 2, bytes: b"m" }),
        }),
        Item::Update(Update {
            addr: peer,
            claim: Claim { incarnation: 1, state: MemberState::Suspect },
            accuser: Some("10.0.0.8:7400".parse().unwrap()),
            metadata: None,
        }),
        Item::Rumor(Rumor {
            origin: peer,
            sequence: 2,
            age_ms: 130,
            hops: 3,
            terms: Terms::default(),
            counter: None,
            payload: b"hi",
        }),
    ];
    let gossip = encode(sender, &Message::Gossip { answer: true }, &items);
    let expected = "6801beef e0699cd5 05 ac02 01020304 01 \
                    48 040a0000071ce8 02 01 6d \
                    65 70 01 040a0000081ce8 \
                    80 040a0000071ce8 02 8201 03 02 6869";
    assert_eq!(hex(&gossip), expected.replace(' ', ""));
    let decoded = decode::<SocketAddr>(&gossip, CLUSTER).unwrap();
    assert_eq!(decoded.sender, sender);
    assert_eq!(decoded.message, Message::Gossip { answer: true });
    assert_eq!(decoded.items.collect::<Vec<_>>(), items);
}

/// What a later version may add: kinds from 128 on, and items with a tag below 64, each with its length. A node of this version
/// reads the rest of such a datagram.
#[test]
fn a_datagram_of_the_next_version_is_read_without_what_is_new_in_it() {
    let update = [TAG_UPDATE, 0, 7];
    let body = |kind: &[u8], items: &[u8]| [&[MAGIC, VERSION + 1, 0xbe, 0xef, 0, 0, 0, 0], kind, items].concat();
    let sender = [0, 1, 2, 3, 4];
    let new_message = [&[200][..], &sender, &[3, 9, 9, 9]].concat();
    let new_item = [&[0x3f, 2, 8, 8][..], &update, &[0x00, 0]].concat();
    let mut bytes = body(&new_message, &new_item);
    reseal(&mut bytes);
    let datagram = decode::<u16>(&bytes, CLUSTER).unwrap();
    assert_eq!((datagram.version, datagram.sender.digest), (VERSION + 1, 0x0102_0304));
    assert_eq!(datagram.message, Message::Extension { kind: 200, body: &[9, 9, 9] });
    let alive = Claim { incarnation: 0, state: MemberState::Alive };
    let known = Item::Update(Update { addr: 7, claim: alive, accuser: None, metadata: None });
    assert_eq!(datagram.items.collect::<Vec<_>>(), [known]);

    let refused = |mut bytes: Vec<u8>| {
        reseal(&mut bytes);
        assert_eq!(decode::<u16>(&bytes, CLUSTER).unwrap_err(), DecodeError::Malformed, "{bytes:02x?}");
    };
    // This version itself has no extensions, and a length has to be true.
    bytes[1] = VERSION;
    refused(bytes);
    refused(body(&new_message, &[0x3f, 3, 8, 8]));
    refused(body(&[&[99][..], &sender, &[0]].concat(), &[]));
}

#[test]
fn golden_vectors_of_events_with_terms() {
    let sender = Sender { incarnation: 0, digest: 0 };
    let rumor = |sequence, priority, lifetime_ms, kind, payload| {
        let terms = Terms { priority, lifetime_ms, kind };
        Item::Rumor(Rumor { origin: 7_u16, sequence, age_ms: 1, hops: 2, terms, counter: None, payload })
    };
    let items = [
        rumor(9, Priority::Urgent, None, RumorKind::Event, &b"u"[..]),
        rumor(10, Priority::Low, Some(1_000), RumorKind::Event, b"l"),
        rumor(12, Priority::Normal, None, RumorKind::Ordered { distance: 2 }, b"o"),
        rumor(14, Priority::High, Some(1), RumorKind::Ordered { distance: 0 }, b""),
    ];
    let bytes = encode(sender, &Message::<u16>::Answer, &items);
    let expected =
        "82 0007 09 01 02 01 75  8b 0007 0a 01 02 e807 01 6c  90 0007 0c 01 02 02 01 6f  99 0007 0e 01 02 01 00 00";
    assert_eq!(hex(&bytes[14..]), expected.replace(' ', ""));
    assert_eq!(decode::<u16>(&bytes, CLUSTER).unwrap().items.collect::<Vec<_>>(), items);
    // What no encoder makes: a lifetime of 0, an event before the first of all numbers.
    for (at, value) in [(47, 0), (38, 13)] {
        let mut forged = bytes.clone();
        forged[at] = value;
        reseal(&mut forged);
        assert_eq!(decode::<u16>(&forged, CLUSTER).unwrap_err(), DecodeError::Malformed, "{value:#x} at {at}");
    }
}

/// The counter takes a byte where there is one, and a bit that means something else in other kinds of rumors.
#[test]
fn golden_vectors_of_events_with_a_counter() {
    let sender = Sender { incarnation: 0, digest: 0 };
    let rumor = |counter, lifetime_ms, kind| {
        let terms = Terms { priority: Priority::Normal, lifetime_ms, kind };
        Item::Rumor(Rumor { origin: 7_u16, sequence: 9, age_ms: 1, hops: 2, terms, counter, payload: b"x" })
    };
    let items = [
        rumor(Some(0), None, RumorKind::Event),
        rumor(Some(3), Some(500), RumorKind::Ordered { distance: 4 }),
        rumor(Some(COUNTER_C), None, RumorKind::Query { receipts: false }),
        rumor(Some(1), None, RumorKind::Query { receipts: true }),
    ];
    let bytes = encode(sender, &Message::<u16>::Answer, &items);
    let expected = "84 0007 09 01 02 00 01 78  9c 0007 09 01 02 f403 04 03 01 78  b0 0007 09 01 02 ff 01 78  \
                    b4 0007 09 01 02 01 01 78";
    assert_eq!(hex(&bytes[14..]), expected.replace(' ', ""));
    assert_eq!(decode::<u16>(&bytes, CLUSTER).unwrap().items.collect::<Vec<_>>(), items);
    let mut cut = bytes[..20].to_vec();
    reseal(&mut cut);
    assert_eq!(decode::<u16>(&cut, CLUSTER).unwrap_err(), DecodeError::Malformed, "the counter is missing");
}

#[test]
fn golden_vector_of_a_coordinate() {
    let body = [0xc0, 32, 0x80, 0x01, 3, 0x80, 0x80, 0x40, 0, 1, 2];
    let items = [Item::<u16>::Coordinate(Coordinate::read(&mut Reader::new(&body[1..])).unwrap())];
    let bytes = encode(Sender { incarnation: 0, digest: 0 }, &PING, &items);
    assert_eq!(bytes[bytes.len() - body.len()..], body);
    assert_eq!(decode::<u16>(&bytes, CLUSTER).unwrap().items.collect::<Vec<_>>(), items);
}

#[test]
fn golden_vectors_of_queries() {
    let sender = Sender { incarnation: 0, digest: 0 };
    let terms = Terms { priority: Priority::High, lifetime_ms: Some(500), kind: RumorKind::Query { receipts: true } };
    let query =
        Item::Rumor(Rumor { origin: 7_u16, sequence: 9, age_ms: 1, hops: 2, terms, counter: None, payload: b"q" });
    let bytes = encode(sender, &Message::<u16>::Answer, &[query]);
    assert_eq!(hex(&bytes[14..]), "ad 0007 09 01 02 f403 01 71".replace(' ', ""));
    let parts = [
        (Part::Received, "0f 00 00000000 00 ac02"),
        (Part::Answer(b"yes"), "0f 00 00000000 01 ac02 03 796573"),
        (Part::Noted { answer: false }, "0f 00 00000000 02 ac02"),
        (Part::Noted { answer: true }, "0f 00 00000000 03 ac02"),
    ];
    for (part, expected) in parts {
        let message: Message<'_, u16> = Message::Response(Response { sequence: 300, part });
        let bytes = encode(sender, &message, &[]);
        assert_eq!(hex(&bytes[8..]), expected.replace(' ', ""));
        assert_eq!(decode::<u16>(&bytes, CLUSTER).unwrap().message, message);
        let mut forged = bytes;
        forged[14] = 4;
        reseal(&mut forged);
        assert_eq!(decode::<u16>(&forged, CLUSTER).unwrap_err(), DecodeError::Malformed);
    }
}

#[test]
fn golden_vectors_of_branches() {
    let sender = Sender { incarnation: 0, digest: 0 };
    let branch = |start, end| -> Message<'static, u16> { Message::Branch { seq: 300, start, end } };
    for (message, expected) in [
        (branch(0x0102_0304, 0x0102_0304), "11 00 00000000 ac02 01020304 00"),
        (branch(0, u32::MAX), "11 00 00000000 ac02 00000000 ffffffff0f"),
        (Message::BranchAck { seq: 300 }, "12 00 00000000 ac02"),
    ] {
        let bytes = encode(sender, &message, &[]);
        assert_eq!(hex(&bytes[8..]), expected.replace(' ', ""));
        assert_eq!(decode::<u16>(&bytes, CLUSTER).unwrap().message, message);
    }
    // A range that goes beyond the last identity.
    let mut forged = encode(sender, &branch(0xffff_ffff, 0xffff_ffff), &[]);
    *forged.last_mut().unwrap() = 1;
    reseal(&mut forged);
    assert_eq!(decode::<u16>(&forged, CLUSTER).unwrap_err(), DecodeError::Malformed);
    let mut buffer = [0; 64];
    assert!(Encoder::new(&mut buffer, CLUSTER, sender, &branch(2, 1)).is_none(), "an empty range is not written");
}

fn hex(bytes: &[u8]) -> alloc::string::String {
    bytes.iter().map(|byte| alloc::format!("{byte:02x}")).collect()
}

#[test]
fn each_kind_of_foreign_datagram_is_told_apart() {
    let sender = Sender { incarnation: 0, digest: 0 };
    let good = encode(sender, &PING, &[]);
    let error = |bytes: &[u8]| decode::<u16>(bytes, CLUSTER).unwrap_err();
    for len in 0..HEADER_LEN {
        assert_eq!(error(&good[..len]), DecodeError::Foreign);
    }
    let change = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    assert_eq!(error(&change(0, b'x')), DecodeError::Foreign);
    assert_eq!(error(&change(1, 0)), DecodeError::Version(0));
    assert_eq!(error(&change(1, VERSION + 2)), DecodeError::Version(VERSION + 2));
    assert_eq!(error(&change(2, 0)), DecodeError::Cluster(ClusterTag(0x00ef)));
    assert_eq!(error(&change(7, good[7] ^ 1)), DecodeError::Checksum);
    assert_eq!(error(&change(9, good[9] ^ 1)), DecodeError::Checksum);
    let mut unknown_kind = change(8, 99);
    reseal(&mut unknown_kind);
    assert_eq!(error(&unknown_kind), DecodeError::Malformed);
    let mut trailing = good.clone();
    trailing.push(0);
    reseal(&mut trailing);
    assert_eq!(error(&trailing), DecodeError::Malformed);
    for len in HEADER_LEN..good.len() {
        let mut cut = good[..len].to_vec();
        reseal(&mut cut);
        assert_eq!(error(&cut), DecodeError::Malformed, "cut to {len}");
    }
}

fn arb_claim() -> impl Strategy<Value = Claim> {
    let states = vec![MemberState::Alive, MemberState::Suspect, MemberState::Dead, MemberState::Left];
    (0..=INCARNATION_MAX, prop::sample::select(states)).prop_map(|(incarnation, state)| Claim { incarnation, state })
}

#[derive(Debug, Clone)]
enum OwnedItem {
    Update(u16, Claim, u16, u32, Vec<u8>),
    Rumor(u16, u64, u32, u8, (Terms, Option<u8>), Vec<u8>),
}

impl OwnedItem {
    fn item(&self) -> Item<'_, u16> {
        match self {
            Self::Update(addr, claim, accuser, version, bytes) => Item::Update(Update {
                addr: *addr,
                claim: *claim,
                accuser: (claim.state == MemberState::Suspect).then_some(*accuser),
                metadata: (claim.state.is_live() && *version > 0).then_some(Metadata { version: *version, bytes }),
            }),
            Self::Rumor(origin, sequence, age_ms, hops, (terms, counter), payload) => {
                let (origin, sequence, age_ms, hops, terms) = (*origin, *sequence, *age_ms, *hops, *terms);
                Item::Rumor(Rumor { origin, sequence, age_ms, hops, terms, counter: *counter, payload })
            }
        }
    }
}

fn arb_terms() -> impl Strategy<Value = Terms> {
    let priorities = vec![Priority::Low, Priority::Normal, Priority::High, Priority::Urgent];
    let kind = prop_oneof![
        Just(RumorKind::Event),
        any::<u64>().prop_map(|distance| RumorKind::Ordered { distance }),
        any::<bool>().prop_map(|receipts| RumorKind::Query { receipts })
    ];
    (prop::sample::select(priorities), prop::option::of(1..=u32::MAX), kind)
        .prop_map(|(priority, lifetime_ms, kind)| Terms { priority, lifetime_ms, kind })
}

fn arb_item() -> impl Strategy<Value = OwnedItem> {
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    prop_oneof![
        (any::<u16>(), arb_claim(), any::<u16>(), prop_oneof![Just(0), any::<u32>()], bytes(20))
            .prop_map(|(a, c, s, v, m)| OwnedItem::Update(a, c, s, v, m)),
        (any::<u16>(), any::<u64>(), any::<u32>(), any::<u8>(), (arb_terms(), any::<Option<u8>>()), bytes(40))
            .prop_map(|(origin, sequence, age, hops, (mut terms, counter), payload)| {
                if let RumorKind::Ordered { distance } = &mut terms.kind {
                    *distance = (*distance).min(sequence);
                }
                OwnedItem::Rumor(origin, sequence, age, hops, (terms, counter), payload)
            }),
    ]
}

fn arb_message() -> impl Strategy<Value = Message<'static, u16>> {
    prop_oneof![
        any::<u32>().prop_map(|seq| Message::Ping { seq }),
        any::<u32>().prop_map(|seq| Message::Ack { seq }),
        any::<u32>().prop_map(|seq| Message::Nack { seq }),
        any::<(u32, u16)>().prop_map(|(seq, target)| Message::PingReq { seq, target }),
        any::<bool>().prop_map(|answer| Message::Gossip { answer }),
        Just(Message::Answer),
        Just(Message::Join),
        Just(Message::Members),
        Just(Message::Leave),
        (0..=BUCKET_BITS_MAX).prop_map(|bits| Message::SyncOpen { bits, digests: &[0xa5; 256][..4 << bits] }),
        any::<(bool, u64)>().prop_map(|(want, buckets)| Message::SyncList { bits: BUCKET_BITS_MAX, want, buckets }),
        (0..=SYMBOLS_MAX, 0..9_usize).prop_map(|(first, count)| Message::SyncSketch {
            bits: 1,
            buckets: 2,
            first,
            symbols: &[0x5a; 9 * SYMBOL_LEN][..count * SYMBOL_LEN]
        }),
        (0..=SYMBOLS_MAX, any::<u8>()).prop_map(|(first, datagrams)| Message::SyncMore {
            bits: 0,
            buckets: 1,
            first,
            datagrams
        }),
        (0..20_usize).prop_map(|count| Message::SyncWant { identities: &[7; 80][..4 * count] }),
        any::<u64>().prop_map(|sequence| Message::Response(Response { sequence, part: Part::Received })),
        any::<(u64, bool)>()
            .prop_map(|(sequence, answer)| Message::Response(Response { sequence, part: Part::Noted { answer } })),
        any::<u64>().prop_map(|sequence| Message::Response(Response { sequence, part: Part::Answer(b"an answer") })),
        any::<(u32, u32, u32)>().prop_map(|(seq, start, end)| Message::Branch {
            seq,
            start: start.min(end),
            end: start.max(end)
        }),
        any::<u32>().prop_map(|seq| Message::BranchAck { seq }),
        Just(Message::App { payload: b"from one application to another" }),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        incarnation in 0..=INCARNATION_MAX,
        digest: u32,
        message in arb_message(),
        owned in prop::collection::vec(arb_item(), 0..8),
    ) {
        let sender = Sender { incarnation, digest };
        let items: Vec<_> = owned.iter().map(OwnedItem::item).collect();
        let bytes = encode(sender, &message, &items);
        let decoded = decode::<u16>(&bytes, CLUSTER).unwrap();
        assert_eq!(decoded.sender, sender);
        assert_eq!(decoded.message, message);
        assert_eq!(decoded.items.collect::<Vec<_>>(), items);
    }

    /// Whatever decodes is exactly what encoding makes of it, and nothing panics on the way.
    #[test]
    fn what_is_decoded_is_encoded_the_same(mut bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0_u8..20, tag: u8) {
        if bytes.len() > 20 {
            // Lead the random bytes into the decoder instead of failing at the header.
            bytes[..4].copy_from_slice(&[MAGIC, VERSION, 0xbe, 0xef]);
            bytes[8] = kind;
            bytes[9] &= 0x7f;
            bytes[15] = match tag % 3 {
                0 => TAG_RUMOR | tag >> 2,
                1 => TAG_UPDATE | tag >> 2,
                _ => TAG_COORDINATE,
            };
            reseal(&mut bytes);
        }
        if let Ok(datagram) = decode::<u16>(&bytes, CLUSTER) {
            let items: Vec<_> = datagram.items.clone().collect();
            assert_eq!(encode(datagram.sender, &datagram.message, &items), bytes);
        }
    }

    /// One changed bit anywhere is noticed.
    #[test]
    fn a_flipped_bit_is_noticed(bit in 0_usize..8 * 18, owned in arb_item()) {
        let sender = Sender { incarnation: 1, digest: 2 };
        let mut bytes = encode(sender, &Message::Ping { seq: 9 }, &[owned.item()]);
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(decode::<u16>(&bytes, CLUSTER).is_err());
    }
}
