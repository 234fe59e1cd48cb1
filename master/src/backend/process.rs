//! Processes on this machine, found again after the master was killed: each has a file with its process id and its start
//! time, so that a process id that was given to another process since is never killed.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::process::{Child, Command};

use super::{BackendError, Instance};

/// A process that shall end gets so long before it is killed.
const END_LIMIT: Duration = Duration::from_secs(5);

/// The folder in which an instance notes what it has started, locked as long as its master lives.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    /// Held for its lock.
    _lock: fs::File,
}

impl StateFolder {
    /// Opens and locks the folder of `instance`.
    ///
    /// # Errors
    /// When another master holds it, or when it cannot be used.
    pub fn open(instance: &Instance) -> Result<Self, BackendError> {
        let base = base_folder()?;
        Self::open_in(&base, instance)
    }

    /// As [`Self::open`], below `base`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_in(base: &Path, instance: &Instance) -> Result<Self, BackendError> {
        let path = base.join(instance.as_str());
        let pids = path.join("pids");
        let fail = |why: io::Error| BackendError::new(format!("use {}", pids.display()), why);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&pids).map_err(fail)?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|why| BackendError::new(format!("open {}", lock_path.display()), why))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            let why = match error {
                rustix::io::Errno::WOULDBLOCK => {
                    "another master is running under this name: wait for its end, or give another name with --instance"
                        .to_owned()
                }
                other => other.to_string(),
            };
            BackendError::new(format!("take over instance {:?} ({})", instance.as_str(), lock_path.display()), why)
        })?;
        Ok(Self { path, _lock: lock })
    }

    /// A folder for what is needed for a moment; emptied, so that a killed master's remains go.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self) -> Result<PathBuf, BackendError> {
        let path = self.path.join("scratch");
        let fail = |why: io::Error| BackendError::new(format!("use {}", path.display()), why);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
            _ => {}
        }
        fs::create_dir(&path).map_err(fail)?;
        Ok(path)
    }

    fn pid_file(&self, name: &str) -> PathBuf {
        self.path.join("pids").join(name)
    }

    fn note(&self, name: &str, pid: u32) -> io::Result<()> {
        let start = start_time(pid).ok_or_else(|| io::Error::other("it ended at once"))?;
        fs::write(self.pid_file(name), format!("{pid} {start}\n"))
    }

    fn forget(&self, name: &str) {
        let _ = fs::remove_file(self.pid_file(name));
    }

    /// Kills what an earlier master left behind; returns the names of what was still running.
    ///
    /// # Errors
    /// When the folder cannot be read or a process cannot be killed.
    pub fn sweep(&self) -> Result<Vec<String>, BackendError> {
        let folder = self.path.join("pids");
        let fail = |why: io::Error| BackendError::new(format!("look for leftovers in {}", folder.display()), why);
        let mut killed = Vec::new();
        for entry in fs::read_dir(&folder).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let noted = parse_note(&fs::read_to_string(&path).unwrap_or_default());
            if let Some((pid, start)) = noted
                && kill_verified(pid, start)
                    .map_err(|why| BackendError::new(format!("kill process {pid} ({name}) of an earlier run"), why))?
            {
                killed.push(name);
            }
            fs::remove_file(&path).map_err(fail)?;
        }
        killed.sort_unstable();
        Ok(killed)
    }
}

/// Below `XDG_RUNTIME_DIR`, or else in the temporary folder under a name that holds the user's id. The latter is open to
/// everybody, so a folder that belongs to somebody else is refused.
fn base_folder() -> Result<PathBuf, BackendError> {
    let user = rustix::process::geteuid().as_raw();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
    let path = runtime.map_or_else(|| PathBuf::from(format!("/tmp/hearsay-{user}")), |dir| dir.join("hearsay"));
    let fail = |why: io::Error| BackendError::new(format!("use {}", path.display()), why);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(fail)?;
    let owner = fs::symlink_metadata(&path).map_err(fail)?;
    if owner.uid() != user || !owner.is_dir() || owner.mode() & 0o022 != 0 {
        let why = "others own it or may write to it: set XDG_RUNTIME_DIR to a folder of your own";
        return Err(BackendError::new(format!("use {}", path.display()), why));
    }
    Ok(path)
}

