//! Writing a log: each line is complete on disk as soon as it is written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::manifest::Manifest;
use crate::record::Line;

/// Writes one log.
#[derive(Debug)]
pub struct Writer<W: Write = BufWriter<File>> {
    out: W,
    /// Of each node: the number that its next record must have at least.
    next: BTreeMap<String, u64>,
    lines: u64,
}

impl Writer {
    /// Creates the file and writes the manifest as its first line.
    ///
    /// # Errors
    /// When the file exists already or cannot be written.
    pub fn create(path: &Path, manifest: &Manifest) -> io::Result<Self> {
        Self::new(BufWriter::new(File::create_new(path)?), manifest)
    }
}

impl<W: Write> Writer<W> {
    /// Writes the manifest to `out` as its first line.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn new(out: W, manifest: &Manifest) -> io::Result<Self> {
        let mut writer = Self { out, next: BTreeMap::new(), lines: 0 };
        writer.put(manifest)?;
        writer.flush()?;
        Ok(writer)
    }

    /// Writes one record, unless it was written before (same node, same life, same number): then nothing happens and the
    /// result is false.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, line: &Line) -> io::Result<bool> {
        let next = self.next.entry(line.node.clone()).or_default();
        if line.record.number < *next {
            return Ok(false);
        }
        *next = line.record.number.saturating_add(1);
        self.put(line)?;
        self.lines += 1;
        Ok(true)
    }

    /// A node was started anew: its records count from 0 again.
    pub fn restart(&mut self, node: &str) {
        self.next.remove(node);
    }

    /// The number that the next record of `node` will have at least.
    #[must_use]
    pub fn next(&self, node: &str) -> u64 {
        self.next.get(node).copied().unwrap_or(0)
    }

    /// Records written so far.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Hands everything to the operating system: what was written so far survives the end of this process.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn put(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, value)?;
        self.out.write_all(b"\n")
    }
}
