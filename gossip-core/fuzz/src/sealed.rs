//! Sealed datagrams at a node with a keyring: whatever is done to them, only what a holder of a key sealed for this node is taken
//! in, and once. What the node seals in turn opens at whom it is for, and no number is used twice.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::vec::Vec;

use gossip_core::wire::sealed::{Seal, SenderKey};
use gossip_core::wire::{self, DecodeError, Message, SEALED_HEADER_LEN, Sender, TAG_LEN};
use gossip_core::{ClusterTag, Command, Config, Input, InputError, Instant, Key, Keyring, Node, Setup};

use super::forge;
use super::script::{Script, World};

const CLUSTER: ClusterTag = ClusterTag(0xbeef);
const STEPS_MAX: usize = 100;

/// What a datagram says of itself in the clear, and of whom it is.
type Number<A> = (A, u8, u64, u64);

/// A script: which addresses, then step after step.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    if script.bool() { live::<SocketAddr>(&mut script) } else { live::<u16>(&mut script) }
}

/// A key that is in one ring or another.
fn key(id: u8) -> Key {
    Key::new(id, [id; 32])
}

fn ring(script: &mut Script<'_>) -> (Vec<u8>, Keyring) {
    let first = script.u8() % 4;
    let ids: Vec<u8> = (0..=script.u8() % 3).map(|next| (first + next) % 4).collect();
    let keys: Vec<Key> = ids.iter().map(|&id| key(id)).collect();
    (ids, Keyring::new(&keys).expect("one to three different keys"))
}

fn live<A: World>(script: &mut Script<'_>) {
    let config = Config { cluster: CLUSTER, members_max: 6, transmits_max: 32, ..Config::lan() };
    let setup = Setup { session: 9, ..Setup::new(A::numbered(1)) };
    let mut now = Instant::from_millis(1_000);
    let mut node = Node::new(now, config, &setup).expect("a preset");
    let local = node.local();
    let (mut ids, keyring) = ring(script);
    node.handle(now, Input::Command(Command::SetKeyring { keyring: Some(&keyring) })).expect("it has a session");
    let mut accepted = BTreeSet::<Number<A>>::new();
    let mut used = BTreeSet::<(u64, u64)>::new();
    for _ in 0..STEPS_MAX {
        if script.is_empty() {
            break;
        }
        match script.u8() % 8 {
            0..5 => {
                let forged = forged(script, local);
                let before = node.counters().datagrams_accepted;
                let result = node.handle(now, Input::Datagram { from: forged.from, bytes: &forged.bytes });
                let taken = node.counters().datagrams_accepted - before;
                assert!(taken == 0 || result.is_ok(), "refused or taken in");
                let genuine = forged.genuine && ids.contains(&forged.number.1);
                if result.is_ok() {
                    assert!(genuine, "not sealed by a holder of a key, for this node, as it is: {:?}", forged.number);
                    assert!(accepted.insert(forged.number) || node.counters().senders_evicted > 0, "a second time");
                } else if genuine {
                    let replay = accepted.iter().any(|&(from, _, session, counter)| {
                        (from, session) == (forged.from.stored(), forged.number.2) && counter >= forged.number.3
                    });
                    let fair = match result {
                        Err(InputError::Datagram(DecodeError::Replayed)) => {
                            replay || accepted.iter().any(|number| number.2 > forged.number.2)
                        }
                        Err(InputError::Datagram(DecodeError::SendersFull)) => true,
                        _ => false,
                    };
                    assert!(fair, "{:?} is genuine and new: {result:?}", forged.number);
                }
            }
            5 => {
                let (others, keyring) = ring(script);
                ids = others;
                node.handle(now, Input::Command(Command::SetKeyring { keyring: Some(&keyring) })).expect("as before");
            }
            6 => {
                now = node.poll_timeout().map_or(now, |due| now.max(due));
                let _ = node.handle(now, Input::Timeout);
            }
            _ => {
                let mut buffer = [0; 1_400];
                while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
                    let bytes = &buffer[..transmit.len];
                    let seal = Seal::read(bytes, CLUSTER).expect("what a node seals can be read");
                    assert!(used.insert((seal.session, seal.counter)), "a number is used twice");
                    assert_eq!(seal.key_id, ids[0], "sealed with the first key");
                    let mut opened = [0; 1_400];
                    let len = SenderKey::new(&key(seal.key_id), &local, seal.session)
                        .open(bytes, &seal, &transmit.to, &mut opened)
                        .expect("it opens at whom it is for");
                    wire::decode_body::<A>(seal.version, &opened[..len]).expect("and can be read");
                }
            }
        }
        while node.poll_event().is_some() {}
        node.check_invariants();
    }
}

struct Forged<A> {
    from: A,
    bytes: Vec<u8>,
    /// Sealed with the key that it names, by whom it comes from, for this node, and not changed since.
    genuine: bool,
    number: Number<A>,
}

fn forged<A: World>(script: &mut Script<'_>, local: A) -> Forged<A> {
    let from = A::numbered(script.u8());
    let flaw = script.u8() % 16;
    let sealer = if flaw == 1 { A::numbered(script.u8()) } else { from }.stored();
    let receiver = if flaw == 2 { A::numbered(script.u8()).stored() } else { local };
    let (id, session, counter) = (script.u8() % 5, u64::from(script.u8() % 4), script.number() >> 16);
    let secret = if flaw == 3 { Key::new(id, [0xff; 32]) } else { key(id) };
    let seal = Seal::new(id, session, counter);
    let sender = Sender { incarnation: 0, digest: script.u32() };
    let message: Message<'_, A> = Message::Ping { seq: 1 };
    let plain = forge::encoded(CLUSTER, sender, &message, &[]);
    let body = &plain[wire::HEADER_LEN..];
    let mut bytes = [&[0; SEALED_HEADER_LEN][..], body, &[0; TAG_LEN]].concat();
    let len = SenderKey::new(&secret, &sealer, session).seal(&mut bytes, body.len(), &seal, CLUSTER, &receiver);
    assert_eq!(len, Some(bytes.len()));
    let mut changed = false;
    if flaw == 4 {
        let (at, change) = (usize::from(script.u8()) % bytes.len(), script.u8());
        bytes[at] ^= change;
        changed = change != 0;
    } else if flaw == 5 {
        bytes.truncate(usize::from(script.u8()) % bytes.len());
        changed = true;
    }
    let genuine = sealer == from.stored() && receiver == local && flaw != 3 && !changed;
    Forged { from, bytes, genuine, number: (from.stored(), id, session, counter) }
}
