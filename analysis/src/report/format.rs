//! Numbers as people read them.

use crate::stats::Interval;

/// A dash for what is not there.
pub const NONE: &str = "–";

/// What stands for an infinite time.
pub const NEVER: &str = "not reached";

/// Milliseconds: three significant digits or all before the point.
#[must_use]
pub fn ms(value: f64) -> String {
    if value.is_infinite() { NEVER.to_owned() } else { significant(value) }
}

/// A number with about three significant digits.
#[must_use]
pub fn significant(value: f64) -> String {
    let size = value.abs();
    let text = if size >= 99.95 || size == 0.0 {
        format!("{value:.0}")
    } else if size >= 9.995 {
        format!("{value:.1}")
    } else if size >= 0.9995 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    };
    minus(&text)
}

/// An interval in brackets.
#[must_use]
pub fn interval(interval: Interval) -> String {
    let end = |value: f64| if value.is_infinite() { "∞".to_owned() } else { significant(value) };
    format!("[{}, {}]", end(interval.low), end(interval.high))
}

/// A share as a percentage. 100 % and 0 % only when it is exactly that.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return NONE.to_owned();
    }
    let share = 100.0 * part as f64 / whole as f64;
    let text = if part == whole {
        "100".to_owned()
    } else if part == 0 {
        "0".to_owned()
    } else if share > 99.95 {
        format!("{:.3}", share.min(99.999))
    } else {
        format!("{share:.1}")
    };
    format!("{text} %")
}

/// A count with thin groups: 12 345.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && digits.len() > 4 {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Bytes in a unit that fits (decimal multiples).
#[must_use]
pub fn bytes(value: f64) -> String {
    match value {
        v if v >= 1e9 => format!("{} GB", significant(v / 1e9)),
        v if v >= 1e6 => format!("{} MB", significant(v / 1e6)),
        v if v >= 1e3 => format!("{} kB", significant(v / 1e3)),
        v => format!("{} B", significant(v)),
    }
}

/// An optional value, or a dash.
#[must_use]
pub fn or_none<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), text)
}

/// The typographic minus sign.
fn minus(text: &str) -> String {
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_significant_digits() {
        for (value, text) in [
            (1234.4, "1234"),
            (99.96, "100"),
            (12.34, "12.3"),
            (1.234, "1.23"),
            (0.1234, "0.123"),
            (-5.0, "−5.00"),
            (0.0, "0"),
        ] {
            assert_eq!(significant(value), text);
        }
        assert_eq!(ms(f64::INFINITY), "not reached");
    }

    #[test]
    fn a_percentage_is_never_rounded_to_all_or_nothing() {
        assert_eq!(percent(10, 10), "100 %");
        assert_eq!(percent(99_999, 100_000), "99.999 %");
        assert_eq!(percent(9_999_999, 10_000_000), "99.999 %");
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(0, 3), "0 %");
        assert_eq!(percent(0, 0), "–");
    }

    #[test]
    fn counts_are_grouped_from_five_digits_on() {
        assert_eq!(count(1234), "1234");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
    }
}
