//! Reading a recording, piece by piece: a file of any length takes a bounded room.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use gossip_core::typed::{Birth, BirthError, Ending, Entry, Labels, Reader, StreamError, TypedError};
use gossip_core::{Key, Node};

/// Read at a time, bytes.
const PIECE: usize = 64 << 10;

/// No snapshot is longer (as the agent has it).
const SNAPSHOT_MAX: u64 = 1 << 28;

/// Why a recording cannot be played.
#[derive(Debug)]
pub enum FileError {
    /// The system.
    Io(io::Error),
    /// The stream of entries.
    Stream(StreamError),
    /// The node cannot be born again.
    Birth(BirthError),
    /// An entry stands where it makes no sense, or there is none where one must be.
    Order(&'static str),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Stream(error) => error.fmt(f),
            Self::Birth(BirthError::Typed(TypedError::Keyring)) => f.write_str(
                "the node had keys, which are in no recording: give the file that holds them with --keyring",
            ),
            Self::Birth(error) => write!(f, "the recorded node cannot be born: {error}"),
            Self::Order(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for FileError {}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<StreamError> for FileError {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

/// How a recording ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With a mark.
    Marked(Ending),
    /// Without one: the agent was killed, or still runs. So many bytes follow the last whole chunk.
    CutOff {
        /// Those bytes.
        rest: usize,
    },
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Marked(Ending::Stopped) => f.write_str("the agent ended in good order"),
            Self::Marked(Ending::Full) => {
                f.write_str("the recording reached its bound here (--record-max); the node went on")
            }
            Self::CutOff { rest: 0 } => f.write_str("no mark of an end: the agent was killed, or still runs"),
            Self::CutOff { rest } => {
                write!(
                    f,
                    "no mark of an end: the agent was killed, or still runs; {rest} bytes of a broken chunk follow"
                )
            }
        }
    }
}

/// A recording that was opened: the head is read, the entries come one by one.
#[derive(Debug)]
pub struct Recorded {
    /// What it says of itself.
    pub labels: Labels,
    /// How the node was born.
    pub birth: Birth,
    /// Its address.
    pub local: SocketAddr,
    snapshot: Vec<u8>,
    entries: Entries,
}

#[derive(Debug)]
struct Entries {
    file: File,
    reader: Reader,
    piece: Box<[u8]>,
    end: Option<End>,
}

impl Recorded {
    /// Opens the recording at `path`.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let file = File::open(path)?;
        let mut entries = Entries { file, reader: Reader::new(), piece: vec![0; PIECE].into_boxed_slice(), end: None };
        let Some(Entry::Labels(labels)) = entries.next()? else {
            return Err(entries.headless());
        };
        let birth = match entries.next() {
            Ok(Some(Entry::Birth(birth))) => birth,
            Ok(_) => return Err(entries.headless()),
            Err(error) => return Err(error),
        };
        let local = birth.local().map_err(|error| FileError::Birth(error.into()))?;
        let wanted = birth.snapshot.map_or(0, |about| about.len);
        if wanted > SNAPSHOT_MAX {
            return Err(FileError::Order("the recording claims a snapshot longer than any"));
        }
        let mut snapshot = Vec::new();
        while (snapshot.len() as u64) < wanted {
            let Some(Entry::Snapshot(bytes)) = entries.next()? else {
                return Err(FileError::Birth(BirthError::SnapshotCutOff));
            };
            snapshot.extend_from_slice(&bytes);
        }
        Ok(Self { labels, birth, local, snapshot, entries })
    }

    /// The node as it was at its birth. `keys` are all that were ever in its keyring.
    ///
    /// # Errors
    /// [`FileError::Birth`].
    pub fn node(&self, keys: &[Key]) -> Result<Node<SocketAddr>, FileError> {
        self.birth.node(&self.snapshot, keys).map_err(FileError::Birth)
    }

    /// What it says of itself under this name.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// [`FileError`]; nothing comes after it.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, FileError> {
        match self.entries.next()? {
            Some(Entry::Labels(_) | Entry::Birth(_) | Entry::Snapshot(_)) => {
                Err(FileError::Order("the recording has a second birth"))
            }
            entry => Ok(entry),
        }
    }

    /// How it ended, once there are no more entries.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.entries.end
    }
}

impl Entries {
    fn next(&mut self) -> Result<Option<Entry>, FileError> {
        while self.end.is_none() {
            match self.reader.next_entry()? {
                // What may follow is not part of the recording.
                Some(Entry::End(ending)) => self.end = Some(End::Marked(ending)),
                Some(entry) => return Ok(Some(entry)),
                None => {
                    let read = self.file.read(&mut self.piece)?;
                    self.reader.feed(&self.piece[..read]);
                    if read == 0 {
                        self.end = Some(End::CutOff { rest: self.reader.rest() });
                    }
                }
            }
        }
        Ok(None)
    }

    fn headless(&self) -> FileError {
        match self.end {
            Some(End::CutOff { .. }) => FileError::Order("the recording is cut off before the node is born"),
            _ => FileError::Order("the recording does not begin with a birth"),
        }
    }
}

/// The recordings that a path means: the file itself, or those (`*.rec`) of a folder, or of the folder `inputs` in it, in the order
/// of their names.
///
/// # Errors
/// When there are none.
pub fn recordings(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let within = path.join("inputs");
    let folder = if within.is_dir() { within } else { path.to_owned() };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rec") {
            files.push(path);
        }
    }
    files.sort_unstable();
    if files.is_empty() {
        let text = format!("{} holds no recordings (*.rec): run with --record-inputs", folder.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    Ok(files)
}
