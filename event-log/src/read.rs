//! Reading a log, also one whose writer was killed.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;
use thiserror::Error;

use crate::manifest::Manifest;
use crate::record::Line;
use crate::{SCHEMA, Version};

/// A log in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// The first line.
    pub manifest: Manifest,
    /// All others.
    pub lines: Vec<Line>,
    /// True when the last line was cut off: the writer was killed while it wrote. The part line is left out.
    pub truncated: bool,
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
    #[error("{file}: empty, a log begins with its manifest")]
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
pub fn read_from(file: &str, mut input: impl BufRead) -> Result<Log, ReadError> {
    let mut manifest: Option<Manifest> = None;
    let mut lines = Vec::new();
    let mut buffer = Vec::new();
    let mut number = 0;
    let fail = |line, message: String| ReadError::Line { file: file.to_owned(), line, message };
    loop {
        buffer.clear();
        input.read_until(b'\n', &mut buffer).map_err(|source| ReadError::Io { file: file.to_owned(), source })?;
        number += 1;
        let complete = buffer.last() == Some(&b'\n');
        if !complete {
            let Some(manifest) = manifest else { return Err(ReadError::Empty { file: file.to_owned() }) };
            return Ok(Log { manifest, lines, truncated: !buffer.is_empty() });
        }
        if manifest.is_none() {
            let schema =
                serde_json::from_slice::<SchemaOnly>(&buffer).map_err(|error| fail(number, error.to_string()))?.schema;
            if schema.major != SCHEMA.major {
                return Err(ReadError::Version { file: file.to_owned(), found: schema });
            }
            manifest = Some(serde_json::from_slice(&buffer).map_err(|error| fail(number, error.to_string()))?);
        } else {
            lines.push(serde_json::from_slice(&buffer).map_err(|error| fail(number, error.to_string()))?);
        }
    }
}
