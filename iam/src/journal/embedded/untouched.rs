//! A data file that is looked at and left as it is: what redb writes when it opens a file goes
//! into memory, and over what is read.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

/// Bytes are kept in blocks of this size.
const BLOCK: usize = 4_096;

/// A file, and what was written since it was opened.
#[derive(Debug)]
pub(super) struct Untouched {
    file: FileBackend,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    length: usize,
    /// What is behind this place in the file was cut off.
    file_length: usize,
    blocks: BTreeMap<usize, Vec<u8>>,
}

impl Untouched {
    pub(super) fn new(file: FileBackend) -> io::Result<Self> {
        let length = place(file.len()?)?;
        let written = Written { length, file_length: length, blocks: BTreeMap::new() };
        Ok(Self { file, written: Mutex::new(written) })
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a block holds now.
    fn block(&self, written: &Written, number: usize) -> io::Result<Vec<u8>> {
        if let Some(block) = written.blocks.get(&number) {
            return Ok(block.clone());
        }
        let (mut block, from) = (vec![0; BLOCK], number * BLOCK);
        let there = written.file_length.saturating_sub(from).min(BLOCK);
        if let Some(part) = block.get_mut(..there) {
            self.file.read(from as u64, part)?;
        }
        Ok(block)
    }
}

/// The blocks that a range touches: number, place in the block, place in the range, length.
fn pieces(offset: usize, length: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done;
        let within = at % BLOCK;
        let count = (BLOCK - within).min(length - done);
        let piece = (at / BLOCK, within, done, count);
        done += count;
        (count > 0).then_some(piece)
    })
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

impl StorageBackend for Untouched {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().length as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (written, offset) = (self.lock(), place(offset)?);
        if offset.saturating_add(out.len()) > written.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (number, within, done, count) in pieces(offset, out.len()) {
            let block = self.block(&written, number)?;
            let from = block.get(within..within + count);
            if let (Some(to), Some(from)) = (out.get_mut(done..done + count), from) {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let (mut written, length) = (self.lock(), place(length)?);
        written.length = length;
        written.file_length = written.file_length.min(length);
        // What comes back later comes back empty.
        drop(written.blocks.split_off(&length.div_ceil(BLOCK)));
        if let Some(last) = written.blocks.get_mut(&(length / BLOCK))
            && let Some(cut) = last.get_mut(length % BLOCK..)
        {
            cut.fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (mut written, offset) = (self.lock(), place(offset)?);
        for (number, within, done, count) in pieces(offset, data.len()) {
            let mut block = self.block(&written, number)?;
            let to = block.get_mut(within..within + count);
            if let (Some(to), Some(from)) = (to, data.get(done..done + count)) {
                to.copy_from_slice(from);
            }
            written.blocks.insert(number, block);
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        // Enough to keep writers out, and it can be had of a file that cannot be written.
        self.file.try_lock_shared_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
