//! The node, and beside it the recording of all that it is given and gives back, if one is wanted.
//!
//! The agent reaches its node through [`Taped`] alone, so nothing passes the recording by. What is recorded reaches the file
//! within [`FLUSH_INTERVAL`], and from there it survives the process, however that ends; a panic writes what waits. Without a
//! recording each call costs one look at an `Option`. Replay is `gossip-sim inputs FILE`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gossip_core::typed::{Birth, Recording, TypedError};
use gossip_core::{Event, Input, InputError, Instant, Node, Outcome};
use tracing::{info, warn};

/// For how long what was recorded may wait before it is written.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(250);

/// More than this does not wait.
const WAITING_MAX: usize = 64 << 10;

/// Lives of one node in one folder: more have names in use than any experiment makes.
const LIVES_MAX: u32 = 100_000;

/// A recording on its way into a file.
#[derive(Debug)]
pub struct Tape {
    recording: Recording,
    file: File,
    path: PathBuf,
    /// When to write what waits.
    due: Instant,
}

impl Tape {
    /// Begins a recording of at most `max` bytes in the file `path`, which is written over; or, where `path` is a folder, in a
    /// new file `<name>.<life>.rec` within it, `life` being the first number from 1 on that is not there. Nobody else may read it.
    ///
    /// # Errors
    /// When the file cannot be made or written, or `max` is too little for a beginning.
    pub fn create(
        path: &Path,
        name: &str,
        max: u64,
        labels: &[(&str, String)],
        birth: Birth,
        snapshot: Option<(&[u8], Duration)>,
    ) -> io::Result<Self> {
        let due = Instant::from_nanos(birth.at_ns) + FLUSH_INTERVAL;
        let recording = Recording::new(max, labels, birth, snapshot).map_err(io::Error::other)?;
        let (file, path) = if path.is_dir() { create_numbered(path, name)? } else { create(path)? };
        let mut tape = Self { recording, file, path, due };
        tape.write()?;
        info!(file = %tape.path.display(), "recording all inputs");
        Ok(tape)
    }

    /// Writes what waits.
    fn write(&mut self) -> io::Result<()> {
        let bytes = self.recording.take();
        self.file.write_all(&bytes)
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn create(path: &Path) -> io::Result<(File, PathBuf)> {
    Ok((options().create(true).truncate(true).open(path)?, path.to_owned()))
}

fn create_numbered(folder: &Path, name: &str) -> io::Result<(File, PathBuf)> {
    // A name is anything printable; a file's name is not.
    let name: String = name.chars().map(|c| if c == '/' { '_' } else { c }).collect();
    for life in 1..LIVES_MAX {
        let path = folder.join(format!("{name}.{life}.rec"));
        match options().create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return Ok((result?, path)),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many recordings of this node"))
}

/// The node and its tape.
#[derive(Debug)]
pub struct Taped {
    node: Node<SocketAddr>,
    tape: Option<Arc<Mutex<Tape>>>,
}

impl Taped {
    /// The node, with a tape or without.
    #[must_use]
    pub fn new(node: Node<SocketAddr>, tape: Option<Tape>) -> Self {
        let tape = tape.map(|tape| Arc::new(Mutex::new(tape)));
        if let Some(tape) = &tape {
            write_at_panic(tape);
        }
        Self { node, tape }
    }

    /// The node, to be asked.
    #[must_use]
    pub fn node(&self) -> &Node<SocketAddr> {
        &self.node
    }

    /// [`Node::handle`].
    ///
    /// # Errors
    /// As that.
    pub fn handle(&mut self, now: Instant, input: Input<'_, SocketAddr>) -> Result<Outcome<SocketAddr>, InputError> {
        self.record(|recording| recording.input(now, &input));
        let result = self.node.handle(now, input);
        self.record(|recording| recording.result(&result));
        result
    }

    /// Hands all that the node wants to send to `send`.
    pub fn drain(&mut self, now: Instant, buffer: &mut [u8], mut send: impl FnMut(SocketAddr, &[u8])) {
        self.record(|recording| recording.drained(now));
        while let Some(transmit) = self.node.poll_transmit(now, buffer) {
            let bytes = &buffer[..transmit.len];
            self.record(|recording| recording.transmit(&transmit.to, bytes));
            send(transmit.to, bytes);
        }
    }

    /// [`Node::poll_event`].
    pub fn poll_event(&mut self) -> Option<Event<SocketAddr>> {
        let event = self.node.poll_event()?;
        self.record(|recording| recording.event(&event));
        Some(event)
    }

    /// When [`flush`](Self::flush) wants to be called.
    #[must_use]
    pub fn flush_due(&self) -> Option<Instant> {
        let tape = lock(self.tape.as_ref()?);
        (tape.recording.waiting() > 0).then_some(tape.due)
    }

    /// Writes what waits, if it has waited long enough or is much.
    pub fn flush(&mut self, now: Instant) {
        let Some(tape) = &self.tape else { return };
        let mut tape = lock(tape);
        let waiting = tape.recording.waiting();
        if waiting >= WAITING_MAX || (waiting > 0 && now >= tape.due) {
            let written = tape.write();
            tape.due = now + FLUSH_INTERVAL;
            let is_full = tape.recording.is_ended();
            if let Err(error) = written {
                warn!(file = %tape.path.display(), %error, "the recording ends: it cannot be written");
            } else if is_full {
                warn!(file = %tape.path.display(), "the recording ends: it is as long as it may become");
            } else {
                return;
            }
            drop(tape);
            self.tape = None;
        }
    }

    /// The end of the recording, in good order.
    pub fn end(&mut self) {
        let Some(tape) = self.tape.take() else { return };
        let mut tape = lock(&tape);
        tape.recording.end();
        if let Err(error) = tape.write() {
            warn!(file = %tape.path.display(), %error, "the end of the recording is lost");
        }
    }

    fn record(&mut self, what: impl FnOnce(&mut Recording) -> Result<(), TypedError>) {
        let Some(tape) = &self.tape else { return };
        let mut guard = lock(tape);
        if let Err(error) = what(&mut guard.recording) {
            warn!(file = %guard.path.display(), %error, "the recording ends: this cannot be recorded");
            let _ = guard.write();
            drop(guard);
            self.tape = None;
        }
    }
}

fn lock(tape: &Mutex<Tape>) -> std::sync::MutexGuard<'_, Tape> {
    tape.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What made the node panic shall be in the file.
fn write_at_panic(tape: &Arc<Mutex<Tape>>) {
    let tape = Arc::downgrade(tape);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // A lock that is held is held by the recording itself, which is then at fault.
        if let Some(tape) = tape.upgrade()
            && let Ok(mut tape) = tape.try_lock()
        {
            let _ = tape.write();
        }
        before(panic);
    }));
}

