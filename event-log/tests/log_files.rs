//! Log files: written line by line, read whole, also after the writer was killed, also by an older reader.

use std::io;

use event_log::manifest::{Machine, Manifest};
use event_log::plan::{Backend, Plan};
use event_log::read::{Log, ReadError, read, read_from};
use event_log::record::{Line, Record, What};
use event_log::write::Writer;
use event_log::{SCHEMA, Version};

fn manifest() -> Manifest {
    let plan = Plan::parse("p", "name = \"x\"\n[cluster]\nsizes = [8]").expect("a plan");
    Manifest {
        schema: SCHEMA,
        name: "x-1".into(),
        plan_sha256: plan.sha256(),
        seed: u64::MAX,
        plan,
        backend: Backend::Local,
        version: "0.1.0".into(),
        commit: "unknown".into(),
        dirty: true,
        machine: Machine { cpu: "a \"cpu\"".into(), cores: 2, memory_bytes: 1 << 33, ..Machine::default() },
        clock_error_ns: 0,
        started: "2026-01-01T00:00:00Z".into(),
        started_ns: (1 << 53) + 1,
        trace_hash: None,
        simulation: None,
    }
}

fn line(node: &str, number: u64) -> Line {
    Line {
        run: 0,
        node: node.into(),
        record: Record { number, at_ns: number.saturating_mul(10), what: What::NodeStopped },
    }
}

fn text(lines: &[Line]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, &manifest()).expect("memory can be written");
    for line in lines {
        writer.write(line).expect("memory can be written");
    }
    bytes
}

fn read_bytes(bytes: &[u8]) -> Result<Log, ReadError> {
    read_from("x.jsonl", bytes)
}

/// The log with its manifest's version changed.
fn with_schema(bytes: &[u8], schema: Version, extra: &str) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).expect("JSON is text");
    let other = format!("\"schema\":{{\"major\":{},\"minor\":{}}}{extra}", schema.major, schema.minor);
    let own = format!("\"schema\":{{\"major\":{},\"minor\":{}}}", SCHEMA.major, SCHEMA.minor);
    let changed = text.replacen(&own, &other, 1);
    assert_ne!(changed, text, "the manifest begins with its schema");
    changed.into_bytes()
}

#[test]
fn what_was_written_is_read() {
    let lines = [line("n001", 0), line("master", 0), line("n001", 1), line("n002", 5)];
    let log = read_bytes(&text(&lines)).expect("a log");
    assert_eq!(log, Log { manifest: manifest(), lines: lines.to_vec(), truncated: false, unknown: 0 });
}

#[test]
fn a_log_that_ends_anywhere_in_its_records_gives_what_was_whole() {
    let lines = [line("n001", 0), line("n001", 1), line("n001", 2)];
    let bytes = text(&lines);
    let ends: Vec<usize> =
        bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(end, _)| end + 1).collect();
    for length in 0..=bytes.len() {
        let whole = ends.iter().filter(|end| **end <= length).count();
        match read_bytes(&bytes[..length]) {
            Err(ReadError::Empty { .. }) => assert_eq!(whole, 0, "cut at {length}"),
            Err(error) => panic!("cut at {length}: {error}"),
            Ok(log) => {
                assert_eq!(log.lines, lines[..whole - 1], "cut at {length}");
                assert_eq!(log.truncated, !ends.contains(&length), "cut at {length}");
            }
        }
    }
}

#[test]
fn an_empty_file_and_one_without_a_manifest_are_no_logs() {
    let error = read_bytes(b"").expect_err("empty").to_string();
    assert_eq!(error, "x.jsonl: a log begins with its manifest, this file is empty or was cut off in its first line");
    let error = read_bytes(b"hello\n").expect_err("no JSON").to_string();
    assert!(error.starts_with("x.jsonl:1: not a log's manifest: "), "{error}");
    let error = read_bytes(b"{\"schema\":{\"major\":1,\"minor\":0}}\n").expect_err("no manifest").to_string();
    assert!(error.starts_with("x.jsonl:1: not a log's manifest: missing field `name`"), "{error}");
}

#[test]
fn another_major_version_is_refused_before_anything_else_is_read() {
    let bytes = b"{\"schema\":{\"major\":2,\"minor\":3},\"everything\":\"else\"}\nis different\n";
    let error = read_bytes(bytes).expect_err("a later version").to_string();
    assert_eq!(error, "x.jsonl: schema 2.3, this program reads 1.1 and other minor versions of it");
    let older = with_schema(&text(&[]), Version { major: 0, minor: 9 }, "");
    assert!(matches!(read_bytes(&older), Err(ReadError::Version { found: Version { major: 0, minor: 9 }, .. })));
}

