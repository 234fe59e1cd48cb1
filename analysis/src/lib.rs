//! From a log to curves, tables, fits, plots and a report.
//!
//! This crate reads logs and nothing else: no node, no master, no clock. [`load`] turns lines into what happened;
//! [`curves`] and [`metrics`] say what that amounts to; [`fit`] and [`theory`] hold the times against N; [`plot`] and
//! [`report`] show it. Everything random is seeded by the log, so a log has one report. [`compare`] holds two logs
//! against each other, with the statistics in [`twosample`], [`goodness`] any number of them against the model, and [`peers`] this agent's beside
//! another one's. [`laws`] reads the runs of the simulator's kernel instead.

#![forbid(unsafe_code)]

pub mod clock;
pub mod compare;
pub mod curves;
pub mod export;
pub mod fit;
pub mod goodness;
pub mod laws;
pub mod load;
pub mod metrics;
pub mod peers;
pub mod plot;
pub mod report;
pub mod stats;
pub mod study;
pub mod theory;
pub mod twosample;