#[cfg(test)]
mod tests {
    use gossip_core::typed::{Entry, Reader, RecordedInput};
    use gossip_core::{Command, Config, Setup};

    use super::*;

    fn addr() -> SocketAddr {
        "127.0.0.1:7400".parse().unwrap()
    }

    fn taped(path: &Path, max: u64) -> io::Result<Taped> {
        let (now, setup) = (Instant::from_millis(1), Setup::new(addr()));
        let birth = Birth::new(now, &Config::lan(), &setup).unwrap();
        let tape = Tape::create(path, "a/b", max, &[("name", "a/b".to_owned())], birth, None)?;
        Ok(Taped::new(Node::new(now, Config::lan(), &setup).unwrap(), Some(tape)))
    }

    fn entries(path: &Path) -> Vec<Entry> {
        let mut reader = Reader::new();
        reader.feed(&std::fs::read(path).unwrap());
        std::iter::from_fn(|| reader.next_entry().unwrap()).collect()
    }

    #[test]
    fn every_life_in_a_folder_gets_a_file_of_its_own_that_others_cannot_read() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        for life in 1..=3 {
            taped(folder.path(), 1 << 20).unwrap();
            let path = folder.path().join(format!("a_b.{life}.rec"));
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
        assert!(taped(&folder.path().join("missing").join("file"), 1 << 20).is_err());
        assert!(taped(&folder.path().join("file"), 10).is_err(), "no room for a beginning");
    }

    #[test]
    fn what_waited_for_long_enough_is_in_the_file_and_the_rest_after_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut taped = taped(&path, 1 << 20).unwrap();
        let at = Instant::from_millis;
        assert_eq!((taped.flush_due(), entries(&path).len()), (None, 2), "the birth does not wait");
        taped.handle(at(2), Input::Command(Command::Leave)).unwrap();
        taped.flush(at(250));
        assert_eq!(entries(&path).len(), 2);
        assert_eq!(taped.flush_due(), Some(at(251)));
        taped.flush(at(251));
        assert_eq!((taped.flush_due(), entries(&path).len()), (None, 3));
        let _ = taped.handle(at(252), Input::Datagram { from: addr(), bytes: b"no datagram" });
        taped.end();
        let entries = entries(&path);
        assert!(
            matches!(&entries[3], Entry::Input(input) if matches!(input.input, RecordedInput::Datagram { .. })),
            "{entries:?}"
        );
        assert!(matches!(&entries[4], Entry::Result(words) if words.contains("refused")), "{entries:?}");
        assert_eq!(entries.len(), 6);
    }

    #[test]
    fn a_recording_at_its_bound_ends_and_the_node_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut taped = taped(&path, 2_000).unwrap();
        for ms in 2..1_000 {
            taped.handle(Instant::from_millis(ms), Input::Timeout).unwrap();
            taped.flush(Instant::from_millis(ms));
        }
        assert!(taped.tape.is_none() && std::fs::metadata(&path).unwrap().len() <= 2_000);
        assert_eq!(entries(&path).last(), Some(&Entry::End(gossip_core::typed::Ending::Full)));
    }

    #[test]
    fn a_panic_writes_what_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut taped = taped(&path, 1 << 20).unwrap();
        taped.handle(Instant::from_millis(2), Input::Timeout).unwrap();
        assert_eq!(entries(&path).len(), 2);
        let unwound = std::panic::catch_unwind(|| panic!("of this test"));
        assert!(unwound.is_err());
        assert_eq!(entries(&path).len(), 3);
    }
}
