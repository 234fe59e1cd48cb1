//! The file from which a restarted agent comes back: a snapshot of its node.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;
use tracing::{debug, warn};

/// No snapshot is larger: the most members and the most identities of events take less.
const LEN_MAX: u64 = 1 << 28;

/// A file that is replaced as a whole: whoever reads it, even after a crash, finds the old one or the new one.
#[derive(Debug)]
pub struct SnapshotFile {
    path: PathBuf,
    /// The write that runs, off the loop.
    running: Option<JoinHandle<io::Result<()>>>,
}

impl SnapshotFile {
    /// The file at `path`, whether it is there yet or not.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, running: None }
    }

    /// What is in it, and how long ago it was written as far as the clock of the system tells. `None` when there is no file.
    ///
    /// # Errors
    /// Those of the system, and one for a file that is too large to be a snapshot.
    pub fn read(&self) -> io::Result<Option<(Vec<u8>, Duration)>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let about = file.metadata()?;
        let mut bytes = Vec::new();
        file.take(LEN_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LEN_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too large for a snapshot"));
        }
        let ago = SystemTime::now().duration_since(about.modified()?).unwrap_or_default();
        Ok(Some((bytes, ago)))
    }

    /// Begins to write `bytes`, unless the last write still runs.
    pub fn save(&mut self, bytes: Vec<u8>) {
        if self.running.as_ref().is_some_and(|running| !running.is_finished()) {
            warn!(file = %self.path.display(), "the snapshot before this one is not written yet");
            return;
        }
        let path = self.path.clone();
        self.running = Some(tokio::task::spawn_blocking(move || {
            replace(&path, &bytes).inspect_err(|error| {
                warn!(file = %path.display(), %error, "no snapshot");
            })
        }));
    }

    /// Waits for the write that runs.
    pub async fn finish(&mut self) {
        if let Some(running) = self.running.take() {
            let written = running.await.is_ok_and(|written| written.is_ok());
            debug!(file = %self.path.display(), written, "the last snapshot");
        }
    }
}

/// Writes beside the file and puts it in its place.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.snapshot");
        let mut file = SnapshotFile::new(path.clone());
        assert!(file.read().unwrap().is_none());
        for bytes in [b"first".to_vec(), b"second".to_vec()] {
            file.save(bytes.clone());
            file.finish().await;
            let (read, ago) = file.read().unwrap().unwrap();
            assert_eq!(read, bytes);
            assert!(ago < Duration::from_secs(60));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let mut nowhere = SnapshotFile::new(dir.path().join("missing").join("node.snapshot"));
        nowhere.save(Vec::new());
        nowhere.finish().await;
        assert!(nowhere.read().unwrap().is_none(), "reported, and that is all");
    }
}
