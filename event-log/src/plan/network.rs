//! The network between simulated nodes, as a plan describes it: the weather that holds everywhere and always, apart from the faults
//! that strike chosen nodes. Real backends have the network that they have.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use netem::spec::{Probability, Span};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Quantiles that a file with more measurements than this is reduced to.
pub const QUANTILES_MAX: usize = 1001;

/// The most regions.
pub const REGIONS_MAX: usize = 64;

/// What is between any two nodes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// How long a datagram is under way.
    pub latency: Latency,
    /// Probability that a datagram is lost.
    #[serde(skip_serializing_if = "is_default")]
    pub loss: Probability,
    /// Probability that a datagram comes twice; each copy takes its own time.
    #[serde(skip_serializing_if = "is_default")]
    pub duplicate: Probability,
    /// Each datagram is late by an even part of this, so that later ones overtake it.
    #[serde(skip_serializing_if = "is_default")]
    pub reorder: Span,
    /// Longer datagrams do not pass, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// Each node's clock is too fast or too slow by so many millionths at most, drawn evenly for each.
    #[serde(skip_serializing_if = "is_default")]
    pub drift_ppm: u32,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A distribution of one-way times. A time alone, `"1ms"`, is a constant.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Latency {
    /// The same for all.
    Constant(Span),
    /// Evenly between the two.
    Uniform(Uniform),
    /// Most quick, some very late.
    Lognormal(Lognormal),
    /// Quantiles at even distances from the least to the greatest, between which it goes straight.
    Table(Vec<Span>),
    /// A file of measured times, one a line, beside the plan: it becomes a table when the plan is loaded, so that the result holds
    /// all that is needed to run it again.
    File(String),
    /// By where the two nodes are: n001 in the first region, n002 in the second, and so on in turn.
    Regions(Regions),
}

impl Default for Latency {
    /// A millisecond: between machines of a data centre with something to do, within an order of magnitude.
    fn default() -> Self {
        Self::Constant(Span::from_millis(1))
    }
}

/// See [`Latency::Uniform`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uniform {
    /// Shortest.
    pub min: Span,
    /// Longest.
    pub max: Span,
}

/// See [`Latency::Lognormal`]: floor + median·exp(sigma·z), z standard normal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lognormal {
    /// What every datagram takes.
    #[serde(default)]
    pub floor: Span,
    /// Half of the datagrams take less than this on top of it.
    pub median: Span,
    /// Spread: 0.5 puts the 99th percentile at 3.2 medians.
    pub sigma: f64,
}

/// See [`Latency::Regions`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regions {
    /// `between[from][to]`: how long from one region to another.
    pub between: Vec<Vec<Latency>>,
}

/// The same as [`Latency`], as a table with one key.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Tagged {
    Constant(Span),
    Uniform(Uniform),
    Lognormal(Lognormal),
    Table(Vec<Span>),
    File(String),
    Regions(Regions),
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Latency;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as \"1ms\", or one of { constant }, { uniform }, { lognormal }, { table }, { file }, { regions }")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Latency, E> {
                text.parse().map(Latency::Constant).map_err(E::custom)
            }
            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Latency, M::Error> {
                Ok(match Tagged::deserialize(MapAccessDeserializer::new(map))? {
                    Tagged::Constant(time) => Latency::Constant(time),
                    Tagged::Uniform(uniform) => Latency::Uniform(uniform),
                    Tagged::Lognormal(lognormal) => Latency::Lognormal(lognormal),
                    Tagged::Table(quantiles) => Latency::Table(quantiles),
                    Tagged::File(path) => Latency::File(path),
                    Tagged::Regions(regions) => Latency::Regions(regions),
                })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Network {
    /// What is wrong with it: the key and a message.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        self.latency.check(true).map_err(|message| ("latency", message))?;
        if self.drift_ppm > 100_000 {
            return Err(("drift_ppm", format!("drift_ppm = {} is more than a tenth (100000)", self.drift_ppm)));
        }
        if self.mtu == Some(0) {
            return Err(("mtu", "mtu = 0 lets nothing pass".to_owned()));
        }
        Ok(())
    }

    /// Puts what files say in the place of their names.
    pub(super) fn resolve(&mut self, folder: &Path) -> Result<(), String> {
        self.latency.resolve(folder)
    }
}

