//! Datagrams that nobody sent.

use std::vec::Vec;

use gossip_core::member::INCARNATION_MAX;
use gossip_core::wire::{
    self, Encoder, HEADER_LEN, Item, Message, Part, Response, Rumor, RumorKind, SYMBOL_LEN, Sender, Terms, Update,
};
use gossip_core::{Address, Claim, ClusterTag, MemberState, Metadata, Priority};

use super::script::{Script, World};

/// Symbols of a sketch that have a number.
const SYMBOLS: u32 = 1 << 10;

/// Any bytes, behind a good header of some version.
pub(crate) fn sealed(body: &[u8], cluster: ClusterTag, version: u8) -> Vec<u8> {
    let sender = Sender { incarnation: 0, digest: 0 };
    let mut datagram = encoded::<u16>(cluster, sender, &Message::Join, &[]);
    datagram.truncate(HEADER_LEN);
    datagram[1] = version;
    datagram.extend_from_slice(body);
    wire::reseal(&mut datagram);
    datagram
}

/// A datagram as the format allows it, with whatever the script says in it.
pub(crate) fn datagram<A: World>(script: &mut Script<'_>, cluster: ClusterTag, digest: u32) -> Vec<u8> {
    let sender = Sender {
        incarnation: incarnation(script),
        digest: match script.u8() % 3 {
            0 => digest,
            1 => !digest,
            _ => script.u32(),
        },
    };
    let message = message::<A>(script);
    let items: Vec<_> = (0..script.u8() % 8).map(|_| item::<A>(script)).collect();
    let mut datagram = encoded(cluster, sender, &message, &items);
    if script.bool() {
        // Items that only a node can make, and such as nobody makes.
        datagram.extend_from_slice(script.string());
        wire::reseal(&mut datagram);
    }
    datagram
}

pub(crate) fn encoded<A: Address>(
    cluster: ClusterTag,
    sender: Sender,
    message: &Message<'_, A>,
    items: &[Item<'_, A>],
) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let len = encode(&mut buffer, cluster, sender, message, items);
    buffer[..len].to_vec()
}

/// The length of a datagram that is written into a buffer which is long enough.
pub(crate) fn encode<A: Address>(
    buffer: &mut [u8],
    cluster: ClusterTag,
    sender: Sender,
    message: &Message<'_, A>,
    items: &[Item<'_, A>],
) -> usize {
    let mut encoder = Encoder::new(buffer, cluster, sender, message).expect("the message fits");
    for item in items {
        assert!(encoder.push(item), "{item:?} does not fit");
    }
    encoder.finish()
}

fn message<'a, A: World>(script: &mut Script<'a>) -> Message<'a, A> {
    let kind = script.u8() % 18;
    let seq = script.number() as u32;
    match kind {
        0 => Message::Ping { seq },
        1 => Message::Ack { seq },
        2 => Message::PingReq { seq, target: address(script) },
        3 => Message::Nack { seq },
        4 => Message::Gossip { answer: seq & 1 == 1 },
        5 => Message::Answer,
        6 => Message::Join,
        7 => Message::Members,
        8 => Message::Leave,
        9 => {
            let bits = (seq % 7) as u8;
            let len = 4 << bits;
            let digests = Some(script.bytes(len)).filter(|bytes| bytes.len() == len).unwrap_or(&[0xa5; 256][..len]);
            Message::SyncOpen { bits, digests }
        }
        10 => {
            let (bits, buckets) = buckets(script);
            Message::SyncList { bits, want: script.bool(), buckets }
        }
        11 => {
            let (bits, buckets) = buckets(script);
            let symbols = script.string();
            let symbols = &symbols[..symbols.len() / SYMBOL_LEN * SYMBOL_LEN];
            Message::SyncSketch { bits, buckets, first: seq % SYMBOLS, symbols }
        }
        12 => {
            let (bits, buckets) = buckets(script);
            Message::SyncMore { bits, buckets, first: seq % SYMBOLS, datagrams: script.u8() }
        }
        13 => {
            let identities = script.string();
            Message::SyncWant { identities: &identities[..identities.len() / 4 * 4] }
        }
        14 => {
            let part = match script.u8() % 4 {
                0 => Part::Received,
                1 => Part::Answer(script.string()),
                noted => Part::Noted { answer: noted == 2 },
            };
            Message::Response(Response { sequence: u64::from(seq), part })
        }
        15 => Message::BranchAck { seq },
        16 => {
            let start = seq.rotate_left(7);
            Message::Branch { seq, start, end: start.saturating_add(seq) }
        }
        _ => Message::App { payload: script.string() },
    }
}

/// Some of the buckets of an exchange.
fn buckets(script: &mut Script<'_>) -> (u8, u64) {
    let bits = script.u8() % 7;
    (bits, script.number() & u64::MAX >> (64 - (1 << bits)))
}

fn item<'a, A: World>(script: &mut Script<'a>) -> Item<'a, A> {
    let addr = address(script);
    if script.bool() {
        let sequence = script.number();
        return Item::Rumor(Rumor {
            origin: addr,
            sequence,
            age_ms: script.number() as u32,
            hops: script.u8(),
            terms: terms(script, sequence),
            counter: script.bool().then(|| script.u8()),
            payload: script.string(),
        });
    }
    let state = script.pick(&[MemberState::Alive, MemberState::Suspect, MemberState::Dead, MemberState::Left]);
    let claim = Claim { incarnation: incarnation(script), state };
    let accuser = (state == MemberState::Suspect).then(|| address(script));
    let metadata = (state.is_live() && script.bool()).then(|| {
        let version = (script.number() as u32).max(1);
        let len = usize::from(script.u8());
        Metadata { version, bytes: script.bytes(len) }
    });
    Item::Update(Update { addr, claim, accuser, metadata })
}

fn terms(script: &mut Script<'_>, sequence: u64) -> Terms {
    let choice = script.u8();
    Terms {
        priority: [Priority::Normal, Priority::Low, Priority::High, Priority::Urgent][usize::from(choice & 3)],
        lifetime_ms: (choice & 4 != 0).then(|| (script.number() as u32).max(1)),
        kind: match choice >> 3 & 3 {
            0 | 1 => RumorKind::Event,
            2 => RumorKind::Ordered { distance: script.number().min(sequence) },
            _ => RumorKind::Query { receipts: choice & 32 != 0 },
        },
    }
}

fn incarnation(script: &mut Script<'_>) -> u32 {
    (script.number() as u32).min(INCARNATION_MAX)
}

/// As it comes from the wire.
fn address<A: World>(script: &mut Script<'_>) -> A {
    A::numbered(script.u8()).stored()
}
