//! An upload becomes a blob.

use super::writer::Writer;
use crate::hasher::Hasher;
use crate::{Cause, Digest, Failure, fs, quarantine};

/// Bytes read at a time where a file must be hashed once more.
const READ: usize = 1 << 20;

impl Writer {
    /// Makes the bytes the blob `digest` and answers their number. What it says survives a loss of power (I10).
    ///
    /// After `DigestMismatch` the upload goes on; after success and every other failure it must not be used any more.
    pub(super) fn commit(&mut self, digest: &Digest) -> Result<u64, Failure> {
        // If this fails half-way, the next one to hold the upload has all bytes.
        self.checkpoint()?;
        self.close()?;
        // Before it is looked whether the blob is there: to know a digest is no right to the blob (I12).
        if !self.is(digest)? {
            return Err(Failure::new(
                Cause::DigestMismatch,
                format!("the {} bytes of upload {} hash to something else than {digest}", self.offset, self.session),
            ));
        }
        let blob = self.store.layout.blob(digest);
        if let Some(shard) = blob.parent() {
            self.store.make_shard(shard)?;
        }
        let found = fs::open(&blob)?.map(|file| fs::size(&file, &blob)).transpose()?;
        if found != Some(self.offset) {
            self.publish(digest, found.is_some())?;
        }
        // In any case: whoever else made the file may not have come so far.
        if let Some(shard) = blob.parent() {
            fs::sync_folder(shard)?;
        }
        // What stays is of no use, and cleaned later.
        let _ = fs::remove_folder(self.folder.path());
        Ok(self.offset)
    }

    /// Gives the data file its name under `blobs/`.
    fn publish(&self, digest: &Digest, replaces: bool) -> Result<(), Failure> {
        let (data, layout) = (self.folder.data(), &self.store.layout);
        if let Err(failure) = fs::sync_data(&self.data, &data) {
            // What the disk refused may be gone from the page cache, and the next sync would succeed.
            let _ = fs::remove_folder(self.folder.path());
            return Err(failure);
        }
        if replaces {
            // For whoever wants to know why; the push does not depend on it.
            let _ = quarantine::keep(layout, digest);
        }
        fs::rename(&data, &layout.blob(digest))
    }

    /// Whether the bytes are those that `digest` names.
    fn is(&mut self, digest: &Digest) -> Result<bool, Failure> {
        if digest.algorithm() == self.algorithm() {
            return Ok(self.hasher.matches(digest));
        }
        let (_, hasher) = match self.other.take() {
            Some(known) if known.0 == self.offset => self.other.insert(known),
            _ => {
                let read = (self.offset, self.read_again(digest)?);
                self.other.insert(read)
            }
        };
        Ok(hasher.matches(digest))
    }

    /// Nobody said while the bytes came that this would be the algorithm.
    fn read_again(&self, digest: &Digest) -> Result<Hasher, Failure> {
        let mut hasher = Hasher::new(digest.algorithm());
        let mut buffer = vec![0; READ];
        let mut offset = 0;
        while offset < self.offset {
            let count = fs::read_at(&self.data, &mut buffer, offset)
                .map_err(|error| Failure::io(&self.folder.data(), &error))?;
            if count == 0 {
                return Err(Failure::new(
                    Cause::Storage,
                    format!("{}: ends at {offset}", self.folder.data().display()),
                ));
            }
            hasher.update(&buffer[..count]);
            offset += count as u64;
        }
        Ok(hasher)
    }
}
