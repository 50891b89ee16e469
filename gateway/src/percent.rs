//! Percent-encoding (RFC 3986 §2.1), for paths, queries and the headers of requests to services.

use std::borrow::Cow;
use std::fmt::Write;

/// A text whose bytes are plain, or `%` and two hexadecimal digits.
pub(crate) fn encode(text: &str, is_plain: impl Fn(u8) -> bool) -> Cow<'_, str> {
    if text.bytes().all(&is_plain) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Cow::Owned(encoded)
}

/// Undoes it. Clients also send tokens as they are: a lone `%` stays.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let decoded = match tail {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        out.push(decoded.map_or(*first, |(high, low)| high << 4 | low));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    out
}
