use core::time::Duration;
use std::string::ToString;
use std::vec;

use proptest::prelude::*;

use super::*;
use crate::config::Config;
use crate::io::Command;
use crate::keyring::{Key, Keyring};
use crate::node::{Node, Setup};
use crate::typed::{BirthError, RecordedInput};

const LOCAL: u16 = 7;

fn labels() -> Vec<(&'static str, String)> {
    vec![("name", "n007".to_string())]
}

fn birth(setup: &Setup<'_, u16>) -> Birth {
    Birth::new(Instant::from_millis(5), &Config::lan(), setup).unwrap()
}

fn recording(max: u64) -> Recording {
    Recording::new(max, &labels(), birth(&Setup::new(LOCAL)), None).unwrap()
}

fn read(bytes: &[u8], piece: usize) -> (Vec<Entry>, Option<StreamError>, usize) {
    let (mut reader, mut entries) = (Reader::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        reader.feed(piece);
        loop {
            match reader.next_entry() {
                Ok(Some(entry)) => entries.push(entry),
                Ok(None) => break,
                Err(error) => return (entries, Some(error), reader.rest()),
            }
        }
    }
    (entries, None, reader.rest())
}

fn timeout(recording: &mut Recording, ms: u64) {
    recording.input::<u16>(Instant::from_millis(ms), &Input::Timeout).unwrap();
}

#[test]
fn what_was_recorded_is_read_in_pieces_of_any_length() {
    let mut recording = recording(1 << 20);
    let mut bytes = recording.take();
    timeout(&mut recording, 9);
    recording.result::<u16>(&Err(InputError::Command(crate::CommandError::Busy))).unwrap();
    recording.drained(Instant::from_millis(10)).unwrap();
    recording.transmit(&3_u16, b"bytes").unwrap();
    recording.event(&Event::<u16>::Left).unwrap();
    bytes.extend(recording.take());
    assert_eq!(recording.take(), [], "nothing is handed out twice");
    recording.end();
    bytes.extend(recording.take());
    let at_ns = 9_000_000;
    let expected = [
        Entry::Labels(vec![("name".to_string(), "n007".to_string())]),
        Entry::Birth(birth(&Setup::new(LOCAL))),
        Entry::Input(Recorded { at_ns, input: RecordedInput::Timeout }),
        Entry::Result("command refused: too many messages wait to be sent".to_string()),
        Entry::Drained { at_ns: 10_000_000 },
        Entry::Transmit { to: vec![0, 3], bytes: b"bytes".to_vec() },
        Entry::Event("Left".to_string()),
        Entry::End(Ending::Stopped),
    ];
    for piece in [1, 7, 64, bytes.len()] {
        assert_eq!(read(&bytes, piece), (expected.to_vec(), None, 0), "in pieces of {piece}");
    }
}

#[test]
fn of_a_stream_that_breaks_off_all_whole_chunks_are_read() {
    let mut recording = recording(1 << 20);
    let mut bytes = recording.take();
    let birth = bytes.len();
    timeout(&mut recording, 9);
    bytes.extend(recording.take());
    for len in 0..=bytes.len() {
        let (entries, error, rest) = read(&bytes[..len], 16);
        assert_eq!(error, None, "a stream that ends early is no damaged one");
        let (whole, at) = match len {
            len if len == bytes.len() => (3, len),
            len if len >= birth => (2, birth),
            len if len >= HEAD_LEN => (0, HEAD_LEN),
            _ => (0, 0),
        };
        assert_eq!((entries.len(), rest), (whole, len - at), "{len} bytes");
    }
}

#[test]
fn a_changed_byte_is_found_before_anything_of_its_chunk_is_read() {
    let mut recording = recording(1 << 20);
    let mut bytes = recording.take();
    let birth = bytes.len() as u64;
    timeout(&mut recording, 9);
    bytes.extend(recording.take());
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        let (entries, error, _) = read(&changed, 64);
        match at as u64 {
            0..8 => assert_eq!(error, Some(StreamError::Foreign)),
            8..10 => assert!(matches!(error, Some(StreamError::Version(_)))),
            at => {
                let chunk = if at < birth { HEAD_LEN as u64 } else { birth };
                // A greater length may wait for bytes that never come.
                assert!(error.is_none() || error == Some(StreamError::Damaged { at: chunk }), "byte {at}: {error:?}");
                assert_eq!(entries.len(), if at < birth { 0 } else { 2 }, "byte {at}");
            }
        }
    }
}

#[test]
fn at_its_bound_a_recording_says_so_and_never_goes_beyond() {
    let mut whole = recording(u64::MAX);
    let least = whole.take().len() as u64 + MARK_LEN + CHUNK_HEAD_LEN as u64;
    for max in least..least + 400 {
        let mut recording = recording(max);
        let mut bytes = Vec::new();
        for ms in 0..100 {
            timeout(&mut recording, ms);
            recording.drained(Instant::from_millis(ms)).unwrap();
            if ms % 3 == 0 {
                bytes.extend(recording.take());
            }
        }
        recording.end();
        bytes.extend(recording.take());
        assert!(bytes.len() as u64 <= max, "{} of {max}", bytes.len());
        let (entries, error, rest) = read(&bytes, 512);
        assert_eq!((error, rest), (None, 0));
        assert_eq!(entries.last(), Some(&Entry::End(Ending::Full)));
        assert_eq!(entries.iter().filter(|entry| matches!(entry, Entry::End(_))).count(), 1);
    }
    let none = Recording::new(20, &labels(), birth(&Setup::new(LOCAL)), None);
    assert_eq!(none.err(), Some(TypedError::Encode), "a recording without a birth would be of no use");
}

