//! Recordings of a node, made here by a driver of two nodes, and what a replay says of them when they were tampered with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gossip_core::typed::{self, Birth, Ending, Entry, RecordedInput, Recording};
use gossip_core::{Command, Config, Input, Instant, Key, Keyring, Node, Setup};
use gossip_sim::inputs::file::{End, FileError, Recorded};
use gossip_sim::inputs::replay::{Blind, Difference, Output, Played, play};
use gossip_sim::inputs::trace::Trace;

fn addr(last: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, last], 7400))
}

fn keyring() -> Keyring {
    Keyring::new(&[Key::new(4, [9; 32])]).unwrap()
}

/// A node that is recorded, and how the agent drives it.
struct Driven {
    node: Node<SocketAddr>,
    recording: Recording,
}

impl Driven {
    fn new(last: u8, keyring: Option<&Keyring>) -> Self {
        let (now, config) = (Instant::from_millis(1), Config::local());
        let setup = Setup { seed: last.into(), session: 1, keyring, ..Setup::new(addr(last)) };
        let birth = Birth::new(now, &config, &setup).unwrap();
        let labels = [("name", "two".to_owned()), ("boot_id", "here".to_owned())];
        let recording = Recording::new(1 << 20, &labels, birth, None).unwrap();
        Self { node: Node::new(now, config, &setup).unwrap(), recording }
    }

    fn give(&mut self, now: Instant, input: Input<'_, SocketAddr>) -> Vec<(SocketAddr, Vec<u8>)> {
        self.recording.input(now, &input).unwrap();
        let result = self.node.handle(now, input);
        self.recording.result(&result).unwrap();
        self.recording.drained(now).unwrap();
        let (mut sent, mut buffer) = (Vec::new(), [0; 1400]);
        while let Some(transmit) = self.node.poll_transmit(now, &mut buffer) {
            self.recording.transmit(&transmit.to, &buffer[..transmit.len]).unwrap();
            sent.push((transmit.to, buffer[..transmit.len].to_vec()));
        }
        while let Some(event) = self.node.poll_event() {
            self.recording.event(&event).unwrap();
        }
        sent
    }
}

/// Node 2 joins node 1, starts an event, and lives for two seconds.
fn recorded(keyring: Option<&Keyring>) -> Vec<u8> {
    let (mut one, mut two) = (Driven::new(1, keyring), Driven::new(2, keyring));
    for ms in 2..2_000 {
        let now = Instant::from_millis(ms);
        let mut sent = match ms {
            2 => two.give(now, Input::Command(Command::Join { seeds: &[addr(1)] })),
            500 => two.give(now, Input::Command(Command::event(b"event"))),
            700 => two.give(now, Input::Datagram { from: addr(9), bytes: b"noise" }),
            _ => Vec::new(),
        };
        if two.node.poll_timeout().is_some_and(|due| due <= now) {
            sent.extend(two.give(now, Input::Timeout));
        }
        for (_, bytes) in sent {
            for (_, answer) in one.give(now, Input::Datagram { from: addr(2), bytes: &bytes }) {
                two.give(now, Input::Datagram { from: addr(1), bytes: &answer });
            }
        }
        if one.node.poll_timeout().is_some_and(|due| due <= now) {
            for (_, bytes) in one.give(now, Input::Timeout) {
                two.give(now, Input::Datagram { from: addr(1), bytes: &bytes });
            }
        }
    }
    assert_eq!((one.node.live_members(), two.node.live_members()), (2, 2));
    two.recording.end();
    two.recording.take()
}

fn entries(bytes: &[u8]) -> Vec<Entry> {
    let mut reader = typed::Reader::new();
    reader.feed(bytes);
    std::iter::from_fn(|| reader.next_entry().unwrap()).collect()
}

/// As [`Recording`] writes them, with good checksums.
fn stream(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = typed::MAGIC.to_vec();
    bytes.extend_from_slice(&typed::STREAM_VERSION.to_le_bytes());
    for entry in entries {
        let entry = typed::encode(entry).unwrap();
        bytes.extend_from_slice(&(entry.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&entry).to_le_bytes());
        bytes.extend_from_slice(&entry);
    }
    bytes
}

