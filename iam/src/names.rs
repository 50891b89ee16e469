//! The rules for names that people choose.
//!
//! A username is 1 to 64 of `[a-z0-9._@+-]` after folding, and unique by its folded form. As the
//! allowed set is ASCII, folding is ASCII lower-casing and everything else is refused: Unicode
//! look-alikes never get as far as a normalisation that could map them onto somebody's name.

use std::fmt;

/// Why a name cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(&'static str);

/// A username: as typed, and as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username {
    typed: String,
    folded: String,
}

impl Username {
    /// Reads a username.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let folded = text.to_ascii_lowercase();
        let allowed = |b: u8| {
            b.is_ascii_lowercase()
                || b.is_ascii_digit()
                || matches!(b, b'.' | b'_' | b'@' | b'+' | b'-')
        };
        if !(1..=64).contains(&folded.len()) || !folded.bytes().all(allowed) {
            return Err(InvalidName(
                "username must be 1 to 64 letters and digits of ASCII or . _ @ + -",
            ));
        }
        Ok(Self { typed: text.to_owned(), folded })
    }

    /// As it was typed.
    pub fn typed(&self) -> &str {
        &self.typed
    }

    /// As it is compared.
    pub fn folded(&self) -> &str {
        &self.folded
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

/// Checks a name that is only shown: at most 256 bytes, nothing that hides or reorders text.
pub fn check_shown(text: &str) -> Result<(), InvalidName> {
    if text.len() > 256 {
        return Err(InvalidName("a name must have at most 256 bytes"));
    }
    if text.chars().any(is_unprintable) {
        return Err(InvalidName("a name must not have control or format characters"));
    }
    Ok(())
}

/// Unicode's categories Cc, Cf, Co, and what has no character; Cs cannot stand in a `str`.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0xAD | 0x600..=0x605 | 0x61C | 0x6DD | 0x70F | 0x890..=0x891 | 0x8E2 | 0x180E
            | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xFFF0..=0xFFFB
            | 0x110BD | 0x110CD | 0x13430..=0x1343F | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A
            | 0xE000..=0xF8FF | 0xE0000..=0x10_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_fold_to_one_form_and_look_alikes_are_refused() {
        let name = Username::parse("Ann.O'Neil");
        assert!(name.is_err());
        let name = Username::parse("Ann@Example.COM").unwrap();
        assert_eq!((name.typed(), name.folded()), ("Ann@Example.COM", "ann@example.com"));
        let long = "x".repeat(65);
        for bad in ["", " ann", "аnn", "ａｎｎ", "ann\0", "ann\n", "../ann", "a/b", &long] {
            assert!(Username::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn shown_names_hide_nothing() {
        for good in ["", "Zoë O'Neil", "日本語", "a - b"] {
            assert!(check_shown(good).is_ok(), "{good:?}");
        }
        for bad in ["a\nb", "a\u{202e}b", "\u{feff}", "\u{e000}", "a\u{200b}", &"x".repeat(257)] {
            assert!(check_shown(bad).is_err(), "{bad:?}");
        }
    }
}
