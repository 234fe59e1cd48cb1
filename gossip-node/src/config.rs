//! What the agent is told: flags, environment variables, a TOML file, in this order of precedence.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use event_log::protocol::Protocol;
use gossip_core::Keyring;
use netem::spec::Span;
use serde::Deserialize;
use thiserror::Error;

use crate::keyring;

/// The longest name of a node, bytes.
const NAME_MAX: usize = 64;

/// The longest that a recording of inputs becomes unless another bound is given, MiB.
const RECORD_MAX_MIB: u32 = 64;

/// A member of a gossip cluster.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "gossip-node", version, about)]
pub struct Args {
    /// Name of the node in logs and records [default: the address].
    #[arg(long, env = "HEARSAY_NAME")]
    pub name: Option<String>,
    /// UDP address to bind; the other nodes know this node by it, so it names an interface's address, not 0.0.0.0.
    #[arg(long, env = "HEARSAY_BIND", value_name = "IP:PORT")]
    pub bind: Option<SocketAddr>,
    /// Gossip addresses of members to join through, separated by commas.
    #[arg(long, env = "HEARSAY_JOIN", value_delimiter = ',', value_name = "IP:PORT,...")]
    pub join: Option<Vec<SocketAddr>>,
    /// TCP address of the master of an experiment, from which this node takes orders.
    #[arg(long, env = "HEARSAY_MASTER", value_name = "IP:PORT")]
    pub master: Option<SocketAddr>,
    /// End when there was no master for so long [default: 30s].
    #[arg(long, env = "HEARSAY_ORPHAN_TIMEOUT", value_name = "TIME")]
    pub orphan_timeout: Option<Span>,
    /// Seed of all randomness, the fault models' included [default: from the system].
    #[arg(long, env = "HEARSAY_SEED")]
    pub seed: Option<u64>,
    /// Bytes of metadata that every member can read.
    #[arg(long, env = "HEARSAY_METADATA")]
    pub metadata: Option<String>,
    /// A file that keeps what this node needs to come back after a restart; it is read at the start if it is there.
    #[arg(long, env = "HEARSAY_SNAPSHOT", value_name = "FILE")]
    pub snapshot: Option<PathBuf>,
    /// Time between two writes of that file; it is also written at the goodbye [default: 30s].
    #[arg(long, env = "HEARSAY_SNAPSHOT_INTERVAL", value_name = "TIME")]
    pub snapshot_interval: Option<Span>,
    /// A file with the keys that datagrams are sealed with, one a line: an id (0 to 255) and 64 hexadecimal digits. The first
    /// seals, all open. Only its owner may be able to read it. It is read again at SIGHUP.
    #[arg(long, env = "HEARSAY_KEYRING", value_name = "FILE")]
    pub keyring: Option<PathBuf>,
    /// Records all that the node is given and gives back, for `gossip-sim inputs`: into this file, or into a new file NAME.LIFE.rec
    /// in this folder. It holds payloads and metadata as they are, but no keys.
    #[arg(long, env = "HEARSAY_RECORD", value_name = "FILE|FOLDER")]
    pub record: Option<PathBuf>,
    /// The longest that a recording becomes; what comes after is left out [default: 64].
    #[arg(long, env = "HEARSAY_RECORD_MAX", value_name = "MIB")]
    pub record_max: Option<u32>,
    /// The protocol's configuration as JSON, in the form of the table `protocol` of a plan.
    #[arg(long, env = "HEARSAY_PROTOCOL", value_name = "JSON")]
    pub protocol: Option<String>,
    /// What to log: error, warn, info, debug, trace, or a filter such as gossip_node=debug [default: info].
    #[arg(long, env = "HEARSAY_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// A TOML file with the same keys (and protocol as a table); flags and environment come before it.
    #[arg(long, env = "HEARSAY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The TOML file. Keys as the flags, with `_` for `-`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    name: Option<String>,
    bind: Option<SocketAddr>,
    join: Option<Vec<SocketAddr>>,
    master: Option<SocketAddr>,
    orphan_timeout: Option<Span>,
    seed: Option<u64>,
    metadata: Option<String>,
    snapshot: Option<PathBuf>,
    snapshot_interval: Option<Span>,
    keyring: Option<PathBuf>,
    record: Option<PathBuf>,
    record_max: Option<u32>,
    protocol: Option<Protocol>,
    log: Option<String>,
}

