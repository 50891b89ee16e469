//! What a backup is wrapped in: HPKE (RFC 9180) in mode base, X25519 with HKDF-SHA-256 and
//! ChaCha20-Poly1305, message by message, so that no more than one is in memory.
//!
//! The file is the [`MAGIC`] line, the encapsulated key (32 bytes), then messages: the length
//! (four bytes, big-endian) and the sealed bytes. HPKE counts the messages; the associated data
//! says which one is the last, so that a file that was cut is noticed.

use std::io::{self, Read, Write};

use hpke::aead::{AeadCtxR, AeadCtxS, ChaCha20Poly1305};
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::recipient::{Identity, Recipient};
use crate::draw;

/// How the file begins, and what the encryption is bound to.
const MAGIC: &[u8] = b"tollgate backup 1\n";
/// Of a message, before it is sealed.
const MESSAGE: usize = 64 << 10;
/// What sealing adds.
const TAG: usize = 16;
const MORE: &[u8] = b"more";
const LAST: &[u8] = b"last";

type EncappedKey = <X25519HkdfSha256 as Kem>::EncappedKey;

/// Encrypts what is written. Nothing is complete before [`Sealing::finish`].
pub(super) struct Sealing<W> {
    to: W,
    context: AeadCtxS<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>,
    message: Vec<u8>,
}

impl<W: Write> Sealing<W> {
    pub(super) fn begin(mut to: W, recipient: &Recipient) -> io::Result<Self> {
        let seed = draw::bytes().map_err(io::Error::other)?;
        let mut random = StdRng::from_seed(seed);
        let (key, context): (EncappedKey, _) =
            hpke::setup_sender_with_rng(&OpModeS::Base, &recipient.0, MAGIC, &mut random)
                .map_err(io::Error::other)?;
        to.write_all(MAGIC)?;
        to.write_all(&key.to_bytes())?;
        Ok(Self { to, context, message: Vec::with_capacity(MESSAGE) })
    }

    /// Writes what is left, as the last message.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.seal(LAST)?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn seal(&mut self, which: &[u8]) -> io::Result<()> {
        let sealed = self.context.seal(&self.message, which).map_err(io::Error::other)?;
        self.message.clear();
        let length = u32::try_from(sealed.len()).map_err(io::Error::other)?;
        self.to.write_all(&length.to_be_bytes())?;
        self.to.write_all(&sealed)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.message.len() == MESSAGE {
            self.seal(MORE)?;
        }
        let count = bytes.len().min(MESSAGE - self.message.len());
        self.message.extend(bytes.iter().take(count));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Decrypts what is read. The end comes after the last message only.
pub(super) struct Opening<R> {
    from: R,
    context: AeadCtxR<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>,
    message: io::Cursor<Vec<u8>>,
    ended: bool,
}

impl<R: Read> Opening<R> {
    pub(super) fn begin(mut from: R, identity: &Identity) -> io::Result<Self> {
        let (mut magic, mut key) = ([0; MAGIC.len()], [0; 32]);
        from.read_exact(&mut magic)?;
        if magic != MAGIC {
            return Err(invalid("it is not a backup, or one that this build does not read"));
        }
        from.read_exact(&mut key)?;
        let key = EncappedKey::from_bytes(&key).map_err(|_| foreign())?;
        let context = hpke::setup_receiver(&OpModeR::Base, &identity.0, &key, MAGIC)
            .map_err(|_| foreign())?;
        Ok(Self { from, context, message: io::Cursor::default(), ended: false })
    }

    fn next(&mut self) -> io::Result<()> {
        let mut length = [0; 4];
        self.from.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > MESSAGE + TAG {
            return Err(foreign());
        }
        let mut sealed = vec![0; length];
        self.from.read_exact(&mut sealed)?;
        // A message that does not open is not counted.
        let opened = self.context.open(&sealed, MORE).or_else(|_| {
            let last = self.context.open(&sealed, LAST);
            self.ended = last.is_ok();
            last
        });
        self.message = io::Cursor::new(opened.map_err(|_| foreign())?);
        Ok(())
    }
}

impl<R: Read> Read for Opening<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while !to.is_empty() {
            let count = self.message.read(to)?;
            if count > 0 || self.ended {
                return Ok(count);
            }
            self.next()?;
        }
        Ok(0)
    }
}

fn foreign() -> io::Error {
    invalid("it is for another recipient, or was changed")
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
