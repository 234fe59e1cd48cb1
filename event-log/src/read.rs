//! Reading a log, also one whose writer was killed.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::Deserialize;
use thiserror::Error;

use crate::manifest::Manifest;
use crate::record::Line;
use crate::{SCHEMA, Version};

/// The longest line that is read, bytes: far more than any record or manifest takes. A file with a longer one is no log, and
/// is not read into memory to find that out.
pub const LINE_LENGTH_MAX: usize = 16 << 20;

/// A log in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// The first line.
    pub manifest: Manifest,
    /// All others.
    pub lines: Vec<Line>,
    /// True when the last line was cut off: the writer was killed while it wrote. The part line is left out.
    pub truncated: bool,
    /// Records of a kind that this reader does not know, left out. Only a log of a newer minor version has any.
    pub unknown: u64,
}

/// Why a log cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file has not even a manifest.
    #[error("{file}: a log begins with its manifest, this file is empty or was cut off in its first line")]
    Empty {
        /// The file.
        file: String,
    },
    /// The log was written under rules that this reader does not know.
    #[error("{file}: schema {found}, this program reads {SCHEMA} and other minor versions of it")]
    Version {
        /// The file.
        file: String,
        /// Version found.
        found: Version,
    },
    /// A line is not what it should be.
    #[error("{file}:{line}: {message}")]
    Line {
        /// The file.
        file: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

#[derive(Deserialize)]
struct SchemaOnly {
    schema: Version,
}

/// What every record has, whatever its kind.
#[derive(Deserialize)]
#[expect(dead_code, reason = "read only to see that it is there")]
struct AnyKind {
    run: u32,
    node: String,
    number: u64,
    at_ns: u64,
    what: String,
}

/// Reads the log at `path`.
///
/// # Errors
/// [`ReadError`]. A last line without its newline is no error: see [`Log::truncated`].
pub fn read(path: &Path) -> Result<Log, ReadError> {
    let file = path.display().to_string();
    let open = File::open(path).map_err(|source| ReadError::Io { file: file.clone(), source })?;
    read_from(&file, BufReader::new(open))
}

/// Reads a log from `input`; `file` is only for error texts.
///
/// # Errors
/// As [`read`].
pub fn read_from(file: &str, input: impl BufRead) -> Result<Log, ReadError> {
    let mut lines = Vec::new();
    let Summary { manifest, truncated, unknown } = visit_from(file, input, &mut lines)?;
    Ok(Log { manifest, lines, truncated, unknown })
}

/// Is shown the lines of a log one after the other, so that a long log need not be in memory.
pub trait Visit {
    /// The next line after the manifest.
    fn line(&mut self, line: Line);
}

impl Visit for Vec<Line> {
    fn line(&mut self, line: Line) {
        self.push(line);
    }
}

/// A log without its lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The first line.
    pub manifest: Manifest,
    /// See [`Log::truncated`].
    pub truncated: bool,
    /// See [`Log::unknown`].
    pub unknown: u64,
}

/// Reads the manifest of the log at `path` and nothing else.
///
/// # Errors
/// [`ReadError`].
pub fn manifest_of(path: &Path) -> Result<Manifest, ReadError> {
    let file = path.display().to_string();
    let open = File::open(path).map_err(|source| ReadError::Io { file: file.clone(), source })?;
    let mut lines = Lines { file: &file, input: BufReader::new(open), buffer: Vec::new() };
    lines.first()
}

/// Shows the lines of the log at `path` to `visitor`.
///
/// # Errors
/// As [`read`].
pub fn visit(path: &Path, visitor: &mut impl Visit) -> Result<Summary, ReadError> {
    let file = path.display().to_string();
    let open = File::open(path).map_err(|source| ReadError::Io { file: file.clone(), source })?;
    visit_from(&file, BufReader::with_capacity(1 << 18, open), visitor)
}

/// Shows the lines of the log in `input` to `visitor`.
///
/// # Errors
/// As [`read`].
pub fn visit_from(file: &str, input: impl BufRead, visitor: &mut impl Visit) -> Result<Summary, ReadError> {
    let mut lines = Lines { file, input, buffer: Vec::new() };
    let mut summary = Summary { manifest: lines.first()?, truncated: false, unknown: 0 };
    for number in 2.. {
        if !lines.next(number)? {
            summary.truncated = !lines.buffer.is_empty();
            break;
        }
        match serde_json::from_slice(&lines.buffer) {
            Ok(line) => visitor.line(line),
            Err(_) if summary.manifest.schema.minor > SCHEMA.minor && is_some_record(&lines.buffer) => {
                summary.unknown += 1;
            }
            Err(error) => {
                return Err(ReadError::Line { file: file.to_owned(), line: number, message: error.to_string() });
            }
        }
    }
    Ok(summary)
}

/// The lines of a file, each of bounded length.
struct Lines<'a, R> {
    file: &'a str,
    input: R,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<'_, R> {
    fn first(&mut self) -> Result<Manifest, ReadError> {
        if !self.next(1)? {
            return Err(ReadError::Empty { file: self.file.to_owned() });
        }
        manifest(self.file, &self.buffer)
    }

    /// Reads line `line` into the buffer; false when it has no end, which only the last line may not have.
    fn next(&mut self, line: usize) -> Result<bool, ReadError> {
        self.buffer.clear();
        let length = self.input.by_ref().take(LINE_LENGTH_MAX as u64).read_until(b'\n', &mut self.buffer);
        length.map_err(|source| ReadError::Io { file: self.file.to_owned(), source })?;
        let complete = self.buffer.last() == Some(&b'\n');
        if !complete && self.buffer.len() == LINE_LENGTH_MAX {
            let message = format!("a line of more than {LINE_LENGTH_MAX} bytes: this is no log");
            return Err(ReadError::Line { file: self.file.to_owned(), line, message });
        }
        Ok(complete)
    }
}

/// The first line. Its version is looked at before the rest, which another major version may have changed.
fn manifest(file: &str, line: &[u8]) -> Result<Manifest, ReadError> {
    let fail = |error: serde_json::Error| ReadError::Line {
        file: file.to_owned(),
        line: 1,
        message: format!("not a log's manifest: {error}"),
    };
    let found = serde_json::from_slice::<SchemaOnly>(line).map_err(fail)?.schema;
    if found.major != SCHEMA.major {
        return Err(ReadError::Version { file: file.to_owned(), found });
    }
    serde_json::from_slice(line).map_err(fail)
}

fn is_some_record(line: &[u8]) -> bool {
    serde_json::from_slice::<AnyKind>(line).is_ok()
}
