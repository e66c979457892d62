//! Bytes of a fill ahead of its frontier: written where they belong, and hashed once the frontier is there.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use crate::hasher::Hasher;
use crate::{Cause, Failure, fs};

/// Bytes that are read back at once.
const READ: usize = 1 << 20;

/// A batch for places ahead of the frontier.
#[derive(Default)]
pub(crate) struct Ahead {
    /// Bytes and where they belong.
    pub pieces: Vec<(u64, Bytes)>,
    /// Blocks that are whole once these bytes are written.
    pub blocks: Vec<Range<u64>>,
}

impl Ahead {
    /// Drops what lies below the frontier.
    pub(crate) fn trim(&mut self, frontier: u64) {
        self.pieces.retain_mut(|(offset, piece)| {
            *piece = from(frontier, *offset, piece);
            *offset = frontier.max(*offset);
            !piece.is_empty()
        });
    }

    /// Writes the pieces; answers how many bytes that were.
    pub(crate) fn write(&self, file: &File, path: &Path) -> Result<u64, Failure> {
        let mut count = 0;
        for (offset, piece) in &self.pieces {
            fs::write_at(file, path, piece, *offset)?;
            count += piece.len() as u64;
        }
        Ok(count)
    }
}

/// What of a piece that begins at `offset` is at `frontier` or past it.
pub(crate) fn from(frontier: u64, offset: u64, piece: &Bytes) -> Bytes {
    let below = usize::try_from(frontier.saturating_sub(offset)).unwrap_or(usize::MAX).min(piece.len());
    piece.slice(below..)
}

/// Hashes `count` bytes of a file from `offset` on.
pub(crate) fn hash(file: &File, path: &Path, offset: u64, count: u64, hasher: &mut Hasher) -> Result<(), Failure> {
    let end = offset + count;
    let mut buffer = vec![0; usize::try_from(count).unwrap_or(READ).min(READ)];
    let mut at = offset;
    while at < end {
        let most = usize::try_from(end - at).unwrap_or(READ).min(READ);
        let read = fs::read_at(file, &mut buffer[..most], at).map_err(|error| Failure::io(path, &error))?;
        if read == 0 {
            return Err(Failure::new(
                Cause::Storage,
                format!("{}: ends at {at}, where bytes were placed", path.display()),
            ));
        }
        hasher.update(&buffer[..read]);
        at += read as u64;
    }
    Ok(())
}
