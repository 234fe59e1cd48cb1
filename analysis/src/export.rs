//! The numbers as CSV, for those who want to plot them themselves.

use std::path::Path;

use crate::curves::audience;
use crate::metrics::times::SHARE_NAMES;
use crate::study::Study;

/// Writes `curves.csv`: one row for each node that learns of an event, in the order of learning. `informed` counts the nodes
/// that know from `time_s` on, the origin and nodes that slept or went included.
///
/// # Errors
/// When the file cannot be written.
pub fn curves(study: &Study, path: &Path) -> Result<(), csv::Error> {
    let mut out = csv::Writer::from_path(path)?;
    out.write_record(["run", "size", "setting", "event", "time_s", "informed"])?;
    for (run, metrics) in study.experiment.runs.iter().zip(&study.metrics) {
        for curve in &metrics.curves {
            for (place, ms) in curve.all_ms.iter().enumerate() {
                out.write_record([
                    &run.index.to_string(),
                    &run.key.size.to_string(),
                    &run.key.setting,
                    &curve.event.to_string(),
                    &format!("{:.9}", ms / 1e3),
                    &(place + 1).to_string(),
                ])?;
            }
        }
    }
    out.flush().map_err(csv::Error::from)
}

/// Writes `times.csv`: one row per event. A time that was never reached is an empty cell.
///
/// # Errors
/// When the file cannot be written.
pub fn times(study: &Study, path: &Path) -> Result<(), csv::Error> {
    let mut out = csv::Writer::from_path(path)?;
    let mut head: Vec<String> =
        ["run", "size", "setting", "event", "key", "origin", "expected", "informed", "asleep", "duplicates"]
            .map(str::to_owned)
            .to_vec();
    head.extend(SHARE_NAMES.iter().map(|name| format!("{name}_s")));
    out.write_record(&head)?;
    for (run, metrics) in study.experiment.runs.iter().zip(&study.metrics) {
        for ((event, curve), times) in run.events.iter().zip(&metrics.curves).zip(&metrics.times.events) {
            let mut row = vec![
                run.index.to_string(),
                run.key.size.to_string(),
                run.key.setting.clone(),
                event.index.to_string(),
                event.key.0.clone(),
                study.experiment.stays[event.origin].name.clone(),
                curve.expected.to_string(),
                curve.reached_ms.len().to_string(),
                audience(&study.experiment, run, event).asleep.len().to_string(),
                event.duplicates.to_string(),
            ];
            row.extend(times.iter().map(|ms| if ms.is_finite() { format!("{:.9}", ms / 1e3) } else { String::new() }));
            out.write_record(&row)?;
        }
    }
    out.flush().map_err(csv::Error::from)
}
