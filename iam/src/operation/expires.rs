//! When something ends by itself, as a caller says it.

use crate::refused::Refused;
use crate::times;

/// The longest life of what expires, in milliseconds: ten years.
const MAX_LIFE_MS: u64 = 3_653 * 86_400_000;

/// Reads the end of something. What cannot be read is refused: it never means "never".
pub(super) fn read(text: &str, field: &str, now_ms: u64) -> Result<u64, Refused> {
    let invalid = |rule: &str| Refused::Invalid(format!("{field} must be {rule}"));
    let expires = times::parse(text)
        .ok_or_else(|| invalid("a time with offset, like 2030-01-31T12:00:00+00:00"))?;
    if expires <= now_ms || expires - now_ms > MAX_LIFE_MS {
        return Err(invalid("in the future, and at most ten years away"));
    }
    Ok(expires)
}
