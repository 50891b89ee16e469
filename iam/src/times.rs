//! How long tokens live; times as clients write and read them: RFC 3339 with an offset.

use std::time::Duration;

use jiff::Timestamp;

/// How long a session lasts, in seconds; no token lives longer.
pub const LIFE: u64 = 3_600;
/// The least that a retired key must verify: as long as a token lives that was issued while the
/// key was being retired.
pub const MIN_GRACE: Duration = Duration::from_secs(LIFE + 60);

/// A time for a record. The offset is written `+00:00`, which every published client can read.
pub fn format(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let text = time.unwrap_or_default().to_string();
    match text.strip_suffix('Z') {
        Some(local) => format!("{local}+00:00"),
        None => text,
    }
}

/// A time in nanoseconds since 1970 for the audit file: UTC, all nine digits.
pub fn format_ns(ns: u64) -> String {
    format!("{:.9}", Timestamp::from_nanosecond(ns.into()).unwrap_or_default())
}

/// A time from a request, in milliseconds since 1970; one without an offset is none.
pub fn parse(text: &str) -> Option<u64> {
    let time: Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_carry_an_offset_both_ways() {
        assert_eq!(format(0), "1970-01-01T00:00:00+00:00");
        assert_eq!(format(1_800_000_000_123), "2027-01-15T08:00:00.123+00:00");
        assert_eq!(format_ns(1_800_000_000_123_000_001), "2027-01-15T08:00:00.123000001Z");
        assert_eq!(parse(&format(1_800_000_000_123)), Some(1_800_000_000_123));
        assert_eq!(parse("2027-01-15T10:00:00+02:00"), Some(1_800_000_000_000));
        assert_eq!(parse("2027-01-15T08:00:00Z"), Some(1_800_000_000_000));
        for bad in ["", "never", "2027-01-15", "2027-01-15T08:00:00", "1960-01-01T00:00:00Z"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
