//! The `state` of an upload: where whoever takes the next chunk goes on.
//!
//! The file has room for two checkpoints, written in turn, so that the older is whole until the newer is:
//! ```text
//! offset bytes
//!      0     8  magic, which names this layout and the midstate's format
//!      8     8  sequence
//!     16    16  boot id
//!     32     8  offset
//!     40     8  algorithm: 1 SHA-256, 2 SHA-512
//!     48     8  length of the midstate
//!     56     n  midstate
//!   56+n     8  xxh3 of all these
//! ```
//! Numbers are little-endian. Nothing is synced: a checkpoint counts under the boot that wrote it, for the bytes before it may not
//! have reached the disk.

use std::fs::File;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use crate::clock::BootId;
use crate::digest::Algorithm;
use crate::hasher::MIDSTATE_MAX;
use crate::{Failure, fs};

/// Midstates of sha2 0.11 are promised to be readable by every 0.11.
const MAGIC: u64 = u64::from_le_bytes(*b"pyrup-11");
const HEAD: usize = 56;
const SLOT: usize = 512;
const FILE_SIZE: usize = 2 * SLOT;

/// A point from which an upload can go on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Checkpoint {
    /// One more than the one before.
    pub sequence: u64,
    pub boot: BootId,
    /// Bytes that were written and hashed.
    pub offset: u64,
    pub algorithm: Algorithm,
    pub midstate: Vec<u8>,
}

impl Checkpoint {
    /// Writes it to an upload's `state`, over the one before the last.
    pub(super) fn save(&self, file: &File, path: &Path) -> Result<(), Failure> {
        fs::write_at(file, path, &self.encode(), self.sequence % 2 * SLOT as u64)
    }

    /// The newest whole checkpoint of an upload's `state`.
    pub(super) fn newest(file: &File, path: &Path) -> Result<Option<Self>, Failure> {
        let mut bytes = [0; FILE_SIZE];
        fs::read_at(file, &mut bytes, 0).map_err(|error| Failure::io(path, &error))?;
        Ok(bytes.chunks_exact(SLOT).filter_map(Self::decode).max_by_key(|checkpoint| checkpoint.sequence))
    }

    /// Makes those of an upload's `state` another boot's, as a loss of power does.
    #[cfg(test)]
    pub(crate) fn reboot(path: &Path) {
        let file = fs::open_writable(path).unwrap().unwrap();
        let mut bytes = [0; FILE_SIZE];
        fs::read_at(&file, &mut bytes, 0).unwrap();
        for checkpoint in bytes.chunks_exact(SLOT).filter_map(Self::decode) {
            Self { boot: checkpoint.boot.map(|byte| !byte), ..checkpoint }.save(&file, path).unwrap();
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SLOT);
        bytes.extend_from_slice(&MAGIC.to_le_bytes());
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.boot);
        let algorithm = match self.algorithm {
            Algorithm::Sha256 => 1,
            Algorithm::Sha512 => 2,
        };
        for word in [self.offset, algorithm, self.midstate.len() as u64] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&self.midstate);
        bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
        bytes
    }

    fn decode(slot: &[u8]) -> Option<Self> {
        let word = |at: usize| slot.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        let length = usize::try_from(word(48)?).ok().filter(|length| *length <= MIDSTATE_MAX)?;
        let end = HEAD + length;
        if word(0)? != MAGIC || word(end)? != xxh3_64(slot.get(..end)?) {
            return None;
        }
        let algorithm = match word(40)? {
            1 => Algorithm::Sha256,
            2 => Algorithm::Sha512,
            _ => return None,
        };
        let boot = slot.get(16..32)?.try_into().ok()?;
        Some(Self { sequence: word(8)?, boot, offset: word(32)?, algorithm, midstate: slot[HEAD..end].to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(sequence: u64) -> Checkpoint {
        let midstate = vec![u8::try_from(sequence).unwrap(); 209];
        Checkpoint { sequence, boot: [3; 16], offset: 1 << 40, algorithm: Algorithm::Sha512, midstate }
    }

    #[test]
    fn a_torn_checkpoint_leaves_the_older_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let file = fs::create(&path).unwrap();
        assert_eq!(Checkpoint::newest(&file, &path).unwrap(), None);
        for sequence in 1..6 {
            checkpoint(sequence).save(&file, &path).unwrap();
            assert_eq!(Checkpoint::newest(&file, &path).unwrap(), Some(checkpoint(sequence)));
        }
        let whole = checkpoint(6).encode();
        for end in 0..whole.len() {
            fs::write_at(&file, &path, &whole[..end], 0).unwrap();
            assert_eq!(Checkpoint::newest(&file, &path).unwrap(), Some(checkpoint(5)), "torn at {end}");
        }
    }

    #[test]
    fn every_bit_counts() {
        let whole = checkpoint(1).encode();
        assert!(whole.len() <= SLOT);
        assert_eq!(Checkpoint::decode(&whole), Some(checkpoint(1)));
        for index in 0..whole.len() {
            let mut torn = whole.clone();
            torn[index] ^= 1;
            assert_eq!(Checkpoint::decode(&torn), None, "{index}");
        }
    }
}
