//! What the agent sends and receives, counted by the kernel; and the loss of datagrams, done by it: Serf has no fault models.
//!
//! A table of nftables in this node's own network namespace. Only there: in a namespace that several agents share the counts of one
//! would be those of all.

use std::io;
use std::process::{Command, Stdio};

const TABLE: &str = "serf-node";

/// The table of one agent's gossip port.
#[derive(Debug)]
pub(crate) struct Wire;

/// Datagrams (UDP), segments (TCP, of push-pull) and bytes of both from the IP header on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Sent: packets, bytes.
    pub(crate) sent: (u64, u64),
    /// Received: packets, bytes.
    pub(crate) received: (u64, u64),
}

/// IP and UDP headers. TCP's are longer: what is taken off here is less than they are, in Serf's disfavour by 12 bytes a segment.
const HEADERS: u64 = 28;

impl Wire {
    /// Counts what goes through `port` from now on.
    ///
    /// # Errors
    /// When nft is not there or refuses.
    pub(crate) fn install(port: u16) -> io::Result<Self> {
        let both = "meta l4proto { tcp, udp } th";
        // One that a killed life left in this namespace would count twice.
        nft(&format!(
            "table inet {TABLE}
             delete table inet {TABLE}
             table inet {TABLE} {{
               counter sent {{ }}
               counter received {{ }}
               chain out {{ type filter hook output priority 0; {both} sport {port} counter name sent; {both} dport {port} th sport != {port} counter name sent; }}
               chain in {{ type filter hook input priority 0; {both} dport {port} counter name received; {both} sport {port} th dport != {port} counter name received; }}
               chain loss {{ type filter hook input priority 10; }}
             }}"
        ))?;
        Ok(Self)
    }

    /// Loses datagrams from now on, on their way in, as often as this.
    ///
    /// # Errors
    /// When nft refuses.
    pub(crate) fn lose(&self, port: u16, probability: f64) -> io::Result<()> {
        let of_a_million = (probability * 1e6).round() as u32;
        nft(&format!(
            "flush chain inet {TABLE} loss\nadd rule inet {TABLE} loss udp dport {port} numgen random mod 1000000 < {of_a_million} drop"
        ))
    }

    /// Loses none.
    ///
    /// # Errors
    /// When nft refuses.
    pub(crate) fn heal(&self) -> io::Result<()> {
        nft(&format!("flush chain inet {TABLE} loss"))
    }

    /// The counts.
    ///
    /// # Errors
    /// When nft does not tell.
    pub(crate) fn counts(&self) -> io::Result<Counts> {
        let out = Command::new("nft").args(["-j", "list", "counters", "table", "inet", TABLE]).output()?;
        read_counts(&out.stdout).ok_or_else(|| io::Error::other(String::from_utf8_lossy(&out.stderr).into_owned()))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = nft(&format!("delete table inet {TABLE}"));
    }
}

fn read_counts(json: &[u8]) -> Option<Counts> {
    let list: serde_json::Value = serde_json::from_slice(json).ok()?;
    let count = |name: &str| {
        let counters = list["nftables"].as_array()?.iter().filter_map(|item| item.get("counter"));
        let counter = counters.into_iter().find(|counter| counter["name"] == name)?;
        let (packets, bytes) = (counter["packets"].as_u64()?, counter["bytes"].as_u64()?);
        Some((packets, bytes.saturating_sub(packets * HEADERS)))
    };
    Some(Counts { sent: count("sent")?, received: count("received")? })
}

fn nft(script: &str) -> io::Result<()> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    io::Write::write_all(&mut child.stdin.take().expect("it was piped"), script.as_bytes())?;
    let out = child.wait_with_output()?;
    if out.status.success() { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&out.stderr).into_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_as_nft_prints_them() {
        let json = br#"{"nftables": [{"metainfo": {"version": "1.0.6"}},
            {"counter": {"family": "inet", "name": "sent", "table": "serf-node", "handle": 2, "packets": 10, "bytes": 1280}},
            {"counter": {"family": "inet", "name": "received", "table": "serf-node", "handle": 3, "packets": 0, "bytes": 0}}]}"#;
        assert_eq!(read_counts(json), Some(Counts { sent: (10, 1000), received: (0, 0) }));
        assert_eq!(read_counts(b"Error: no such table"), None);
    }
}
