//! The hash of a log's records, and logs that are put together from runs that were made apart from each other.
//!
//! # The hash
//! SHA-256 of the bytes of `records.jsonl` from its second line on, hexadecimal; anybody can check it with
//! `tail -n +2 records.jsonl | sha256sum`. The first line, the manifest, holds what differs from one execution to the next (the
//! date, the machine, how long it took), and is not in it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::manifest::Manifest;
use crate::read::LINE_LENGTH_MAX;
use crate::record::Line;

/// Room that is left at the end of the first line for what is known only at the end: the hash and what the simulation took.
const ROOM: usize = 512;

/// Writes one record.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_line(out: &mut impl Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// A log in the making. If it is never finished, it is a log like that of a master that was killed.
#[derive(Debug)]
pub struct Assembly {
    out: BufWriter<File>,
    head: usize,
    hash: Sha256,
    records: u64,
}

impl Assembly {
    /// Creates the file and writes the manifest, with room for what is not known yet.
    ///
    /// # Errors
    /// When the file exists already or cannot be written.
    pub fn create(path: &Path, manifest: &Manifest) -> io::Result<Self> {
        let mut head = serde_json::to_vec(manifest)?;
        head.resize(head.len() + ROOM, b' ');
        head.push(b'\n');
        let mut out = BufWriter::new(File::create_new(path)?);
        out.write_all(&head)?;
        out.flush()?;
        Ok(Self { out, head: head.len(), hash: Sha256::new(), records: 0 })
    }

    /// Adds the records of a run.
    ///
    /// # Errors
    /// When they cannot be read or the log cannot be written.
    pub fn append(&mut self, mut lines: impl Read) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 18];
        loop {
            let part = match lines.read(&mut buffer) {
                Ok(0) => return self.out.flush(),
                Ok(len) => &buffer[..len],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.hash.update(part);
            self.records += part.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.out.write_all(part)?;
        }
    }

    /// Records so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The hash of the records so far.
    #[must_use]
    pub fn hash(&self) -> String {
        hexadecimal(&self.hash.clone().finalize())
    }

    /// Replaces the manifest by one that knows how it ended.
    ///
    /// # Errors
    /// When it does not fit into the room that was left for it, or cannot be written.
    pub fn finish(mut self, manifest: &Manifest) -> io::Result<()> {
        let mut head = serde_json::to_vec(manifest)?;
        if head.len() >= self.head {
            return Err(io::Error::other("the manifest has grown by more than the room that was left for it"));
        }
        head.resize(self.head - 1, b' ');
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&head)?;
        self.out.flush()
    }
}

/// The hash of the records in the log at `path`, and how many they are.
///
/// # Errors
/// When it cannot be read, or its first line does not end.
pub fn hash_of(path: &Path) -> io::Result<(String, u64)> {
    let mut input = BufReader::with_capacity(1 << 18, File::open(path)?);
    let mut first = Vec::new();
    input.by_ref().take(LINE_LENGTH_MAX as u64).read_until(b'\n', &mut first)?;
    if first.last() != Some(&b'\n') {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a log begins with its manifest, a line of its own"));
    }
    let (mut hash, mut records) = (Sha256::new(), 0);
    loop {
        let part = input.fill_buf()?;
        if part.is_empty() {
            return Ok((hexadecimal(&hash.finalize()), records));
        }
        hash.update(part);
        records += part.iter().filter(|byte| **byte == b'\n').count() as u64;
        let len = part.len();
        input.consume(len);
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circumstances::{Build, describe};
    use crate::manifest::Simulation;
    use crate::plan::{Backend, Plan};
    use crate::record::{MASTER, Record, What};

    fn manifest() -> Manifest {
        let plan = Plan::parse("p", "name = \"p\"\n[cluster]\nsizes = [2]\n").expect("a plan");
        let build = Build { commit: "unknown".to_owned(), dirty: false };
        describe("p-sim-x".to_owned(), &plan, Backend::Sim, build, std::time::SystemTime::UNIX_EPOCH)
    }

    fn run(run: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in 0..3 {
            let record = Record { number, at_ns: 5, what: What::RunEnded { complete: true } };
            write_line(&mut bytes, &Line { run, node: MASTER.to_owned(), record }).expect("memory holds it");
        }
        bytes
    }

    #[test]
    fn a_log_is_put_together_and_its_manifest_knows_the_end() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("records.jsonl");
        let mut log = Assembly::create(&path, &manifest()).expect("a new file");
        for index in 0..2 {
            log.append(&run(index)[..]).expect("written");
        }
        let unfinished = crate::read::read(&path).expect("a log at any time");
        assert_eq!((unfinished.lines.len(), &unfinished.manifest.trace_hash), (6, &None));
        let simulation =
            Simulation { records: 6, virtual_ns: u64::MAX, steps: u64::MAX, wall_ns: u64::MAX, threads: u32::MAX };
        let whole = Manifest { trace_hash: Some(log.hash()), simulation: Some(simulation), ..manifest() };
        log.finish(&whole).expect("written");
        let finished = crate::read::read(&path).expect("a log");
        assert_eq!(finished.lines, unfinished.lines);
        assert_eq!(
            finished.manifest,
            Manifest { started_ns: finished.manifest.started_ns, ..finished.manifest.clone() }
        );
        let (hash, records) = hash_of(&path).expect("a log");
        assert_eq!((Some(hash), records), (finished.manifest.trace_hash, 6));
    }

    #[test]
    fn the_hash_is_that_of_the_bytes_after_the_first_line() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        let hash = |text: &str| {
            std::fs::write(&path, text).expect("written");
            hash_of(&path)
        };
        // SHA-256 of "abc", FIPS 180-2, appendix B.1.
        let published = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash("{\"any\": \"manifest\"}   \nabc").expect("a log"), (published.to_owned(), 0));
        assert_eq!(hash("other\nabc").expect("a log").0, published);
        assert_ne!(hash("other\nabc\n").expect("a log").0, published);
        assert!(hash("cut off").is_err());
    }
}
