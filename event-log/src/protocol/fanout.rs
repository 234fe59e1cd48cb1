//! Laws of fan-outs, as they stand in a plan.

use std::fmt;

use gossip_core::Fanout;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A law of fan-outs: `3`, `"growing"`, `"logarithmic"`, `"aging"` or `{ heavy-tail = 2.5 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FanoutLaw(pub Fanout);

const GROWING: &str = "growing";
const LOGARITHMIC: &str = "logarithmic";
const AGING: &str = "aging";
const HEAVY_TAIL: &str = "heavy-tail";

/// What it may be.
struct Law;

impl<'de> Visitor<'de> for Law {
    type Value = Fanout;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a whole number from 1 to 64, \"{GROWING}\", \"{LOGARITHMIC}\", \"{AGING}\" or {{ {HEAVY_TAIL} = 2.5 }}"
        )
    }

    fn visit_u64<E: Error>(self, fanout: u64) -> Result<Fanout, E> {
        let fixed = u8::try_from(fanout).ok().map(Fanout::Fixed);
        fixed.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(fanout), &self))
    }

    fn visit_i64<E: Error>(self, fanout: i64) -> Result<Fanout, E> {
        let fixed = u8::try_from(fanout).ok().map(Fanout::Fixed);
        fixed.ok_or_else(|| E::invalid_value(Unexpected::Signed(fanout), &self))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Fanout, E> {
        match name {
            GROWING => Ok(Fanout::Growing),
            LOGARITHMIC => Ok(Fanout::Logarithmic),
            AGING => Ok(Fanout::Aging),
            _ => Err(E::invalid_value(Unexpected::Str(name), &self)),
        }
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fanout, M::Error> {
        let key: String = map.next_key()?.ok_or_else(|| M::Error::invalid_length(0, &self))?;
        if key != HEAVY_TAIL {
            return Err(M::Error::unknown_field(&key, &[HEAVY_TAIL]));
        }
        let beta: f64 = map.next_value()?;
        if let Some(second) = map.next_key::<String>()? {
            return Err(M::Error::unknown_field(&second, &[HEAVY_TAIL]));
        }
        let hundredths = beta * 100.0;
        // The core counts in hundredths; what is between them would be another exponent than the plan says.
        if !(0.0..65_536.0).contains(&hundredths) || (hundredths - hundredths.round()).abs() > 1e-6 {
            return Err(M::Error::custom(format!(
                "{HEAVY_TAIL} = {beta} is not an exponent from 1.5 to 10 in hundredths"
            )));
        }
        Ok(Fanout::HeavyTail { beta_hundredths: hundredths.round() as u16 })
    }
}

impl<'de> Deserialize<'de> for FanoutLaw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Law).map(Self)
    }
}

impl Serialize for FanoutLaw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Fanout::Fixed(fanout) => serializer.serialize_u8(fanout),
            Fanout::Growing => serializer.serialize_str(GROWING),
            Fanout::Logarithmic => serializer.serialize_str(LOGARITHMIC),
            Fanout::Aging => serializer.serialize_str(AGING),
            Fanout::HeavyTail { beta_hundredths } => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(HEAVY_TAIL, &(f64::from(beta_hundredths) / 100.0))?;
                map.end()
            }
        }
    }
}

impl fmt::Display for FanoutLaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Fanout::Fixed(fanout) => write!(f, "{fanout}"),
            Fanout::Growing => f.write_str(GROWING),
            Fanout::Logarithmic => f.write_str(LOGARITHMIC),
            Fanout::Aging => f.write_str(AGING),
            Fanout::HeavyTail { beta_hundredths } => {
                write!(f, "heavy tail, β = {}", f64::from(beta_hundredths) / 100.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Plan {
        fanout: FanoutLaw,
    }

    #[test]
    fn every_law_has_its_form_and_comes_back_from_it() {
        for (law, form) in [
            (Fanout::Fixed(3), "fanout = 3\n"),
            (Fanout::Growing, "fanout = \"growing\"\n"),
            (Fanout::Logarithmic, "fanout = \"logarithmic\"\n"),
            (Fanout::Aging, "fanout = \"aging\"\n"),
            (Fanout::HeavyTail { beta_hundredths: 250 }, "[fanout]\nheavy-tail = 2.5\n"),
            (Fanout::HeavyTail { beta_hundredths: 229 }, "[fanout]\nheavy-tail = 2.29\n"),
        ] {
            let plan = Plan { fanout: FanoutLaw(law) };
            assert_eq!(toml::to_string(&plan).unwrap(), form);
            assert_eq!(toml::from_str::<Plan>(form).unwrap(), plan);
        }
    }

    #[test]
    fn another_form_is_refused_in_words() {
        for (form, words) in [
            ("fanout = 300", "a whole number from 1 to 64"),
            ("fanout = -1", "a whole number from 1 to 64"),
            ("fanout = \"much\"", "\"growing\", \"logarithmic\", \"aging\""),
            ("fanout = { tail = 2.5 }", "heavy-tail"),
            ("fanout = { heavy-tail = 2.5, cap = 3 }", "unknown field `cap`"),
            ("fanout = { heavy-tail = 2.505 }", "hundredths"),
            ("fanout = { heavy-tail = -1.0 }", "heavy-tail = -1"),
            ("fanout = {}", "heavy-tail"),
        ] {
            let refused = toml::from_str::<Plan>(form).expect_err(form).to_string();
            assert!(refused.contains(words), "{form}: {refused}");
        }
    }
}
