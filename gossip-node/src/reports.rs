//! What goes to the master, while there is one.

use event_log::control::Report;
use tokio::sync::mpsc;
use tracing::warn;

use crate::recorder::Recorder;

/// The way to the master, and how far its records went.
#[derive(Debug, Default)]
pub struct Reports {
    sender: Option<mpsc::Sender<Report>>,
    /// Records below this number went out on this connection.
    sent: u64,
}

impl Reports {
    /// There is a connection: what was not acknowledged goes out again.
    pub fn connected(&mut self, sender: mpsc::Sender<Report>) {
        *self = Self { sender: Some(sender), sent: 0 };
    }

    /// The connection is gone.
    pub fn lost(&mut self) {
        self.sender = None;
    }

    /// Whether there is a connection.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.sender.is_some()
    }

    /// Sends the records that were not sent on this connection before, then that this was all.
    pub fn send_records(&mut self, recorder: &Recorder) {
        let Some(sender) = &self.sender else { return };
        for record in recorder.waiting_from(self.sent) {
            if sender.try_send(Report::Record { record: record.clone() }).is_err() {
                warn!("the master does not take its records");
                return;
            }
            self.sent = record.number + 1;
        }
        self.send(Report::Collected { next: recorder.next() });
    }

    /// Sends a report, if there is a connection.
    pub fn send(&self, report: Report) {
        if let Some(sender) = &self.sender
            && let Err(error) = sender.try_send(report)
        {
            warn!(%error, "a report is lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use event_log::record::What;

    use super::*;

    #[test]
    fn records_go_out_once_on_each_connection_until_they_are_acknowledged() {
        let mut recorder = Recorder::default();
        let mut reports = Reports::default();
        recorder.record(1, What::NodeStopped);
        reports.send_records(&recorder);
        assert!(!reports.is_connected());
        let take = |receiver: &mut mpsc::Receiver<Report>| {
            std::iter::from_fn(|| receiver.try_recv().ok())
                .filter(|report| matches!(report, Report::Record { .. }))
                .count()
        };
        // The second connection begins with the record that the first one sent and nobody acknowledged.
        for _ in 0..2 {
            let (sender, mut receiver) = mpsc::channel(8);
            reports.connected(sender);
            reports.send_records(&recorder);
            assert_eq!(take(&mut receiver), 1);
            recorder.record(2, What::NodeStopped);
            reports.send_records(&recorder);
            assert_eq!(take(&mut receiver), 1, "the new one alone");
            recorder.acknowledge(1);
        }
        reports.lost();
        reports.send(Report::Collected { next: 0 });
        assert!(!reports.is_connected());
    }
}
