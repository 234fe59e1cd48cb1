//! The life of an experiment: grow the cluster, wait until it has converged, run each setting, restore, tear down.
//!
//! What is decided stands apart from what is done. [`convergence`] (who misses whom) and [`knowledge`] (who knows what, who still
//! holds whom for alive) are pure: a function of plan, seed and what the nodes reported; so is who suffers what and who starts an
//! event, which all backends have in common ([`event_log::plan::schedule`], [`event_log::plan::origins`]). [`conductor`] does
//! the talking.

pub mod cluster;
pub mod conductor;
pub mod convergence;
pub mod knowledge;
pub mod run;
