//! Readers: what a request holds to get bytes of one digest, committed, in flight, or about to be.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::fill::{Data, Ended, Generation, Progress, block_size};
use crate::store::Inner;
use crate::table::Waits;
use crate::{Digest, Failure, Plan};

/// What a request holds to get bytes of one digest. Committed or not, the interface is the same.
pub struct Reader {
    held: Arc<Held>,
}

/// What a reader and its plans share; the request counts as long as one of them is there.
pub(crate) struct Held {
    pub store: Arc<Inner>,
    digest: Digest,
    pub bytes: Bytes,
    /// Whether it counts as a request of the whole body, which a fill is to bring.
    whole: AtomicBool,
    background: bool,
}

/// Where the bytes are.
pub(crate) enum Bytes {
    Committed { file: Arc<File>, size: u64 },
    Filling(Arc<Generation>),
}

impl Held {
    pub(crate) fn committed(store: Arc<Inner>, digest: Digest, file: File, size: u64) -> Self {
        let file = Arc::new(file);
        Self { store, digest, bytes: Bytes::Committed { file, size }, whole: AtomicBool::new(false), background: false }
    }

    pub(crate) fn filling(store: Arc<Inner>, generation: Arc<Generation>, waits: Waits) -> Self {
        let digest = generation.digest.clone();
        let Waits { whole, background } = waits;
        Self { store, digest, bytes: Bytes::Filling(generation), whole: AtomicBool::new(whole), background }
    }

    /// From now on it counts as a request of the whole body.
    pub(crate) fn become_whole(&self) {
        if let Bytes::Filling(generation) = &self.bytes
            && !self.whole.swap(true, Ordering::Relaxed)
        {
            self.store.table.become_whole(generation);
            generation.wants.notify_one();
        }
    }

    /// Tells the fill's owner, whichever process that is, which bytes are waited for.
    pub(crate) fn want(&self, range: Range<u64>) {
        if let Bytes::Filling(generation) = &self.bytes {
            generation.want(range);
        }
    }

    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    pub(crate) fn size(&self) -> Option<u64> {
        match &self.bytes {
            Bytes::Committed { size, .. } => Some(*size),
            Bytes::Filling(generation) => generation.progress(|progress| progress.size),
        }
    }

    /// What can be read now at `position`. `held_back`: the body counts as a whole, so its last block waits for the digest (I4).
    pub(crate) fn window(&self, position: u64, held_back: bool) -> Result<Window, Failure> {
        match &self.bytes {
            Bytes::Committed { file, size } => {
                Ok(Window { file: Some(Arc::clone(file)), limit: *size, size: Some(*size) })
            }
            Bytes::Filling(generation) => generation.progress(|progress| Window::of(progress, position, held_back)),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Bytes::Filling(generation) = &self.bytes {
            let waits = Waits { whole: self.whole.load(Ordering::Relaxed), background: self.background };
            self.store.table.leave(generation, waits);
        }
    }
}

/// The part of a blob that can be read.
pub(crate) struct Window {
    pub file: Option<Arc<File>>,
    /// Where the bytes that can be read end.
    pub limit: u64,
    /// Bytes of the whole, where it is certain: told, or committed.
    pub size: Option<u64>,
}

impl Window {
    fn of(progress: &Progress, position: u64, held_back: bool) -> Result<Self, Failure> {
        let block = block_size(progress.size);
        let limit = match (&progress.end, progress.size) {
            (Some(Ended::Failed(failure, _)), _) => return Err(Failure::clone(failure)),
            (None, Some(size)) if held_back => progress.frontier.min(size - block.min(size)),
            // Any byte may be the last.
            (None, None) if held_back => progress.frontier.saturating_sub(block),
            (None, Some(size)) if progress.frontier <= position => match &progress.data {
                Some(Data { state: Some(state), .. }) => state.present_until(position, size).max(progress.frontier),
                _ => progress.frontier,
            },
            _ => progress.frontier,
        };
        Ok(Self { file: progress.data.as_ref().map(|data| Arc::clone(&data.file)), limit, size: progress.size })
    }
}

impl Reader {
    pub(crate) fn new(held: Held) -> Self {
        Self { held: Arc::new(held) }
    }

    /// Whose bytes.
    pub fn digest(&self) -> &Digest {
        self.held.digest()
    }

    /// Bytes of the whole blob, once known.
    pub fn size(&self) -> Option<u64> {
        self.held.size()
    }

    /// Whether the blob is committed.
    pub fn is_committed(&self) -> bool {
        match &self.held.bytes {
            Bytes::Committed { .. } => true,
            Bytes::Filling(generation) => {
                generation.progress(|progress| matches!(progress.end, Some(Ended::Committed)))
            }
        }
    }

    /// Waits until a body can be begun and answers the size in bytes; None where upstream told none: whole body only, in order.
    /// Fails with the fill's failure.
    pub async fn ready(&self) -> Result<Option<u64>, Failure> {
        let Bytes::Filling(generation) = &self.held.bytes else {
            return Ok(self.size());
        };
        let mut watch = generation.watch();
        let ready = |progress: &Progress| progress.end.is_some() || progress.answered || progress.size.is_some();
        // The sender lives as long as the generation that we hold.
        let Ok(progress) = watch.wait_for(ready).await else {
            return Err(Failure::interrupted(format!("{}: the fill is gone", self.held.digest())));
        };
        match &progress.end {
            Some(Ended::Failed(failure, _)) => Err(Failure::clone(failure)),
            _ => Ok(progress.size),
        }
    }

    /// The body of a response. No ranges: the whole. One: its bytes. Several: multipart/byteranges (RFC 9110 section 14.6), framed
    /// with `boundary` (or `part`, which is for tests: a boundary should be unguessable). Ranges are (start, end) with `end`
    /// exclusive, inside the size; where the size is unknown they are ignored.
    ///
    /// A whole body, and one range from 0 to the end, holds its last block back until the digest was verified (I4).
    pub fn plan(&self, ranges: &[(u64, u64)], boundary: Option<&str>) -> Plan {
        Plan::stored(Arc::clone(&self.held), ranges, boundary.unwrap_or("part"))
    }
}