fn parse_note(text: &str) -> Option<(u32, u64)> {
    let (pid, start) = text.trim().split_once(' ')?;
    Some((pid.parse().ok()?, start.parse().ok()?))
}

/// When the process began, in clock ticks since the kernel did. Together with the process id it names a process for good.
/// None for a process that is gone, or dead and only not yet buried.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets and may itself hold brackets and spaces.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Kills process `pid` if it is the one that began at `start`; true when it was.
fn kill_verified(pid: u32, start: u64) -> io::Result<bool> {
    let Some(fd) = open_verified(pid, start)? else { return Ok(false) };
    match pidfd_send_signal(&fd, Signal::KILL) {
        Ok(()) => {}
        Err(rustix::io::Errno::SRCH) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    // Its addresses are free when it is gone; a pidfd becomes readable then.
    let mut poll = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: 5, tv_nsec: 0 };
    rustix::event::poll(&mut poll, Some(&limit))?;
    Ok(true)
}

/// Kills these processes now.
///
/// # Errors
/// When one cannot be killed.
pub fn kill_all(pids: impl Iterator<Item = u32>) -> Result<(), BackendError> {
    for pid in pids {
        if let Some(start) = start_time(pid) {
            kill_verified(pid, start).map_err(|why| BackendError::new(format!("kill process {pid}"), why))?;
        }
    }
    Ok(())
}

/// A handle to the process, which stays with this process whatever becomes of its id.
fn open_verified(pid: u32, start: u64) -> io::Result<Option<OwnedFd>> {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    let fd = match pidfd_open(id, PidfdFlags::empty()) {
        Ok(fd) => fd,
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok((start_time(pid) == Some(start)).then_some(fd))
}

/// The processes that this master has started.
#[derive(Debug)]
pub struct Processes {
    state: StateFolder,
    logs: PathBuf,
    running: BTreeMap<String, Child>,
}

impl Processes {
    /// What they say goes to `logs/<name>.log`.
    #[must_use]
    pub fn new(state: StateFolder, logs: PathBuf) -> Self {
        Self { state, logs, running: BTreeMap::new() }
    }

    /// Starts `command` as `name`, in a process group of its own, so that a Ctrl-C in the terminal reaches the master
    /// alone. One that was started under this name before is ended first.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn start(&mut self, name: &str, mut command: Command) -> Result<(), BackendError> {
        if let Some(mut before) = self.running.remove(name) {
            end(&mut before).await;
            self.state.forget(name);
        }
        let path = self.logs.join(format!("{name}.log"));
        let fail = |why: io::Error| BackendError::new(format!("start {name}"), why);
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.map_err(|why| BackendError::new(format!("open {}", path.display()), why))?;
        // The agent also reads its settings from the environment. What the user has there is meant for agents of their own.
        for (variable, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"HEARSAY_")) {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(fail)?).stderr(log).process_group(0);
        let child = command.spawn().map_err(|why| {
            let program = command.as_std().get_program().to_string_lossy().into_owned();
            BackendError::new(format!("start {name} with {program}"), why)
        })?;
        if let Some(pid) = child.id() {
            // One that has ended already is found by `ended`.
            let _ = self.state.note(name, pid);
        }
        self.running.insert(name.to_owned(), child);
        Ok(())
    }

    /// Kills `name` and waits until it is gone.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn kill(&mut self, name: &str) -> Result<(), BackendError> {
        let Some(child) = self.running.get_mut(name) else {
            return Err(BackendError::new(format!("kill {name}"), "it was not started"));
        };
        child.kill().await.map_err(|why| BackendError::new(format!("kill {name}"), why))?;
        self.running.remove(name);
        self.state.forget(name);
        Ok(())
    }

    /// Those that have ended, and how.
    pub fn ended(&mut self) -> Vec<(String, String)> {
        let mut ended = Vec::new();
        for (name, child) in &mut self.running {
            if let Ok(Some(status)) = child.try_wait() {
                ended.push((name.clone(), format!("its process ended with {status}{}", last_words(&self.logs, name))));
            }
        }
        ended
    }

    /// Ends all of them: those that do not end by themselves in a moment are killed.
    pub async fn stop_all(&mut self) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(1);
        for child in self.running.values_mut() {
            let _ = tokio::time::timeout_at(deadline, child.wait()).await;
        }
        for child in self.running.values_mut() {
            let _ = child.start_kill();
        }
        for (name, mut child) in std::mem::take(&mut self.running) {
            let _ = child.wait().await;
            self.state.forget(&name);
        }
    }
}