impl Latency {
    fn check(&self, outermost: bool) -> Result<(), String> {
        match self {
            Self::Uniform(Uniform { min, max }) if min > max => {
                Err(format!("uniform: min = {min} is longer than max = {max}"))
            }
            Self::Lognormal(Lognormal { sigma, .. }) if !(0.0..=5.0).contains(sigma) => {
                Err(format!("lognormal: sigma = {sigma} is not a spread (0 to 5)"))
            }
            Self::Table(quantiles) if quantiles.len() < 2 => {
                Err("table: a distribution has two quantiles at least, the least and the greatest time".to_owned())
            }
            Self::Table(quantiles) if !quantiles.is_sorted() => {
                Err("table: quantiles go from the least to the greatest".to_owned())
            }
            Self::Regions(_) if !outermost => Err("regions: a region has no regions within".to_owned()),
            Self::Regions(Regions { between }) => {
                let count = between.len();
                if !(1..=REGIONS_MAX).contains(&count) || between.iter().any(|row| row.len() != count) {
                    return Err(format!("regions: between must be a square of 1 to {REGIONS_MAX} rows"));
                }
                between.iter().flatten().try_for_each(|latency| latency.check(false))
            }
            Self::Constant(_) | Self::Uniform(_) | Self::Lognormal(_) | Self::Table(_) | Self::File(_) => Ok(()),
        }
    }

    fn resolve(&mut self, folder: &Path) -> Result<(), String> {
        match self {
            Self::File(name) => *self = Self::Table(read_times(&folder.join(name))?),
            Self::Regions(Regions { between }) => {
                between.iter_mut().flatten().try_for_each(|latency| latency.resolve(folder))?;
            }
            Self::Constant(_) | Self::Uniform(_) | Self::Lognormal(_) | Self::Table(_) => {}
        }
        Ok(())
    }
}

/// Quantiles of the times in a file: one a line, with its unit (`85us`) or in nanoseconds; `#` begins a comment.
fn read_times(path: &Path) -> Result<Vec<Span>, String> {
    let place = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{place}: {error}"))?;
    let mut times = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let nanoseconds = || Some(Span::new(Duration::from_nanos(line.parse().ok()?)));
        let time = nanoseconds().unwrap_or_else(|| line.parse());
        times.push(time.map_err(|error| format!("{place}:{number}: {error}"))?);
    }
    if times.len() < 2 {
        return Err(format!("{place}: a distribution needs two times at least"));
    }
    times.sort_unstable();
    let last = times.len() - 1;
    if times.len() <= QUANTILES_MAX {
        return Ok(times);
    }
    Ok((0..QUANTILES_MAX).map(|quantile| times[quantile * last / (QUANTILES_MAX - 1)]).collect())
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(time) => write!(f, "{time}"),
            Self::Uniform(Uniform { min, max }) => write!(f, "{min} to {max}"),
            Self::Lognormal(Lognormal { floor, median, sigma }) => {
                if !floor.get().is_zero() {
                    write!(f, "{floor} + ")?;
                }
                write!(f, "lognormal (median {median}, σ {sigma})")
            }
            Self::Table(quantiles) => {
                let middle = quantiles.get(quantiles.len() / 2).copied().unwrap_or_default();
                write!(f, "measured (median {middle})")
            }
            Self::File(name) => write!(f, "measured ({name})"),
            Self::Regions(Regions { between }) => write!(f, "by {} regions", between.len()),
        }
    }
}