/// A complete, checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentConfig {
    /// Name of the node.
    pub name: String,
    /// Address to bind.
    pub bind: SocketAddr,
    /// Whom to join through at the start.
    pub join: Vec<SocketAddr>,
    /// Where the master is.
    pub master: Option<SocketAddr>,
    /// How long to live without it.
    pub orphan_timeout: Duration,
    /// Seed of all randomness.
    pub seed: u64,
    /// Metadata.
    pub metadata: Vec<u8>,
    /// Where to keep a snapshot.
    pub snapshot: Option<PathBuf>,
    /// How often to write it.
    pub snapshot_interval: Duration,
    /// The file of the keyring, and what is in it.
    pub keyring: Option<(PathBuf, Keyring)>,
    /// Where to record all inputs.
    pub record: Option<PathBuf>,
    /// The most bytes of that.
    pub record_max: u64,
    /// The core's configuration.
    pub protocol: gossip_core::Config,
    /// The log filter.
    pub log: String,
}

/// What is wrong with the configuration, and where it was said.
#[derive(Debug, Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    place: String,
    message: String,
}

fn wrong(place: impl Into<String>, message: impl std::fmt::Display) -> ConfigError {
    ConfigError { place: place.into(), message: message.to_string() }
}

impl Args {
    /// Reads the file, fills in the defaults, and checks the whole.
    ///
    /// # Errors
    /// The first thing that is wrong; the text names the flag or the file and line.
    pub fn resolve(self) -> Result<AgentConfig, ConfigError> {
        let file = self.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let bind = self.bind.or(file.bind).ok_or_else(|| wrong("--bind", "is needed: the address that others know"))?;
        if bind.ip().is_unspecified() {
            return Err(wrong(
                "--bind",
                format!("{bind} names no interface: the others know this node by this address"),
            ));
        }
        if bind.port() == 0 {
            return Err(wrong("--bind", format!("{bind}: the port must not be 0, the others need to know it")));
        }
        let name = self.name.or(file.name).unwrap_or_else(|| bind.to_string());
        if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
            return Err(wrong("--name", format!("{name:?} must be 1 to {NAME_MAX} printable bytes")));
        }
        let join = self.join.or(file.join).unwrap_or_default();
        if join.len() > gossip_core::SEEDS_MAX {
            return Err(wrong("--join", format!("{} addresses are more than {}", join.len(), gossip_core::SEEDS_MAX)));
        }
        let protocol = match self.protocol {
            Some(json) => serde_json::from_str::<Protocol>(&json).map_err(|error| wrong("--protocol", error))?,
            None => file.protocol.unwrap_or_default(),
        };
        let protocol = protocol.config().map_err(|error| wrong("protocol", error))?;
        let metadata = self.metadata.or(file.metadata).unwrap_or_default().into_bytes();
        if metadata.len() > protocol.metadata_max {
            return Err(wrong(
                "--metadata",
                format!("{} bytes are more than {}", metadata.len(), protocol.metadata_max),
            ));
        }
        let snapshot = self.snapshot.or(file.snapshot);
        if let Some(directory) = snapshot.as_deref().and_then(directory).filter(|directory| !directory.is_dir()) {
            return Err(wrong("--snapshot", format!("there is no directory {}", directory.display())));
        }
        if let Some(path) = snapshot.as_deref().filter(|path| path.is_dir()) {
            return Err(wrong("--snapshot", format!("{} is a directory, not a file", path.display())));
        }
        let snapshot_interval =
            self.snapshot_interval.or(file.snapshot_interval).map_or(Duration::from_secs(30), Span::get);
        if snapshot_interval < Duration::from_secs(1) {
            return Err(wrong("--snapshot-interval", format!("{snapshot_interval:?} is less than 1s")));
        }
        let keyring = self
            .keyring
            .or(file.keyring)
            .map(|path| match keyring::read(&path) {
                Ok(keyring) => Ok((path, keyring)),
                Err(error) => Err(wrong("--keyring", error)),
            })
            .transpose()?;
        let record = self.record.or(file.record);
        if let Some(folder) = record.as_deref().and_then(directory).filter(|folder| !folder.is_dir()) {
            return Err(wrong("--record", format!("there is no directory {}", folder.display())));
        }
        let record_max = self.record_max.or(file.record_max).unwrap_or(RECORD_MAX_MIB);
        if record_max == 0 {
            return Err(wrong("--record-max", "0 MiB are no room for a recording"));
        }
        Ok(AgentConfig {
            keyring,
            record,
            record_max: u64::from(record_max) << 20,
            snapshot,
            snapshot_interval,
            name,
            bind,
            join,
            master: self.master.or(file.master),
            orphan_timeout: self.orphan_timeout.or(file.orphan_timeout).map_or(Duration::from_secs(30), Span::get),
            seed: self.seed.or(file.seed).unwrap_or_else(|| RandomState::new().build_hasher().finish()),
            metadata,
            protocol,
            log: self.log.or(file.log).unwrap_or_else(|| "info".to_owned()),
        })
    }
}

