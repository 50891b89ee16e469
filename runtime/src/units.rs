//! Settings that carry their unit: `"30s"`, `"64KiB"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why a text is not a value with a unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}")]
pub struct InvalidUnit {
    text: String,
    what: &'static str,
}

/// A length of time: a whole number and `ms`, `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period(pub Duration);

/// A number of bytes: a whole number and `B`, `KiB`, `MiB` or `GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bytes(pub usize);

const PERIODS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

impl FromStr for Period {
    type Err = InvalidUnit;
    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let ms = parse(text, &PERIODS, "a whole number with ms, s, m, h or d, like \"30s\"")?;
        Ok(Self(Duration::from_millis(ms)))
    }
}

impl FromStr for Bytes {
    type Err = InvalidUnit;
    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        const WHAT: &str = "a whole number with B, KiB, MiB or GiB, like \"64KiB\"";
        let bytes = parse(text, &SIZES, WHAT)?;
        usize::try_from(bytes)
            .map(Self)
            .map_err(|_| InvalidUnit { text: text.to_owned(), what: WHAT })
    }
}

fn parse(text: &str, units: &[(&str, u64)], what: &'static str) -> Result<u64, InvalidUnit> {
    let error = || InvalidUnit { text: text.to_owned(), what };
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text[digits.len()..].trim_start();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
    let number: u64 = digits.parse().map_err(|_| error())?;
    number.checked_mul(*factor).ok_or_else(error)
}

fn format(value: u64, units: &[(&'static str, u64)]) -> String {
    // The largest unit that divides the value; 0 takes the smallest.
    let exact = units.iter().rev().find(|(_, factor)| value > 0 && value.is_multiple_of(*factor));
    let (name, factor) = exact.unwrap_or(&units[0]);
    format!("{}{name}", value / factor)
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &PERIODS))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format(self.0 as u64, &SIZES))
    }
}

/// Conversions that serde asks for.
macro_rules! through_text {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = InvalidUnit;
            fn try_from(text: String) -> Result<Self, InvalidUnit> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )*};
}
through_text!(Period, Bytes);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_and_write_with_their_unit() {
        for text in ["0ms", "250ms", "30s", "10m", "36h", "2d"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
        assert_eq!("90s".parse::<Period>().unwrap().0, Duration::from_secs(90));
        for text in ["0B", "1000B", "64KiB", "50MiB", "1GiB"] {
            assert_eq!(text.parse::<Bytes>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn values_without_a_unit_are_refused() {
        for text in ["", "30", "s", "-1s", "1.5s", "30 sec", "99999999999999999999s", "1d1h"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
        for text in ["64", "64kb", "64K", "18446744073709551615GiB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
        let error = "30".parse::<Period>().unwrap_err().to_string();
        assert_eq!(error, "\"30\" is not a whole number with ms, s, m, h or d, like \"30s\"");
    }
}
