//! What theory predicts without a fitted parameter.
//!
//! - [`chain`]: synchronous rounds on the complete graph, the exact chain. Reference and check; an unsynchronised cluster is
//!   never compared with it.
//! - [`phases`]: fixed interval, random phases, as real nodes run: the growth rate from its eigenvalue equation, and the
//!   spread of one event node by node.
//!
//! A prediction is made only for what the model covers: push-pull with idle calls, undisturbed or with loss and delay at all
//! nodes. Probes are in it as one more random call per protocol period; anti-entropy, the retransmit limit and processing
//! time are not.

pub mod chain;
pub mod phases;

use event_log::plan::{Action, Nodes, Plan, Setting};
use event_log::protocol::{Config, Strategy};

use phases::Model;

/// The model of `setting` under `plan`.
///
/// # Errors
/// Why there is none, as a sentence for the report.
pub fn model(plan: &Plan, setting: &Setting) -> Result<Model, String> {
    let config: Config = plan.protocol.config()?;
    let other =
        |name| Err(format!("No prediction is drawn: the model covers push-pull, and this plan's strategy is {name}."));
    let fanout = match config.strategy {
        Strategy::PushPull { fanout } => fanout,
        Strategy::Push { .. } => return other("push"),
        Strategy::Pull { .. } => return other("pull"),
        Strategy::Eager { .. } => return other("eager"),
    };
    if !config.idle_calls {
        return Err(
            "No prediction is drawn: the model is of push-pull in which everybody calls in every round, and this \
             plan does without idle calls."
                .to_owned(),
        );
    }
    let mut model = Model {
        interval_ms: config.gossip_interval.as_secs_f64() * 1e3,
        fanout: u32::from(fanout),
        loss: 0.0,
        delay: None,
        probe_ms: Some(config.probe_interval.as_secs_f64() * 1e3),
    };
    for fault in &setting.faults {
        let lasting = fault.nodes == Nodes::All && fault.at.get().is_zero();
        match fault.action() {
            Ok(Action::Loss(loss)) if lasting && model.loss == 0.0 => model.loss = loss.probability.value(),
            Ok(Action::Delay(delay)) if lasting && model.delay.is_none() => model.delay = Some(delay),
            _ => {
                return Err(format!(
                    "No prediction is drawn for setting \"{}\": the model knows loss and delay at all nodes from the start, \
                     not \"{fault}\".",
                    setting.name
                ));
            }
        }
    }
    Ok(model)
}
