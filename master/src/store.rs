//! The result folder.
//!
//! ```text
//! <out>/latest                                  → the newest result
//! <out>/<plan>-<backend>-<UTC yyyymmdd-hhmmss>/
//!     records.jsonl                             manifest, then every record
//!     plan.toml                                 the plan as it was given
//!     master.log                                what the master did, for people
//!     nodes/<name>.log                          what each node said, for people
//!     inputs/<name>.<life>.rec                  what each node was given, if that was asked for
//! ```

use std::path::{Path, PathBuf};

use event_log::clock;
pub use event_log::folder::StoreError;
use event_log::folder::{self, RECORDS};
use event_log::manifest::Manifest;
use event_log::record::{Line, MASTER, Record, What};
use event_log::write::Writer;

/// Creates the folder of a result within `out`, with a place for the nodes' logs, and points `latest` to it.
///
/// # Errors
/// [`StoreError`], also when the folder exists already.
pub fn create_folder(out: &Path, name: &str, plan_text: &str) -> Result<PathBuf, StoreError> {
    let folder = folder::create(out, name, plan_text)?;
    let nodes = folder.join("nodes");
    std::fs::create_dir(&nodes).map_err(|source| StoreError { path: nodes, source })?;
    Ok(folder)
}

/// Writes the records of one result.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    writer: Writer,
    run: u32,
    number: u64,
}

impl Store {
    /// Begins `records.jsonl` in `folder`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn create(folder: &Path, manifest: &Manifest) -> Result<Self, StoreError> {
        let path = folder.join(RECORDS);
        let writer = Writer::create(&path, manifest).map_err(|source| StoreError { path: path.clone(), source })?;
        Ok(Self { path, writer, run: 0, number: 0 })
    }

    /// Index of the run to which records belong from now on.
    pub fn begin_run(&mut self, run: u32) {
        self.run = run;
    }

    /// Stores a node's record; false when it was stored before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn node_record(&mut self, node: &str, record: Record) -> Result<bool, StoreError> {
        self.put(&Line { run: self.run, node: node.to_owned(), record })
    }

    /// Stores what the master itself has to tell, stamped now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tell(&mut self, what: What) -> Result<(), StoreError> {
        self.tell_at(clock::now_ns(), what)
    }

    /// As [`Self::tell`], stamped `at_ns` on the master's clock.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tell_at(&mut self, at_ns: u64, what: What) -> Result<(), StoreError> {
        let record = Record { number: self.number, at_ns, what };
        self.number += 1;
        self.put(&Line { run: self.run, node: MASTER.to_owned(), record })?;
        Ok(())
    }

    /// The number of the first record of `node` that is not stored.
    #[must_use]
    pub fn next(&self, node: &str) -> u64 {
        self.writer.next(node)
    }

    /// A node begins a new life and counts from 0.
    pub fn restart(&mut self, node: &str) {
        self.writer.restart(node);
    }

    /// What was stored so far survives the end of this process.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn flush(&mut self) -> Result<(), StoreError> {
        self.writer.flush().map_err(|source| StoreError { path: self.path.clone(), source })
    }

    fn put(&mut self, line: &Line) -> Result<bool, StoreError> {
        self.writer.write(line).map_err(|source| StoreError { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use event_log::circumstances::{Build, describe};
    use event_log::plan::{Backend, Plan};

    use super::*;

    fn manifest() -> Manifest {
        let plan = Plan::parse("p", "name = \"p\"\n[cluster]\nsizes = [2]\n").expect("the plan is valid");
        let build = Build { commit: "unknown".to_owned(), dirty: false };
        describe("p-local-x".to_owned(), &plan, Backend::Local, build, std::time::SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn a_folder_holds_plan_and_records_and_latest_points_to_the_newest() {
        let out = tempfile::tempdir().expect("a temporary folder");
        for name in ["p-local-1", "p-local-2"] {
            let folder = create_folder(out.path(), name, "name = \"p\"").expect("the folder is new");
            assert!(folder.join("nodes").is_dir());
            assert_eq!(fs::read_to_string(out.path().join("latest/plan.toml")).expect("a file"), "name = \"p\"");
            assert_eq!(fs::read_link(out.path().join("latest")).expect("a link"), Path::new(name));
        }
        let again = create_folder(out.path(), "p-local-1", "");
        assert!(again.is_err_and(|error| error.to_string().contains("p-local-1")), "a result is never overwritten");
    }

    #[test]
    fn what_was_flushed_is_read_back_in_order_and_without_repeats() {
        let out = tempfile::tempdir().expect("a temporary folder");
        let folder = create_folder(out.path(), "r", "").expect("the folder is new");
        let mut store = Store::create(&folder, &manifest()).expect("the file is new");
        let record = |number| Record { number, at_ns: 1, what: What::NodeStopped };
        store.tell(What::Warning { text: "w".to_owned() }).expect("written");
        assert!(store.node_record("n001", record(0)).expect("written"));
        assert!(!store.node_record("n001", record(0)).expect("written"), "a repeat is dropped");
        assert_eq!(store.next("n001"), 1);
        store.restart("n001");
        store.begin_run(1);
        assert!(store.node_record("n001", record(0)).expect("written"), "a new life counts from 0");
        store.tell_at(77, What::RunEnded { complete: true }).expect("written");
        store.flush().expect("flushed");
        let log = event_log::read::read(&folder.join("records.jsonl")).expect("the log is valid");
        assert_eq!(log.manifest, manifest_with(&log.manifest));
        let told: Vec<(u32, &str, u64)> =
            log.lines.iter().map(|line| (line.run, line.node.as_str(), line.record.number)).collect();
        assert_eq!(told, [(0, MASTER, 0), (0, "n001", 0), (1, "n001", 0), (1, MASTER, 1)]);
        assert_eq!(log.lines[3].record.at_ns, 77);
    }

    /// The manifest of the test with the stamps and the load of the one that was stored.
    fn manifest_with(stored: &Manifest) -> Manifest {
        Manifest { started_ns: stored.started_ns, machine: stored.machine.clone(), ..manifest() }
    }
}