impl fmt::Display for Network {
    /// In words, as reports print it: `latency 1ms, loss 1 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "latency {}", self.latency)?;
        if self.loss.value() > 0.0 {
            write!(f, ", loss {} %", super::round(self.loss.value() * 100.0))?;
        }
        if self.duplicate.value() > 0.0 {
            write!(f, ", {} % come twice", super::round(self.duplicate.value() * 100.0))?;
        }
        if !self.reorder.get().is_zero() {
            write!(f, ", disorder up to {}", self.reorder)?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, ", at most {mtu} bytes")?;
        }
        if self.drift_ppm > 0 {
            write!(f, ", clocks up to {} ppm off", self.drift_ppm)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Result<Network, String> {
        let mut network: Network = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        network.resolve(Path::new("/nowhere"))?;
        network.check().map_err(|(key, message)| format!("{key}: {message}"))?;
        Ok(network)
    }

    #[test]
    fn latencies_are_read_as_people_write_them() {
        for (text, words) in [
            ("", "latency 1ms"),
            ("latency = \"85us\"", "latency 85us"),
            ("latency = { constant = \"85us\" }", "latency 85us"),
            ("latency = { uniform = { min = \"1ms\", max = \"3ms\" } }", "latency 1ms to 3ms"),
            (
                "latency = { lognormal = { floor = \"5ms\", median = \"20ms\", sigma = 0.5 } }",
                "latency 5ms + lognormal (median 20ms, σ 0.5)",
            ),
            (
                "latency = { table = [\"1ms\", \"2ms\", \"9ms\"] }\nloss = 0.01",
                "latency measured (median 2ms), loss 1 %",
            ),
            (
                "latency = { regions = { between = [[\"1ms\", \"40ms\"], [{ uniform = { min = \"50ms\", max = \"60ms\" } }, \"1ms\"]] } }",
                "latency by 2 regions",
            ),
            (
                "duplicate = 0.02\nreorder = \"3ms\"\nmtu = 1400\ndrift_ppm = 50",
                "latency 1ms, 2 % come twice, disorder up to 3ms, at most 1400 bytes, clocks up to 50 ppm off",
            ),
        ] {
            let read = network(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(read.to_string(), words);
            let json = serde_json::to_string(&read).expect("plain data");
            assert_eq!(serde_json::from_str::<Network>(&json).expect("what was written"), read, "{json}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        for (text, part) in [
            ("latency = \"soon\"", "\"soon\" is not a time"),
            ("latency = 3", "a time such as \"1ms\""),
            ("latency = { normal = 3 }", "unknown variant `normal`"),
            ("latency = { uniform = { min = \"3ms\", max = \"1ms\" } }", "longer than max"),
            ("latency = { lognormal = { median = \"1ms\", sigma = -1.0 } }", "is not a spread"),
            ("latency = { table = [\"1ms\"] }", "two quantiles"),
            ("latency = { table = [\"2ms\", \"1ms\"] }", "least to the greatest"),
            ("latency = { regions = { between = [[\"1ms\"], [\"1ms\"]] } }", "square"),
            ("latency = { regions = { between = [[{ regions = { between = [[\"1ms\"]] } }]] } }", "no regions within"),
            ("latency = { file = \"there-is-none\" }", "/nowhere/there-is-none"),
            ("loss = 1.4", "not a probability"),
            ("drift_ppm = 100001", "more than a tenth"),
            ("mtu = 0", "lets nothing pass"),
            ("latncy = \"1ms\"", "unknown field `latncy`"),
        ] {
            let error = network(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_of_measurements_becomes_quantiles() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |text: &str| std::fs::write(folder.path().join("times"), text).expect("a file");
        let read = || {
            let mut latency = Latency::File("times".to_owned());
            latency.resolve(folder.path()).map(|()| latency)
        };
        write("# one a line\n3ms\n85us # quick\n\n2000000\n");
        let times = ["85us", "2ms", "3ms"].map(|time| time.parse().expect("a time"));
        assert_eq!(read(), Ok(Latency::Table(times.to_vec())));
        let many: Vec<String> = (0..=5_000_u32).rev().map(|ns| ns.to_string()).collect();
        write(&many.join("\n"));
        let Ok(Latency::Table(quantiles)) = read() else { panic!("the file is good") };
        assert_eq!(quantiles.len(), QUANTILES_MAX);
        let nanos = |quantile: usize| quantiles[quantile].get().as_nanos();
        assert_eq!((nanos(0), nanos(500), nanos(1_000)), (0, 2_500, 5_000));
        write("1ms\nsoon\n");
        assert!(read().is_err_and(|error| error.contains("times:2:") && error.contains("soon")));
        write("1ms\n");
        assert!(read().is_err_and(|error| error.contains("two times")));
    }
}
