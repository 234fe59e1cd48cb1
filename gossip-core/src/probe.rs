//! Probing: one member per protocol period (SWIM §3.1, §4.3; Nack after Lifeguard).
//!
//! ```text
//!   period begins        probe timeout                      period ends
//!        |--------------------|-----------------------------------|
//!   Ping to target       no Ack: PingReq to k helpers        no Ack: suspect the target
//!                        a helper whose own Ping fails says Nack
//! ```
//! The Ping is repeated every quarter of the probe timeout until it is answered or the period ends: a lost datagram is no
//! reason to suspect anybody, and where nothing is lost and round trips are shorter than that nothing is repeated (not in the
//! papers). Timeout and period are multiplied by the local health score + 1 (see `awareness`).

use alloc::vec::Vec;

use crate::members::Slot;
use crate::time::Instant;

/// The probe of the running period.
#[derive(Debug, Clone)]
pub(crate) struct Probe<A> {
    pub(crate) target: Slot,
    pub(crate) addr: A,
    pub(crate) seq: u32,
    pub(crate) sent: Instant,
    pub(crate) acked: bool,
    /// Who was asked to help.
    pub(crate) helpers: Vec<A>,
    /// Who of them said Nack.
    pub(crate) nacks: Vec<A>,
}

impl<A: Copy + Eq> Probe<A> {
    pub(crate) fn new(target: Slot, addr: A, seq: u32, now: Instant) -> Self {
        Self { target, addr, seq, sent: now, acked: false, helpers: Vec::new(), nacks: Vec::new() }
    }

    /// Whether an answer from `from` can be believed.
    pub(crate) fn expects(&self, from: &A) -> bool {
        self.addr == *from || self.helpers.contains(from)
    }

    pub(crate) fn on_nack(&mut self, from: A) {
        if self.helpers.contains(&from) && !self.nacks.contains(&from) {
            self.nacks.push(from);
        }
    }

    /// Helpers that said nothing at all.
    pub(crate) fn silent_helpers(&self) -> u8 {
        (self.helpers.len() - self.nacks.len()) as u8
    }
}

/// A probe that somebody asked this node to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relay<A> {
    pub(crate) seq: u32,
    pub(crate) target: A,
    pub(crate) asker: A,
    pub(crate) asker_seq: u32,
    /// When the asker gets its Nack; `None` when it has had it.
    pub(crate) nack: Option<Instant>,
    /// Until when an Ack is still passed on.
    pub(crate) expires: Instant,
}

/// Pings within one probe timeout.
pub(crate) const PINGS_PER_TIMEOUT: u32 = 4;

/// Most probes that a node makes for others at a time; more requests are refused and counted.
pub(crate) const RELAYS_MAX: usize = 64;
