//! Small files of words that all processes of a root read and change atomically, by mapping them.
#![allow(unsafe_code)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use memmap2::{MmapMut, MmapOptions, MmapRaw};

use crate::{Failure, fs};

/// Bytes of such a file.
const FILE_SIZE: usize = 4096;

/// 512 words, zero at first. Cheap to clone; clones are the same words.
#[derive(Clone)]
pub(crate) struct Words(Arc<MmapRaw>);

impl Words {
    /// The words of the file `path`; this process's own, if they cannot be shared: a full disk is no reason not to serve.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let shared = || -> Result<MmapRaw, Failure> {
            let file = fs::open_or_create(path)?;
            // Before it is mapped, for a full disk would kill whoever stores.
            fs::allocate(&file, path, FILE_SIZE as u64)?;
            MmapOptions::new().len(FILE_SIZE).map_raw(&file).map_err(|error| Failure::io(path, &error))
        };
        let own = || MmapMut::map_anon(FILE_SIZE).map(MmapRaw::from).map_err(|error| Failure::io(path, &error));
        shared().or_else(|_| own()).map(|map| Self(Arc::new(map)))
    }

    /// The word of this number, below 512.
    pub(crate) fn word(&self, number: usize) -> &AtomicU64 {
        assert!(number < FILE_SIZE / 8);
        // SAFETY: aligned, and inside the mapping, which lives as long as `self`; its file is never truncated, and other processes
        // access these words atomically, too.
        unsafe { AtomicU64::from_ptr(self.0.as_mut_ptr().add(8 * number).cast()) }
    }
}
