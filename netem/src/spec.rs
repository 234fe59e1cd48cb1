//! The TOML form of the faults, checked while it is read: a value of one of these types is valid.

use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What is wrong with a fault as it was written.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SpecError {
    /// A probability outside 0 to 1, or not a number.
    #[error("{0} is not a probability (0 to 1)")]
    Probability(f64),
    /// A time that cannot be read.
    #[error("{text:?} is not a time such as \"200ms\", \"1.5s\" or \"2m\": {reason}")]
    Time {
        /// The text as written.
        text: String,
        /// Why it cannot be read.
        reason: String,
    },
    /// A time above the limit of one day, which no experiment needs and which would overflow sums of delays.
    #[error("{} is longer than one day", humantime::format_duration(*.0))]
    TooLong(Duration),
}

/// A probability in 0..=1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Probability(f64);

impl Probability {
    /// Checks the range.
    ///
    /// # Errors
    /// [`SpecError::Probability`] when `value` is outside 0..=1 or not a number.
    pub fn new(value: f64) -> Result<Self, SpecError> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(SpecError::Probability(value)) }
    }

    /// The number.
    #[must_use]
    pub fn value(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Probability {
    type Error = SpecError;
    fn try_from(value: f64) -> Result<Self, SpecError> {
        Self::new(value)
    }
}

impl From<Probability> for f64 {
    fn from(value: Probability) -> Self {
        value.0
    }
}

/// A length of time of at most one day, written as people write it: `"200ms"`, `"1.5s"`, `"1s 500ms"`, `"2m"`. A number
/// needs its unit (only `"0"` does without); `m` is a minute, `M` would be a month and is refused as too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(Duration);

impl Span {
    const MAX: Duration = Duration::from_secs(86_400);

    /// Checks the limit of one day.
    ///
    /// # Errors
    /// [`SpecError::TooLong`].
    pub fn new(value: Duration) -> Result<Self, SpecError> {
        if value <= Self::MAX { Ok(Self(value)) } else { Err(SpecError::TooLong(value)) }
    }

    /// A number of milliseconds (at most one day: more is cut to it).
    #[must_use]
    pub const fn from_millis(millis: u32) -> Self {
        Self(Duration::from_millis(if millis > 86_400_000 { 86_400_000 } else { millis as u64 }))
    }

    /// The length of time.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl TryFrom<String> for Span {
    type Error = SpecError;
    fn try_from(text: String) -> Result<Self, SpecError> {
        text.parse()
    }
}

impl core::str::FromStr for Span {
    type Err = SpecError;
    fn from_str(text: &str) -> Result<Self, SpecError> {
        let time = humantime::parse_duration(text)
            .map_err(|error| SpecError::Time { text: text.to_owned(), reason: error.to_string() })?;
        Self::new(time)
    }
}

impl From<Span> for String {
    fn from(value: Span) -> Self {
        value.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

/// Which way a datagram goes, seen from the node that judges it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The node sends it.
    #[default]
    Out,
    /// The node receives it.
    In,
}

/// Each datagram is lost with the same probability, independently of all others (Bernoulli loss).
///
/// With the default direction `out` a link between two impaired nodes loses a datagram once, at its sender.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// Probability that one datagram is lost.
    pub probability: Probability,
    /// On which side of the node the datagrams are lost.
    #[serde(default)]
    pub direction: Direction,
}

/// How the extra delay of a datagram is distributed around its mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// Always the mean; `jitter` must be zero.
    #[default]
    Fixed,
    /// Uniform on mean − jitter ..= mean + jitter.
    Uniform,
    /// Normal with standard deviation `jitter`, cut off at zero.
    Normal,
}

/// Each datagram is held back for a random time.
///
/// Delays are independent, so that datagrams overtake each other whenever the jitter exceeds their distance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delay {
    /// Mean one-way delay.
    pub mean: Span,
    /// Half width (uniform) or standard deviation (normal); zero for fixed.
    #[serde(default)]
    pub jitter: Span,
    /// Shape of the distribution.
    #[serde(default)]
    pub distribution: Distribution,
    /// On which side of the node the datagrams are held back.
    #[serde(default)]
    pub direction: Direction,
}

/// The next `count` datagrams are dropped ("do not accept the next packet").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropNext {
    /// How many.
    pub count: u32,
    /// Incoming ones unless told otherwise.
    #[serde(default = "incoming")]
    pub direction: Direction,
}

fn incoming() -> Direction {
    Direction::In
}

/// Nothing is received and nothing is sent for a while; then the node is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sleep {
    /// For how long.
    pub duration: Span,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, micros) in [
            ("200ms", 200_000),
            ("1.5s", 1_500_000),
            ("1s 500ms", 1_500_000),
            ("0.5ms", 500),
            ("500µs", 500),
            ("2m", 120_000_000),
            ("5 s", 5_000_000),
            ("0s", 0),
            ("1d", 86_400_000_000),
        ] {
            assert_eq!(text.parse::<Span>().map(Span::get), Ok(Duration::from_micros(micros)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "value was empty"),
            ("5", "time unit needed"),
            ("-1s", "expected number"),
            ("fast", "expected number"),
            ("3 parsecs", "unknown time unit"),
            ("1.5.5s", "invalid character"),
        ] {
            let error = text.parse::<Span>().expect_err(text).to_string();
            assert!(error.starts_with(&format!("{text:?} is not a time such as")), "{error}");
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!("1d 1s".parse::<Span>(), Err(SpecError::TooLong(Duration::from_secs(86_401))));
        // "M" is the parser's month, an easy slip for a minute: the limit of a day catches it.
        assert!(matches!("1M".parse::<Span>(), Err(SpecError::TooLong(_))));
    }

    #[test]
    fn a_time_is_written_so_that_it_can_be_read_again() {
        for nanos in [0, 1, 999, 1_500_000, 1_500_000_000, 86_400_000_000_000] {
            let span = Span::new(Duration::from_nanos(nanos)).expect("within a day");
            assert_eq!(span.to_string().parse(), Ok(span), "{span}");
        }
    }

    #[test]
    fn a_probability_is_between_0_and_1_inclusive() {
        for value in [0.0, 0.1, 1.0] {
            assert_eq!(Probability::new(value).map(Probability::value), Ok(value));
        }
        for value in [-0.1, 1.4, 1.000_001, f64::INFINITY] {
            assert_eq!(Probability::new(value), Err(SpecError::Probability(value)));
        }
        assert!(Probability::new(f64::NAN).is_err());
        assert_eq!(Probability::new(1.4).expect_err("above 1").to_string(), "1.4 is not a probability (0 to 1)");
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let loss: Loss = toml::from_str("probability = 0.1").expect("a loss");
        assert_eq!(loss.direction, Direction::Out);
        let delay: Delay = toml::from_str("mean = \"20ms\"").expect("a delay");
        assert_eq!((delay.jitter.get(), delay.distribution), (Duration::ZERO, Distribution::Fixed));
        let next: DropNext = toml::from_str("count = 1").expect("a drop_next");
        assert_eq!(next.direction, Direction::In);
    }
}