#[test]
fn fields_and_kinds_of_a_later_minor_version_are_ignored() {
    let mut bytes = with_schema(&text(&[line("n001", 0)]), Version { major: 1, minor: 7 }, ",\"weather\":\"fine\"");
    bytes
        .extend(b"{\"run\":0,\"node\":\"n001\",\"number\":1,\"at_ns\":10,\"what\":\"node_stopped\",\"mood\":[1,{}]}\n");
    bytes.extend(b"{\"run\":0,\"node\":\"n001\",\"number\":2,\"at_ns\":20,\"what\":\"node_danced\",\"steps\":3}\n");
    bytes.extend(b"{\"run\":0,\"node\":\"n001\",\"number\":3,\"at_ns\":30,\"what\":\"node_stopped\"}\n");
    let log = read_bytes(&bytes).expect("a log");
    assert_eq!(log.lines, [line("n001", 0), line("n001", 1), line("n001", 3)]);
    assert_eq!((log.unknown, log.truncated), (1, false));
}

#[test]
fn an_unknown_kind_in_a_log_of_this_version_is_an_error_with_its_line() {
    let mut bytes = text(&[line("n001", 0)]);
    bytes.extend(b"{\"run\":0,\"node\":\"n001\",\"number\":2,\"at_ns\":20,\"what\":\"node_danced\"}\n");
    let error = read_bytes(&bytes).expect_err("unknown").to_string();
    assert!(error.starts_with("x.jsonl:3: unknown variant `node_danced`"), "{error}");
    let mut later = with_schema(&text(&[]), Version { major: 1, minor: 7 }, "");
    later.extend(b"{\"what\":\"is this\"}\n");
    assert!(matches!(read_bytes(&later), Err(ReadError::Line { line: 2, .. })), "no record of any version");
}

#[test]
fn a_record_that_comes_again_is_written_once() {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, &manifest()).expect("memory can be written");
    let mut write = |node, number| writer.write(&line(node, number)).expect("memory can be written");
    assert_eq!(
        [write("a", 0), write("a", 1), write("a", 0), write("a", 1), write("a", 2)],
        [true, true, false, false, true]
    );
    assert_eq!([write("b", 1), write("b", 0)], [true, false], "each node counts for itself");
    assert_eq!((writer.next("a"), writer.next("b"), writer.next("c"), writer.lines()), (3, 2, 0, 4));
    let expected = [line("a", 0), line("a", 1), line("a", 2), line("b", 1)];
    assert_eq!(read_bytes(&bytes).expect("a log").lines, expected);
}

#[test]
fn a_node_that_was_started_anew_counts_from_0_again() {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, &manifest()).expect("memory can be written");
    assert!(writer.write(&line("a", 4)).expect("memory can be written"));
    assert!(writer.write(&line("b", 4)).expect("memory can be written"));
    writer.restart("a");
    assert_eq!((writer.next("a"), writer.next("b")), (0, 5));
    assert!(writer.write(&line("a", 0)).expect("memory can be written"));
    assert!(!writer.write(&line("b", 0)).expect("memory can be written"));
}

#[test]
fn the_last_number_there_is_does_not_overflow() {
    let mut writer = Writer::new(io::sink(), &manifest()).expect("a sink can be written");
    assert!(writer.write(&line("a", u64::MAX)).expect("a sink can be written"));
    assert_eq!(writer.next("a"), u64::MAX);
}

#[test]
fn a_file_is_never_written_over_and_is_readable_after_each_flush() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.jsonl");
    let mut writer = Writer::create(&path, &manifest()).expect("created");
    assert_eq!(read(&path).expect("a log from its first moment on").lines, []);
    writer.write(&line("a", 0)).expect("written");
    writer.flush().expect("flushed");
    assert_eq!(read(&path).expect("a log").lines, [line("a", 0)]);
    let error = Writer::create(&path, &manifest()).expect_err("it is there");
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    let missing = read(&folder.path().join("y.jsonl")).expect_err("it is not there").to_string();
    assert!(missing.starts_with(&folder.path().join("y.jsonl").display().to_string()), "{missing}");
}

#[test]
fn an_endless_line_is_refused_before_it_is_held() {
    use std::io::{BufReader, Read};
    for (head, line) in [(Vec::new(), 1), (text(&[line("n000", 0)]), 3)] {
        let endless = head.as_slice().chain(io::repeat(b'x').take(1 << 40));
        let error = read_from("x.jsonl", BufReader::new(endless)).expect_err("no log");
        assert!(matches!(error, ReadError::Line { line: at, .. } if at == line), "{error}");
        assert!(error.to_string().contains("this is no log"), "{error}");
    }
}