impl Drop for Processes {
    /// Where `stop_all` was not reached (a panic), nothing keeps running.
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            let _ = child.start_kill();
        }
    }
}

async fn end(child: &mut Child) {
    if tokio::time::timeout(END_LIMIT, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// The last line of a node's log, for an error text.
fn last_words(logs: &Path, name: &str) -> String {
    let text = fs::read_to_string(logs.join(format!("{name}.log"))).unwrap_or_default();
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .map(|line| format!("; its last words: {line}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> Instance {
        Instance::parse("unit").expect("the name is valid")
    }

    fn sleeper() -> Command {
        let mut command = Command::new("sleep");
        command.arg("60");
        command
    }

    #[tokio::test]
    async fn a_process_is_started_found_and_killed() {
        let base = tempfile::tempdir().expect("a temporary folder");
        let state = StateFolder::open_in(base.path(), &instance()).expect("the folder is free");
        let mut processes = Processes::new(state, base.path().to_owned());
        processes.start("n001", sleeper()).await.expect("sleep is there");
        let pid = processes.running["n001"].id().expect("it runs");
        assert!(start_time(pid).is_some());
        assert!(processes.ended().is_empty());
        processes.kill("n001").await.expect("it runs");
        assert!(start_time(pid).is_none());
        assert!(processes.kill("n001").await.is_err(), "it cannot be killed twice");
    }

    #[tokio::test]
    async fn what_a_killed_master_left_behind_is_swept_and_a_reused_id_is_not() {
        let base = tempfile::tempdir().expect("a temporary folder");
        let mut left = sleeper().spawn().expect("sleep is there");
        let mut stranger = sleeper().spawn().expect("sleep is there");
        let (left_pid, stranger_pid) = (left.id().expect("it runs"), stranger.id().expect("it runs"));
        let state = StateFolder::open_in(base.path(), &instance()).expect("the folder is free");
        state.note("n001", left_pid).expect("written");
        // The stranger got a process id that once was ours: the start time tells them apart.
        let start = start_time(stranger_pid).expect("it runs");
        fs::write(state.pid_file("n002"), format!("{stranger_pid} {}\n", start - 1)).expect("written");
        fs::write(state.pid_file("n003"), "garbage").expect("written");
        assert_eq!(state.sweep().expect("the folder can be read"), ["n001"]);
        assert!(!left.wait().await.expect("it was ours").success());
        assert!(stranger.try_wait().expect("it is ours").is_none(), "the stranger lives");
        stranger.kill().await.expect("it is ours");
        assert!(state.sweep().expect("the folder can be read").is_empty(), "nothing is left to sweep");
    }

    #[test]
    fn one_instance_has_one_master() {
        let base = tempfile::tempdir().expect("a temporary folder");
        let first = StateFolder::open_in(base.path(), &instance()).expect("the folder is free");
        let second = StateFolder::open_in(base.path(), &instance());
        assert!(second.is_err_and(|error| error.to_string().contains("--instance")));
        drop(first);
        assert!(StateFolder::open_in(base.path(), &instance()).is_ok(), "the lock ends with its master");
    }

    #[tokio::test]
    async fn a_process_that_ends_by_itself_tells_its_last_words() {
        let base = tempfile::tempdir().expect("a temporary folder");
        let state = StateFolder::open_in(base.path(), &instance()).expect("the folder is free");
        let mut processes = Processes::new(state, base.path().to_owned());
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such flag >&2; exit 3"]);
        processes.start("n001", command).await.expect("sh is there");
        let limit = tokio::time::Instant::now() + Duration::from_secs(10);
        let mut ended = processes.ended();
        while ended.is_empty() && tokio::time::Instant::now() < limit {
            tokio::time::sleep(Duration::from_millis(10)).await;
            ended = processes.ended();
        }
        assert_eq!(ended.len(), 1);
        assert!(ended[0].1.contains("exit status: 3") && ended[0].1.ends_with("no such flag"), "{ended:?}");
        processes.stop_all().await;
    }
}
