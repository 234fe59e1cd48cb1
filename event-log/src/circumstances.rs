//! The circumstances of a run, found out: machine, build, time. The master and the simulator describe themselves alike.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use crate::clock;
use crate::manifest::{Machine, Manifest};
use crate::plan::{Backend, Plan};

/// Environment variables by which the build, or whoever starts the master where there is no checkout (in a container),
/// tells from what it was built.
pub const COMMIT_VARIABLE: &str = "HEARSAY_COMMIT";
/// See [`COMMIT_VARIABLE`]; `true` or `false`.
pub const DIRTY_VARIABLE: &str = "HEARSAY_DIRTY";

/// What the programs were built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Commit, or `unknown`.
    pub commit: String,
    /// True when the checkout differed from the commit.
    pub dirty: bool,
}

impl Build {
    /// What the environment says, at run time or else at build time; otherwise what the checkout says in which the first of
    /// `places` lies that lies in one.
    #[must_use]
    pub fn find(places: &[&Path]) -> Self {
        let variable = |name: &str, built: Option<&str>| {
            std::env::var(name).ok().or_else(|| built.map(str::to_owned)).filter(|value| !value.is_empty())
        };
        if let Some(commit) = variable(COMMIT_VARIABLE, option_env!("HEARSAY_COMMIT")) {
            let dirty = variable(DIRTY_VARIABLE, option_env!("HEARSAY_DIRTY")).is_some_and(|value| value == "true");
            return Self { commit, dirty };
        }
        let mut commits = places.iter().filter_map(|place| Some((place, git(place, &["rev-parse", "HEAD"])?)));
        let Some((place, commit)) = commits.next() else {
            return Self { commit: "unknown".to_owned(), dirty: false };
        };
        // Untracked files count: a plan that was never committed cannot be found again by the commit.
        let dirty = git(place, &["status", "--porcelain"]).is_none_or(|changes| !changes.is_empty());
        Self { commit, dirty }
    }
}

fn git(place: &Path, arguments: &[&str]) -> Option<String> {
    let folder = if place.is_dir() { place } else { place.parent().filter(|p| !p.as_os_str().is_empty())? };
    let output =
        Command::new("git").arg("-C").arg(folder).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = output.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The manifest of a result folder called `name`.
#[must_use]
pub fn describe(name: String, plan: &Plan, backend: Backend, build: Build, started: SystemTime) -> Manifest {
    Manifest {
        schema: crate::SCHEMA,
        name,
        plan_sha256: plan.sha256(),
        seed: plan.seed,
        plan: plan.clone(),
        backend,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: build.commit,
        dirty: build.dirty,
        machine: machine(),
        // All backends of this master run their nodes under the master's own kernel. Were a node to say otherwise, its
        // `ClockOffset` record would bound the error.
        clock_error_ns: 0,
        started: humantime::format_rfc3339_seconds(started).to_string(),
        started_ns: clock::now_ns(),
        trace_hash: None,
        simulation: None,
    }
}

/// `yyyymmdd-hhmmss` in UTC, for the name of a folder.
#[must_use]
pub fn stamp(time: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(time).to_string();
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let (date, clock) = digits.split_at(digits.len().min(8));
    format!("{date}-{clock}")
}

fn machine() -> Machine {
    let uname = rustix::system::uname();
    let memory = rustix::system::sysinfo();
    // The width of the C types differs between machines.
    #[allow(clippy::useless_conversion)]
    let memory_bytes = u64::from(memory.totalram) * u64::from(memory.mem_unit);
    Machine {
        cpu: cpu_model(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
        cores: std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
        memory_bytes,
        kernel: format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
        load: std::fs::read_to_string("/proc/loadavg")
            .ok()
            .and_then(|text| text.split_whitespace().next().map(str::to_owned))
            .unwrap_or_default(),
    }
}

fn cpu_model(cpuinfo: &str) -> String {
    let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
    model.and_then(|line| line.split_once(':')).map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_stamp_is_the_date_and_the_time_in_utc() {
        assert_eq!(stamp(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)), "20231114-221320");
    }

    #[test]
    fn the_cpu_model_is_the_first_one() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: A CPU @ 2 GHz\nmodel name\t: B\n"), "A CPU @ 2 GHz");
        assert_eq!(cpu_model(""), "unknown");
    }

    #[test]
    fn the_machine_has_a_processor_memory_and_a_kernel() {
        let machine = machine();
        assert!(machine.cores >= 1);
        assert!(machine.memory_bytes > 1 << 26, "{machine:?}");
        assert!(machine.kernel.starts_with("Linux "), "{machine:?}");
    }

    #[test]
    fn outside_a_checkout_the_commit_is_unknown_and_within_one_it_is_a_hash() {
        let outside = tempfile::tempdir().expect("a temporary folder");
        if std::env::var_os(COMMIT_VARIABLE).is_some() || option_env!("HEARSAY_COMMIT").is_some() {
            println!("skipped: {COMMIT_VARIABLE} is set and stands above the checkout");
            return;
        }
        assert_eq!(Build::find(&[outside.path()]), Build { commit: "unknown".to_owned(), dirty: false });
        let inside = Path::new(env!("CARGO_MANIFEST_DIR"));
        if git(inside, &["rev-parse", "HEAD"]).is_some() {
            assert_eq!(Build::find(&[outside.path(), inside]).commit.len(), 40);
        }
    }
}
