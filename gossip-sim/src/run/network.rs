//! From a plan's words about the network to the simulator's.

use std::sync::Arc;

use event_log::plan::network as plan;

use crate::network::latency::Regions;
use crate::{Latency, Network};

/// The network that a plan describes. The drift of clocks is the nodes' and not in it.
///
/// # Errors
/// What a checked plan does not have: a file that was not read, a matrix that is not square.
pub fn network(words: &plan::Network) -> Result<Network, String> {
    Ok(Network {
        latency: latency(&words.latency)?,
        loss: words.loss.value(),
        duplicate: words.duplicate.value(),
        reorder: words.reorder.get(),
        mtu: words.mtu.map_or(usize::MAX, usize::from),
        corrupt: 0.0,
        truncate: 0.0,
    })
}

fn latency(words: &plan::Latency) -> Result<Latency, String> {
    Ok(match words {
        plan::Latency::Constant(time) => Latency::Constant(time.get()),
        plan::Latency::Uniform(uniform) => Latency::Uniform { min: uniform.min.get(), max: uniform.max.get() },
        plan::Latency::Lognormal(plan::Lognormal { floor, median, sigma }) => {
            Latency::Lognormal { floor: floor.get(), median: median.get(), sigma: *sigma }
        }
        plan::Latency::Table(quantiles) => Latency::Table(quantiles.iter().map(|time| time.get()).collect()),
        plan::Latency::File(name) => return Err(format!("the latencies in {name} were not read")),
        plan::Latency::Regions(plan::Regions { between }) => {
            let row = |row: &Vec<plan::Latency>| row.iter().map(latency).collect::<Result<Vec<_>, _>>();
            let between = between.iter().map(row).collect::<Result<Vec<_>, _>>()?;
            Latency::Regions(Arc::new(Regions::new(Vec::new(), between).map_err(str::to_owned)?))
        }
    })
}