#[test]
fn large_entries_get_chunks_of_their_own_length_and_a_long_snapshot_comes_in_pieces() {
    let snapshot: Vec<u8> = (0..3 * SNAPSHOT_PIECE + 5).map(|at| at as u8).collect();
    let born = birth(&Setup::new(LOCAL));
    let mut recording = Recording::new(u64::MAX, &labels(), born, Some((&snapshot, Duration::from_secs(3)))).unwrap();
    let datagram = vec![9; 65_507];
    for _ in 0..10 {
        recording.input(Instant::ZERO, &Input::Datagram { from: 2_u16, bytes: &datagram }).unwrap();
    }
    let (entries, error, rest) = read(&recording.take(), 1 << 16);
    assert_eq!((error, rest), (None, 0));
    let about = entries.iter().find_map(|entry| match entry {
        Entry::Birth(birth) => birth.snapshot,
        _ => None,
    });
    assert_eq!(about, Some(RecordedSnapshot { len: snapshot.len() as u64, taken_ago: Duration::from_secs(3) }));
    let pieces: Vec<u8> = entries
        .iter()
        .filter_map(|entry| if let Entry::Snapshot(piece) = entry { Some(piece.clone()) } else { None })
        .flatten()
        .collect();
    assert_eq!(pieces, snapshot);
    assert_eq!(entries.iter().filter(|entry| matches!(entry, Entry::Input(_))).count(), 10);
}

#[test]
fn a_birth_gives_the_node_that_was_born_and_names_keys_without_telling_them() {
    let secret = [0x5a; 32];
    let keyring = Keyring::new(&[Key::new(3, secret)]).unwrap();
    let setup = Setup {
        seed: 11,
        incarnation: 2,
        first_sequence: 5 << 16,
        metadata: b"meta",
        session: 17,
        keyring: Some(&keyring),
        ..Setup::new(LOCAL)
    };
    let born = birth(&setup);
    let mut recording = Recording::new(u64::MAX, &labels(), born.clone(), None).unwrap();
    let bytes = recording.take();
    assert!(!bytes.windows(8).any(|window| window == &secret[..8]), "no secret is written");
    assert_eq!(born.node::<u16>(&[], &[]).err(), Some(BirthError::Typed(TypedError::Keyring)));

    let sent = |mut node: Node<u16>| {
        let mut buffer = [0; 1400];
        node.handle(Instant::from_millis(6), Input::Command(Command::Join { seeds: &[1] })).unwrap();
        let len = node.poll_transmit(Instant::from_millis(6), &mut buffer).unwrap().len;
        (buffer[..len].to_vec(), node.poll_timeout())
    };
    let again = born.node::<u16>(&[], &[Key::new(3, secret)]).unwrap();
    assert_eq!(sent(again), sent(Node::new(Instant::from_millis(5), Config::lan(), &setup).unwrap()));
}

#[test]
fn a_restored_node_is_restored_again_and_not_from_half_a_snapshot() {
    let mut former = Node::new(Instant::ZERO, Config::lan(), &Setup { seed: 1, ..Setup::new(LOCAL) }).unwrap();
    former.handle(Instant::ZERO, Input::Command(Command::Join { seeds: &[1, 2] })).unwrap();
    let mut snapshot = Vec::new();
    former.snapshot(Instant::from_millis(4), &mut snapshot);
    let setup = Setup { seed: 2, ..Setup::new(LOCAL) };
    let mut born = birth(&setup);
    born.snapshot = Some(RecordedSnapshot { len: snapshot.len() as u64, taken_ago: Duration::from_millis(1) });
    let node = born.node::<u16>(&snapshot, &[]).unwrap();
    assert_eq!(node.member(&LOCAL).unwrap().incarnation, 1);
    let half = &snapshot[..snapshot.len() / 2];
    assert_eq!(born.node::<u16>(half, &[]).err(), Some(BirthError::SnapshotCutOff));
    born.snapshot = Some(RecordedSnapshot { len: half.len() as u64, taken_ago: Duration::ZERO });
    assert!(matches!(born.node::<u16>(half, &[]), Err(BirthError::Snapshot(_))));
}

proptest! {
    #[test]
    fn hostile_bytes_behind_a_good_checksum_never_panic(entries in prop::collection::vec(any::<u8>(), 1..600)) {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&STREAM_VERSION.to_le_bytes());
        bytes.extend_from_slice(&(entries.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&entries).to_le_bytes());
        bytes.extend_from_slice(&entries);
        let (read, error, _) = read(&bytes, 100);
        let unknown = Some(StreamError::Entry { at: HEAD_LEN as u64 });
        prop_assert!(error.is_none() || error == unknown, "{:?}", error);
        for entry in read {
            if let Entry::Birth(birth) = entry {
                let _ = birth.node::<u16>(&[], &[]);
            }
        }
    }
}
