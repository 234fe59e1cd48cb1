//! What theory predicts without a fitted parameter.
//!
//! - [`chain`]: synchronous rounds on the complete graph, the exact chain. Reference and check; an unsynchronised cluster is
//!   never compared with it.
//! - [`phases`]: fixed interval, random phases, as real nodes run: the growth rate from its eigenvalue equation, and the
//!   spread of one event node by node.
//!
//! A prediction is made only for what the model covers: every strategy but the √-tree, undisturbed or with loss and delay at all nodes.

pub mod chain;
pub mod phases;

use std::time::Duration;

use event_log::plan::network::{Latency, Lognormal, Uniform};
use event_log::plan::{Action, Network, Nodes, Plan, Setting};
use event_log::protocol::{Config, Fanout, Strategy};
use netem::spec::{Delay, Direction, Distribution, Span};

use phases::{How, Model, Probes};

/// The model of `setting` under `plan`.
///
/// # Errors
/// Why there is none, as a sentence for the report.
pub fn model(plan: &Plan, setting: &Setting) -> Result<Model, String> {
    let config: Config = plan.protocol.config()?;
    let how = match config.strategy {
        Strategy::Push { .. } => How::Push,
        Strategy::Pull { .. } => How::Pull,
        // Its counters stop an event when all know it, as a rule: the model lets it be told until then.
        Strategy::PushPull { .. } | Strategy::MedianCounter { .. } => How::PushPull,
        Strategy::Eager { .. } => How::Eager,
        Strategy::SqrtTree { .. } => {
            return Err("No prediction is drawn: the model does not know the √-tree.".to_owned());
        }
    };
    if config.strategy.fanout() == Fanout::Aging {
        return Err(
            "No prediction is drawn: the model does not know fan-outs that grow with an event's age.".to_owned()
        );
    }
    if matches!(config.strategy, Strategy::MedianCounter { .. }) && !config.idle_calls {
        return Err("No prediction is drawn: the model does not know when counters stop an event, and without `idle_calls` a node \
                    calls others for as long as it tells one."
            .to_owned());
    }
    if config.aligned_rounds {
        return Err(
            "No prediction is drawn: the model is of nodes whose rounds begin at random phases, and in this plan all begin \
             together (`aligned_rounds`)."
                .to_owned(),
        );
    }
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let mut model = Model {
        interval_ms: ms(config.gossip_interval),
        how,
        fanout: config.strategy.fanout(),
        idle_calls: config.idle_calls,
        multiplier: (!matches!(config.strategy, Strategy::MedianCounter { .. }))
            .then(|| config.retransmit_multiplier.into()),
        probes_carry: !matches!(config.strategy, Strategy::MedianCounter { .. }),
        forwards_max: config.forwards_max.into(),
        loss: 0.0,
        delay: None,
        probes: Some(Probes {
            period_ms: ms(config.probe_interval),
            retry_ms: ms(config.probe_timeout) / f64::from(config.probe_pings),
            margin_ms: ms(config.probe_timeout_min) / f64::from(config.probe_pings),
        }),
        sync_ms: Some(ms(config.sync_interval)),
    };
    if let Some(network) = setting.network.as_ref().or(plan.network.as_ref()) {
        weather(&mut model, network)
            .map_err(|what| format!("No prediction is drawn for setting \"{}\": {what}.", setting.name))?;
    }
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

/// A latency of at most this share of a gossip interval is taken for none.
const NEGLIGIBLE: f64 = 0.01;

/// Puts a simulated network into the model, as far as it knows such.
fn weather(model: &mut Model, network: &Network) -> Result<(), String> {
    if network.duplicate.value() > 0.0 || !network.reorder.get().is_zero() || network.mtu.is_some() {
        return Err(format!("the model knows latency and loss, not the rest of \"{network}\""));
    }
    model.loss = network.loss.value();
    let direction = Direction::Out;
    let (longest, delay) = match &network.latency {
        Latency::Constant(time) => {
            let (jitter, distribution) = (Span::default(), Distribution::Fixed);
            (time.get(), Some(Delay { mean: *time, jitter, distribution, direction }))
        }
        Latency::Uniform(Uniform { min, max }) => {
            let half = |time: Duration| Span::new(time / 2).expect("half of what is at most a day");
            let (mean, jitter) = (half(min.get() + max.get()), half(max.get() - min.get()));
            (max.get(), Some(Delay { mean, jitter, distribution: Distribution::Uniform, direction }))
        }
        // All but one in a thousand.
        Latency::Lognormal(Lognormal { floor, median, sigma }) => {
            (floor.get() + median.get().mul_f64((3.1 * sigma).exp()), None)
        }
        Latency::Table(quantiles) => (quantiles.last().copied().unwrap_or_default().get(), None),
        Latency::File(_) | Latency::Regions(_) => (Duration::MAX, None),
    };
    if longest.as_secs_f64() * 1e3 <= NEGLIGIBLE * model.interval_ms {
        return Ok(());
    }
    model.delay = delay;
    if delay.is_some() {
        return Ok(());
    }
    Err(format!("the model knows a constant and a uniform latency, or next to none, not \"{}\"", network.latency))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_simulated_network_the_model_takes_what_it_knows_and_refuses_the_rest() {
        let of = |network: &str| {
            let text = format!(
                "name = \"t\"\n[cluster]\nsizes = [2]\n[protocol]\nidle_calls = true\ngossip_interval = \"200ms\"\n[network]\n{network}"
            );
            let plan = Plan::parse("t", &text).expect("a plan");
            model(&plan, &plan.settings[0])
        };
        let uniform = of("latency = { uniform = { min = \"10ms\", max = \"30ms\" } }\nloss = 0.1").expect("known");
        let delay = uniform.delay.expect("20 ms are a tenth of a round");
        assert_eq!((uniform.loss, delay.mean, delay.jitter), (0.1, Span::from_millis(20), Span::from_millis(10)));
        assert_eq!(of("latency = \"1ms\"").expect("next to none").delay, None);
        assert_eq!(
            of("latency = { lognormal = { median = \"100us\", sigma = 0.7 } }").expect("next to none").delay,
            None
        );
        for (network, part) in [
            ("latency = { lognormal = { median = \"20ms\", sigma = 0.7 } }", "lognormal"),
            ("latency = { regions = { between = [[\"1ms\"]] } }", "by 1 regions"),
            ("duplicate = 0.1", "come twice"),
        ] {
            let words = of(network).expect_err(network);
            assert!(words.starts_with("No prediction is drawn") && words.contains(part), "{words}");
        }
    }

    fn of(protocol: &str) -> Result<Model, String> {
        let text = format!("name = \"t\"\n[cluster]\nsizes = [2]\n[protocol]\n{protocol}");
        let plan = Plan::parse("t", &text).expect("a plan");
        model(&plan, &plan.settings[0])
    }

    #[test]
    fn aligned_rounds_are_not_what_the_model_of_random_phases_predicts() {
        let words = of("preset = \"lab\"").expect_err("all begin together");
        assert!(words.contains("random phases") && words.contains("aligned_rounds"), "{words}");
        assert!(of("preset = \"lab\"\naligned_rounds = false").is_ok());
        assert!(of("idle_calls = true\naligned_rounds = true").is_err());
        assert!(of("idle_calls = true").is_ok());
        assert!(of("strategy = \"sqrt-tree\"").expect_err("no model of it").contains("√-tree"));
        let eager = of("strategy = \"eager\"\nfanout = 4").expect("a model");
        assert_eq!((eager.how, eager.fanout), (How::Eager, Fanout::Fixed(4)));
    }
}
