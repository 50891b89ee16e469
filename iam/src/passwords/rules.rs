//! The rules for new passwords: long enough, and not what is tried first. No composition rules:
//! they make passwords worse (NIST SP 800-63B-4).

use super::MAX_LENGTH;

/// Why a password is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Too short.
    #[error("the password must have at least {0} bytes")]
    Short(usize),
    /// Too long.
    #[error("the password must have at most {MAX_LENGTH} bytes")]
    Long,
    /// Among those that are tried first.
    #[error("the password is too common")]
    Common,
    /// The account's own name or workspace.
    #[error("the password must not be the name of the user or the workspace")]
    OwnName,
    /// The same character or a few of them over and over.
    #[error("the password repeats itself")]
    Repeats,
}

/// What is tried first, at least eight characters each. Shorter ones are refused by length, and
/// repetitions of a word by themselves.
const COMMON: &str = include_str!("common.txt");

/// Checks a new password. `names` are the account's own.
pub fn check(password: &str, min_length: usize, names: &[&str]) -> Result<(), Weakness> {
    if password.len() < min_length {
        return Err(Weakness::Short(min_length));
    }
    if password.len() > MAX_LENGTH {
        return Err(Weakness::Long);
    }
    let folded = password.to_lowercase();
    if names.iter().any(|name| name.to_lowercase() == folded) {
        return Err(Weakness::OwnName);
    }
    if COMMON.lines().any(|common| common == folded) {
        return Err(Weakness::Common);
    }
    if repeats(folded.as_bytes()) {
        return Err(Weakness::Repeats);
    }
    Ok(())
}

/// Whether it is a word of at most eight bytes over and over: `abcabcabcabcabc`.
fn repeats(password: &[u8]) -> bool {
    (1..=8.min(password.len() / 2))
        .any(|word| password.iter().zip(password.iter().skip(word)).all(|(one, next)| one == next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let check = |password: &str, expect| {
            assert_eq!(check(password, 15, &["ann.of.the.green.gables", "default"]), expect);
        };
        check("a long enough one", Ok(()));
        check("ünïcödé ís fíne", Ok(()));
        check("short", Err(Weakness::Short(15)));
        check(&"long enough ".repeat(90), Err(Weakness::Long));
        check("Ann.of.the.Green.Gables", Err(Weakness::OwnName));
        check("CorrectHorseBatteryStaple", Err(Weakness::Common));
        check("aaaaaaaaaaaaaaaa", Err(Weakness::Repeats));
        check("tollgatetollgate", Err(Weakness::Repeats));
    }
}
