//! The folder of a result: its name, the plan as it was given, and the link to the newest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The result could not be written.
#[derive(Debug, Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct StoreError {
    /// What.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Creates the folder of a result within `out` and points `latest` to it.
///
/// # Errors
/// [`StoreError`], also when the folder exists already.
pub fn create(out: &Path, name: &str, plan_text: &str) -> Result<PathBuf, StoreError> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |source| StoreError { path, source }
    };
    fs::create_dir_all(out).map_err(fail(out))?;
    let folder = out.join(name);
    fs::create_dir(&folder).map_err(fail(&folder))?;
    let plan = folder.join(PLAN);
    fs::write(&plan, plan_text).map_err(fail(&plan))?;
    point_latest(out, name).map_err(fail(&out.join("latest")))?;
    Ok(folder)
}

/// A link is replaced by renaming a new one over it, so that a reader never finds none.
fn point_latest(out: &Path, name: &str) -> io::Result<()> {
    let fresh = out.join(format!(".latest-{}", std::process::id()));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(name, &fresh)?;
    fs::rename(&fresh, out.join("latest"))
}

/// The file of the records in a result folder.
pub const RECORDS: &str = "records.jsonl";

/// The folder of the recordings of what the nodes were given, `<node>.<life>.rec`, in a result folder.
pub const INPUTS: &str = "inputs";

/// The file of the plan as it was given in a result folder.
pub const PLAN: &str = "plan.toml";
