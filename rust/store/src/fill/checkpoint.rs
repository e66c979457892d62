//! The durable `checkpoint` of a fill: the only thing that counts after a reboot.
//!
//! Its bytes: magic (which names this layout and the midstate's format), data number, offset, size (all ones: unknown), length of
//! the midstate, midstate, bitmap of the blocks present ahead of the offset, xxh3 of all these; numbers little-endian.

use xxhash_rust::xxh3::xxh3_64;

use super::machine::Mark;
use super::state::block_size;
use crate::layout::FillFolder;
use crate::{Failure, fs};

/// Midstates of sha2 0.11 are promised to be readable by every 0.11.
const MAGIC: &[u8; 16] = b"pyrmark2 sha2-11";
const HEAD: usize = 16 + 4 * 8;

/// A mark and its midstate.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Checkpoint {
    pub mark: Mark,
    pub midstate: Vec<u8>,
    /// Blocks ahead of the offset, as `State::present` tells them.
    pub present: Vec<u8>,
}

/// The order in which a checkpoint becomes durable: its bytes before its word, its word before its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Save {
    /// The data before the mark.
    SyncData,
    /// A temporary file with the mark, synced.
    WriteFresh,
    /// Over the older checkpoint.
    Rename,
    /// The name, and the folder's own.
    SyncFolder,
}

impl Save {
    pub(crate) const ORDER: [Self; 4] = [Self::SyncData, Self::WriteFresh, Self::Rename, Self::SyncFolder];
}

impl Checkpoint {
    /// One step of the way to the disk; `data` may be open for reading only.
    pub(crate) fn save(&self, step: Save, folder: &FillFolder, data: &std::fs::File) -> Result<(), Failure> {
        let fresh = folder.fresh("checkpoint");
        match step {
            Save::SyncData => fs::sync_data(data, &folder.data(self.mark.data)),
            Save::WriteFresh => {
                let file = fs::create(&fresh)?;
                fs::write_at(&file, &fresh, &self.encode(), 0)?;
                fs::sync_data(&file, &fresh)
            }
            Save::Rename => fs::rename(&fresh, &folder.checkpoint()),
            Save::SyncFolder => {
                fs::sync_folder(folder.path())?;
                folder.path().parent().map_or(Ok(()), fs::sync_folder)
            }
        }
    }

    /// The checkpoint of `folder`; None if there is none that is whole.
    pub(crate) fn load(folder: &FillFolder) -> Result<Option<Self>, Failure> {
        Ok(fs::read(&folder.checkpoint())?.and_then(|bytes| Self::decode(&bytes)))
    }

    /// Bytes that are there, as `State::had` counts them.
    pub(crate) fn had(&self) -> u64 {
        let Mark { offset, size, .. } = self.mark;
        let block = block_size(size);
        let from = offset.div_ceil(block);
        let ahead = (from..8 * self.present.len() as u64)
            .filter(|number| {
                let byte = usize::try_from(number / 8).ok().and_then(|index| self.present.get(index));
                byte.is_some_and(|byte| byte & (1 << (number % 8)) != 0)
            })
            .count() as u64;
        let had = offset + ahead * block;
        size.map_or(had, |size| had.min(size))
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let midstate = self.midstate.len() as u64;
        for word in [self.mark.data, self.mark.offset, self.mark.size.unwrap_or(u64::MAX), midstate] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&self.midstate);
        bytes.extend_from_slice(&self.present);
        bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk::<8>()?;
        if body.len() < HEAD || &body[..16] != MAGIC || xxh3_64(body) != u64::from_le_bytes(*sum) {
            return None;
        }
        let word = |index: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&body[16 + 8 * index..][..8]);
            u64::from_le_bytes(word)
        };
        let (midstate, present) = body[HEAD..].split_at_checked(usize::try_from(word(3)).ok()?)?;
        Some(Self {
            mark: Mark { data: word(0), offset: word(1), size: Some(word(2)).filter(|size| *size != u64::MAX) },
            midstate: midstate.to_vec(),
            present: present.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ahead_counts() {
        let mark = Mark { data: 2, offset: 40_000, size: Some(1 << 20) };
        let checkpoint = |present: &[u8]| Checkpoint { mark, midstate: Vec::new(), present: present.to_vec() };
        assert_eq!(checkpoint(&[]).had(), 40_000);
        // Block 1 is partly below the frontier, block 2 and the last, 31, are ahead of it.
        assert_eq!(checkpoint(&[0b110, 0, 0, 0x80]).had(), 40_000 + 2 * 32_768);
    }

    #[test]
    fn a_torn_checkpoint_is_none() {
        let mark = Mark { data: 2, offset: 1 << 30, size: Some(1 << 31) };
        let checkpoint = Checkpoint { mark, midstate: vec![9; 105], present: vec![0, 0, 7] };
        let bytes = checkpoint.encode();
        assert_eq!(Checkpoint::decode(&bytes), Some(checkpoint));
        for end in 0..bytes.len() {
            assert_eq!(Checkpoint::decode(&bytes[..end]), None);
        }
        for index in 0..bytes.len() {
            let mut torn = bytes.clone();
            torn[index] ^= 1;
            assert_eq!(Checkpoint::decode(&torn), None);
        }
    }
}