fn replay(bytes: &[u8], keys: &[Key]) -> Result<Played, FileError> {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("two.1.rec");
    std::fs::write(&path, bytes).unwrap();
    play(Recorded::open(&path)?, keys, &mut Blind)
}

fn difference(entries: &[Entry]) -> Difference {
    replay(&stream(entries), &[]).unwrap().difference.expect("it was tampered with")
}

fn places(entries: &[Entry], is: impl Fn(&Entry) -> bool) -> Vec<usize> {
    (0..entries.len()).filter(|place| is(&entries[*place])).collect()
}

/// The number of the last input at or before a place.
fn input_at(entries: &[Entry], place: usize) -> u64 {
    entries[..=place].iter().filter(|entry| matches!(entry, Entry::Input(_))).count() as u64
}

#[test]
fn a_recording_replays_to_what_was_recorded() {
    let bytes = recorded(None);
    let played = replay(&bytes, &[]).unwrap();
    assert_eq!((&played.difference, played.end), (&None, Some(End::Marked(Ending::Stopped))));
    let entries = entries(&bytes);
    let count = |is: fn(&Entry) -> bool| entries.iter().filter(|entry| is(entry)).count() as u64;
    assert_eq!(played.inputs.all, count(|entry| matches!(entry, Entry::Input(_))));
    assert_eq!(played.sent.0, count(|entry| matches!(entry, Entry::Transmit { .. })));
    assert_eq!(played.events, count(|entry| matches!(entry, Entry::Event(_))));
    assert!(played.inputs.timeouts > 10 && played.inputs.datagrams > 10 && played.sent.0 > 10 && played.events > 2);
    assert_eq!(played.to.since(played.from).as_secs(), 1);
}

#[test]
fn a_datagram_that_differs_by_a_bit_is_found_at_its_input() {
    let entries = entries(&recorded(None));
    for place in places(&entries, |entry| matches!(entry, Entry::Transmit { .. })).into_iter().step_by(7) {
        let mut tampered = entries.clone();
        let Entry::Transmit { bytes, .. } = &mut tampered[place] else { unreachable!() };
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let found = difference(&tampered);
        assert_eq!(found.input, input_at(&entries, place));
        let (Output::Transmit { bytes: recorded, .. }, Output::Transmit { bytes: replayed, .. }) =
            (found.recorded, found.replayed)
        else {
            panic!("two datagrams")
        };
        assert_eq!(recorded[..last], replayed[..last]);
    }
}

#[test]
fn what_is_missing_or_too_much_is_found_where_it_is() {
    let entries = entries(&recorded(None));
    let outputs =
        places(&entries, |entry| matches!(entry, Entry::Transmit { .. } | Entry::Event(_) | Entry::Result(_)));
    assert!(places(&entries, |entry| matches!(entry, Entry::Result(_))).len() == 2, "the event, and the noise");
    for place in outputs {
        let mut less = entries.clone();
        less.remove(place);
        // Of two equal ones in a row the second is the one that is missing.
        assert_eq!(difference(&less).input, input_at(&entries, place), "without {:?}", entries[place]);
        let mut more = entries.clone();
        more.insert(place, entries[place].clone());
        assert_eq!(difference(&more).input, input_at(&entries, place), "twice {:?}", entries[place]);
    }
}

#[test]
fn an_input_that_is_left_out_or_late_shows() {
    let entries = entries(&recorded(None));
    let event = places(
        &entries,
        |entry| matches!(entry, Entry::Input(recorded) if matches!(recorded.input, RecordedInput::StartEvent { .. })),
    )[0];
    let mut without = entries.clone();
    without.remove(event);
    assert_eq!(difference(&without).recorded, Output::Result(format!("started {}#0", addr(2))));
    let Entry::Birth(birth) = &entries[1] else { panic!("the birth comes second") };
    let mut other = entries.clone();
    other[1] = Entry::Birth(Birth { seed: birth.seed + 1, ..birth.clone() });
    assert!(difference(&other).input > 0, "another seed draws other phases");
}

