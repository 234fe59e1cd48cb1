//! The kernel against other methods: every comparison is one of distributions and prints its p-value (`--nocapture`).
//!
//! - `laws`: chain against dynamic programming (`exact`), and the occupancy's regimes against its law and each other;
//! - `agreement`: chain against every node, every node against naive simulations (`brute`), threads against each other;
//! - `asymptotics`: the coefficients of the theorems;
//! - `reference`: the table of an independent prototype;
//! - `lab`: the real core in virtual time; `lab_counter`: the same of its median counter.

#![forbid(unsafe_code)]

mod agreement;
mod asymptotics;
mod brute;
mod exact;
mod lab;
mod lab_counter;
mod laws;
mod reference;
mod stats;
