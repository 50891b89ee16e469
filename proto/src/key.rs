//! The form of an API key: `tg_`, 34 random base62 characters, 6 of checksum.
//!
//! The checksum lets scanners find leaked keys and lets the gateway refuse junk without a
//! look-up. It is not security.

/// What every key begins with.
pub const PREFIX: &str = "tg_";
/// The number of random characters: at least 202 bits.
pub const RANDOM_LENGTH: usize = 34;
/// The digits of base62, in ascending order.
pub const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const CHECKSUM_LENGTH: usize = 6;
const LENGTH: usize = PREFIX.len() + RANDOM_LENGTH + CHECKSUM_LENGTH;
/// TrustGraph's form: `tg_` and 24 bytes in base64url.
const LEGACY_LENGTH: usize = 35;

/// What the form of a key says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Ours, with a right checksum.
    Current,
    /// TrustGraph's form, which has none.
    Legacy,
    /// Begins like a key and cannot be one, unless an operator chose it as bootstrap token.
    Other,
    /// Has the length of ours and a wrong checksum: never a key.
    Broken,
    /// Does not begin like a key.
    NotAKey,
}

/// Tells what a text could be.
pub fn shape(text: &str) -> Shape {
    let Some(body) = text.strip_prefix(PREFIX) else { return Shape::NotAKey };
    match text.len() {
        LENGTH if body.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            let (unsigned, checksum) = text.split_at(LENGTH - CHECKSUM_LENGTH);
            let right = checksum.as_bytes() == checksum_of(unsigned);
            if right { Shape::Current } else { Shape::Broken }
        }
        LENGTH => Shape::Broken,
        LEGACY_LENGTH if body.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) => {
            Shape::Legacy
        }
        _ => Shape::Other,
    }
}

/// A key from its random characters, each below 62.
pub fn format(random: &[u8; RANDOM_LENGTH]) -> String {
    let mut key = String::with_capacity(LENGTH);
    key.push_str(PREFIX);
    key.extend(random.iter().map(|digit| self::digit(*digit)));
    let checksum = checksum_of(&key);
    key.extend(checksum.map(char::from));
    key
}

/// The digit of base62 for a number below 62.
pub fn digit(value: u8) -> char {
    char::from(ALPHABET[usize::from(value) % ALPHABET.len()])
}

fn checksum_of(text: &str) -> [u8; CHECKSUM_LENGTH] {
    let mut rest = crc32(text.as_bytes());
    let mut digits = [0; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

/// CRC-32 (IEEE 802.3), bit by bit: 37 bytes once per authentication.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vectors_hold() {
        for (key, crc) in [
            ("tg_0123456789ABCDEFGHIJabcdefghijKLMN0irfT2", 662_949_572),
            ("tg_Zz9Yy8Xx7Ww6Vv5Uu4Tt3Ss2Rr1Qq0Pp9O0sgggZ", 808_096_007),
        ] {
            assert_eq!(crc32(&key.as_bytes()[..37]), crc);
            assert_eq!(shape(key), Shape::Current);
        }
    }

    #[test]
    fn a_formatted_key_is_current_and_one_wrong_character_breaks_it() {
        let key = format(&std::array::from_fn(|n| u8::try_from(n).unwrap()));
        assert_eq!((key.len(), shape(&key)), (43, Shape::Current));
        for at in 3..key.len() {
            let mut wrong = key.clone().into_bytes();
            wrong[at] = if wrong[at] == b'z' { b'y' } else { b'z' };
            assert_eq!(shape(&String::from_utf8(wrong).unwrap()), Shape::Broken, "{at}");
        }
    }

    #[test]
    fn other_forms_are_told_apart() {
        assert_eq!(shape(&format!("tg_{}", "-_aZ09aa".repeat(4))), Shape::Legacy);
        assert_eq!(shape("tg_an-operators-own-bootstrap-token"), Shape::Legacy);
        assert_eq!(shape("tg_an-operators-own-bootstrap-token-1"), Shape::Other);
        assert_eq!(shape("eyJ.a.b"), Shape::NotAKey);
        assert_eq!(shape(""), Shape::NotAKey);
    }
}
