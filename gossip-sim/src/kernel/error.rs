//! What can be wrong with a request to the kernel: always the caller's fault, found before anything is simulated.

use super::strategy::Strategy;

/// Why a [`Spec`](super::Spec) cannot be simulated in the way that was asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum KernelError {
    /// The loss is not a probability below 1.
    #[error("loss = {0} is not a probability from 0 to below 1; at 1 nothing ever arrives")]
    Loss(f64),
    /// A cluster has at least two nodes.
    #[error("{0} nodes: somebody must be there to be told, so at least 2")]
    TooFew(u64),
    /// More nodes than the method can hold.
    #[error("{nodes} nodes are more than the {max} that {method} can take for {strategy}")]
    TooMany {
        /// Asked for.
        nodes: u64,
        /// Greatest number.
        max: u64,
        /// In words.
        method: &'static str,
        /// The strategy asked for.
        strategy: Strategy,
    },
    /// The strategy's state is more than a few counts.
    #[error("{0} has no exact chain, since its future does not depend on counts alone; use the method \"nodes\"")]
    NotACount(Strategy),
    /// A parameter of the strategy is out of its range.
    #[error("{what} = {value} is out of range: {range}")]
    Parameter {
        /// Its name.
        what: &'static str,
        /// As given.
        value: f64,
        /// What would be right, in words.
        range: &'static str,
    },
}