#[test]
fn recordings_that_make_no_sense_are_refused_in_words() {
    let entries = entries(&recorded(None));
    let refused = |entries: &[Entry]| replay(&stream(entries), &[]).expect_err("it makes no sense").to_string();
    let mut backwards = entries.clone();
    let Some(Entry::Input(first)) = backwards.get_mut(2) else { panic!("the first input") };
    first.at_ns = u64::MAX;
    assert_eq!(refused(&backwards), "time runs backwards in the recording");
    assert_eq!(refused(&entries[1..]), "the recording does not begin with a birth");
    assert_eq!(refused(&entries[..1]), "the recording is cut off before the node is born");
    let twice = [&entries[..3], &entries[1..]].concat();
    assert_eq!(refused(&twice), "the recording has a second birth");
    let Entry::Birth(birth) = &entries[1] else { panic!("the birth comes second") };
    let mut config = birth.config.clone();
    config.datagram_max = usize::MAX;
    let with = |birth: Birth| [&entries[..1], &[Entry::Birth(birth)], &entries[2..]].concat();
    assert!(refused(&with(Birth { config, ..birth.clone() })).contains("datagram_max"));
    let about = typed::RecordedSnapshot { len: u64::MAX, taken_ago: Duration::ZERO };
    let claimed = refused(&with(Birth { snapshot: Some(about), ..birth.clone() }));
    assert_eq!(claimed, "the recording claims a snapshot longer than any");
}

/// Every prefix, and every single changed byte of a short recording: an error or a clean end, never a panic.
#[test]
fn a_file_that_is_cut_off_or_damaged_anywhere_is_told_from_a_whole_one() {
    let whole = entries(&recorded(None));
    let bytes = stream(&whole[..40]);
    for len in (0..bytes.len()).step_by(3) {
        match replay(&bytes[..len], &[]) {
            Ok(played) => {
                assert_eq!(played.difference, None, "{len} bytes");
                assert!(matches!(played.end, Some(End::CutOff { .. })), "{len} bytes");
            }
            Err(error) => assert!(error.to_string().contains("cut off before the node is born"), "{len}: {error}"),
        }
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x81;
        // A length that became greater takes the rest for a broken chunk.
        if let Ok(played) = replay(&damaged, &[]) {
            assert!(matches!(played.end, Some(End::CutOff { rest: 1.. })), "byte {at}: {played:?}");
        }
    }
}

#[test]
fn a_sealed_life_needs_its_keys_and_is_told_in_words_with_them() {
    let bytes = recorded(Some(&keyring()));
    let error = replay(&bytes, &[]).expect_err("no keys").to_string();
    assert!(error.contains("--keyring"), "{error}");
    let keys = keyring().keys().to_vec();
    assert_eq!(replay(&bytes, &keys).unwrap().difference, None);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.1.rec");
    std::fs::write(&path, &bytes).unwrap();
    let mut out = Vec::new();
    let born = Instant::from_millis(1);
    let between = (Duration::from_millis(499), Some(Duration::from_millis(700)));
    let mut trace = Trace::new(&mut out, born, between, true, Some(Duration::from_millis(600)), &keys);
    play(Recorded::open(&path).unwrap(), &keys, &mut trace).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with("command: start an event of 5 bytes, priority bits 0"), "{}", lines[0]);
    assert!(lines[0].trim_start().starts_with("0.499000  > #"), "{}", lines[0]);
    assert!(lines[1].ends_with(&format!("= started {}#0", addr(2))), "{}", lines[1]);
    assert!(text.contains("sealed with key 4: Gossip") && text.contains("#0 age"), "{text}");
    assert!(text.contains("= members: 2 live, 2 remembered") && text.contains("alive 127.0.0.2:7400 i0 (this node)"));
    assert!(text.contains("datagram refused"), "the noise: {text}");
    assert!(!text.contains(" 0.498"), "nothing from before");
}