/// Where a file is, if its path says so.
fn directory(path: &Path) -> Option<&Path> {
    path.parent().filter(|parent| !parent.as_os_str().is_empty())
}

fn read_file(path: &Path) -> Result<File, ConfigError> {
    let place = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| wrong(place.clone(), error))?;
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        wrong(format!("{place}:{line}"), error.message())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<AgentConfig, String> {
        Args::try_parse_from(std::iter::once("gossip-node").chain(line.split_whitespace()))
            .map_err(|error| error.to_string())?
            .resolve()
            .map_err(|error| error.to_string())
    }

    #[test]
    fn errors_name_the_flag_and_what_is_wrong() {
        for (line, parts) in [
            ("", &["--bind", "needed"][..]),
            ("--bind 0.0.0.0:7400", &["--bind", "interface"]),
            ("--bind 127.0.0.1:0", &["--bind", "port"]),
            ("--bind localhost", &["--bind", "localhost"]),
            ("--bind 127.0.0.1:1 --name \u{7}", &["--name"]),
            ("--bind 127.0.0.1:1 --protocol {\"fanout\":0}", &["protocol", "fanout", "1 to 64"]),
            ("--bind 127.0.0.1:1 --protocol {\"fan\":1}", &["--protocol", "fan"]),
            ("--bind 127.0.0.1:1 --orphan-timeout soon", &["--orphan-timeout", "soon"]),
            ("--bind 127.0.0.1:1 --config /does/not/exist", &["/does/not/exist"]),
            ("--bind 127.0.0.1:1 --snapshot /does/not/exist", &["--snapshot", "/does/not"]),
            ("--bind 127.0.0.1:1 --snapshot /", &["--snapshot", "directory"]),
            ("--bind 127.0.0.1:1 --snapshot s --snapshot-interval 10ms", &["--snapshot-interval", "1s"]),
            ("--bind 127.0.0.1:1 --keyring /does/not/exist", &["--keyring", "/does/not/exist"]),
            ("--bind 127.0.0.1:1 --record /does/not/exist", &["--record", "/does/not"]),
            ("--bind 127.0.0.1:1 --record r --record-max 0", &["--record-max", "0 MiB"]),
            ("--bind 127.0.0.1:1 --unknown", &["--unknown"]),
        ] {
            let error = parse(line).expect_err(line);
            assert!(parts.iter().all(|part| error.contains(part)), "{line}: {error}");
        }
    }

    #[test]
    fn flags_come_before_the_file_and_the_file_before_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.toml");
        std::fs::write(&path, "bind = \"127.0.0.1:1\"\nname = \"file\"\nseed = 3\n[protocol]\nfanout = 2\n").unwrap();
        let config = parse(&format!("--config {} --name flag", path.display())).unwrap();
        assert_eq!((config.name.as_str(), config.seed, config.bind.port()), ("flag", 3, 1));
        assert_eq!(config.protocol.strategy.fanout(), gossip_core::Fanout::Fixed(2));
        assert_eq!(config.orphan_timeout, Duration::from_secs(30));

        std::fs::write(&path, "bind = \"127.0.0.1:1\"\n\nnmae = \"typo\"\n").unwrap();
        let error = parse(&format!("--config {}", path.display())).unwrap_err();
        assert!(error.contains("node.toml:3") && error.contains("nmae"), "{error}");
    }
}
