//! What is drawn from the operating system's generator: ids, salts, nonces, keys.
//!
//! Drawn in `prepare`, before anything is decided, and never when a change is applied: a state
//! made again from the journal is the same state.

use rand::TryRng;
use rand::rngs::SysRng;
use secrecy::SecretString;
use tollgate_proto::key;
use uuid::Uuid;

/// 62²² is more than 2¹³⁰.
const PASSWORD_LENGTH: usize = 22;

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system's random generator failed")]
pub struct DrawError;

/// Random bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N], DrawError> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|_| DrawError)?;
    Ok(bytes)
}

/// A random UUID, version 4.
pub fn uuid() -> Result<Uuid, DrawError> {
    Ok(uuid::Builder::from_random_bytes(bytes()?).into_uuid())
}

/// A random number.
pub fn number() -> Result<u64, DrawError> {
    Ok(u64::from_be_bytes(bytes()?))
}

/// A temporary password of more than 120 bits.
pub fn password() -> Result<SecretString, DrawError> {
    let letters = base62::<PASSWORD_LENGTH>()?.map(key::digit);
    Ok(SecretString::from(String::from_iter(letters)))
}

/// A new API key.
pub fn api_key() -> Result<SecretString, DrawError> {
    Ok(SecretString::from(key::format(&base62()?)))
}

/// Numbers below 62, each as likely as any other.
fn base62<const N: usize>() -> Result<[u8; N], DrawError> {
    let mut digits = [0; N];
    let mut filled = 0;
    while filled < digits.len() {
        // 248 is the largest multiple of 62 in a byte: above it, digits would not be even.
        for byte in bytes::<64>()?.into_iter().filter(|byte| *byte < 248) {
            let Some(digit) = digits.get_mut(filled) else { break };
            *digit = byte % 62;
            filled += 1;
        }
    }
    Ok(digits)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn keys_have_the_form_of_keys_and_differ() {
        let (one, two) = (api_key().unwrap(), api_key().unwrap());
        assert_eq!(key::shape(one.expose_secret()), key::Shape::Current);
        assert_ne!(one.expose_secret(), two.expose_secret());
    }
}
