//! Local health (Lifeguard, LHA-Probe): a node that is itself in trouble takes its time before it accuses others.

use core::time::Duration;

/// The Local Health Multiplier. The score is 0 for a healthy node and grows to `max` with bad signs; timeouts and the
/// protocol period are multiplied by score + 1 (LHA-Probe).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Awareness {
    score: u8,
}

impl Awareness {
    pub(crate) const fn new() -> Self {
        Self { score: 0 }
    }

    /// A probe was answered in time: score − 1.
    pub(crate) fn on_probe_success(&mut self) {
        self.score = self.score.saturating_sub(1);
    }

    /// A probe failed. Helpers that were asked and said nothing at all (no Ack, no Nack) point at this node: score + their
    /// number. With no helper asked: score + 1.
    pub(crate) fn on_probe_failure(&mut self, helpers: u8, silent: u8, max: u8) {
        let bad = if helpers == 0 { 1 } else { silent };
        self.score = self.score.saturating_add(bad).min(max);
    }

    /// This node had to refute a suspicion about itself: score + 1.
    pub(crate) fn on_refute(&mut self, max: u8) {
        self.score = self.score.saturating_add(1).min(max);
    }

    /// This node was stalled: its own timers were served far too late. Score + 1 (not in the paper).
    pub(crate) fn on_stall(&mut self, max: u8) {
        self.score = self.score.saturating_add(1).min(max);
    }

    /// No more than `max` from now on.
    pub(crate) fn limit(&mut self, max: u8) {
        self.score = self.score.min(max);
    }

    pub(crate) fn score(self) -> u8 {
        self.score
    }

    /// `span` × (score + 1).
    pub(crate) fn scale(self, span: Duration) -> Duration {
        span.saturating_mul(u32::from(self.score) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_follows_lifeguards_list_and_keeps_its_bounds() {
        let mut awareness = Awareness::new();
        awareness.on_probe_success();
        assert_eq!(awareness.score(), 0);
        awareness.on_probe_failure(3, 2, 8);
        assert_eq!(awareness.score(), 2);
        awareness.on_probe_failure(3, 0, 8);
        assert_eq!(awareness.score(), 2, "all helpers answered: the target is to blame");
        awareness.on_probe_failure(0, 0, 8);
        awareness.on_refute(8);
        assert_eq!(awareness.score(), 4);
        assert_eq!(awareness.scale(Duration::from_millis(500)), Duration::from_millis(2500));
        awareness.on_probe_failure(16, 16, 8);
        assert_eq!(awareness.score(), 8);
        awareness.on_probe_success();
        assert_eq!(awareness.score(), 7);
    }
}
