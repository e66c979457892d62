//! Saving durable checkpoints beside a fill, without stalling it.

use std::fs::File;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::checkpoint::{Checkpoint, Save};
use crate::Failure;
use crate::layout::FillFolder;
use crate::lock::Lock;

/// Bytes between two durable checkpoints, at most.
const EVERY_BYTES: u64 = 64 << 20;
/// Time between two durable checkpoints of a fill that moves, at most.
const EVERY: Duration = Duration::from_secs(5);

/// Saves one fill's checkpoints on the blocking pool, one at a time.
pub(crate) struct Saver {
    folder: FillFolder,
    /// Open for reading: that is enough to sync it, and is no write descriptor (I1).
    data: Arc<File>,
    /// What is to be saved next. Held while saving, and with it the fill's lock.
    next: Mutex<Option<(Checkpoint, Arc<Lock>)>>,
    error: OnceLock<Failure>,
}

/// When the last checkpoint was taken.
pub(crate) struct LastSave {
    /// Bytes that had come.
    bytes: u64,
    at: Instant,
}

impl LastSave {
    pub(crate) fn new(bytes: u64) -> Self {
        Self { bytes, at: Instant::now() }
    }

    /// Whether a fill that so many bytes have come to wants another.
    pub(crate) fn is_due(&self, bytes: u64) -> bool {
        bytes - self.bytes >= EVERY_BYTES || (bytes > self.bytes && self.at.elapsed() >= EVERY)
    }
}

impl Saver {
    pub(crate) fn new(folder: FillFolder, data: Arc<File>) -> Arc<Self> {
        Arc::new(Self { folder, data, next: Mutex::default(), error: OnceLock::new() })
    }

    /// Saves `checkpoint` soon. False: the one before is still being saved.
    pub(crate) fn start(
        self: &Arc<Self>,
        checkpoint: Checkpoint,
        lock: Arc<Lock>,
        runtime: &tokio::runtime::Handle,
    ) -> bool {
        let Ok(mut next) = self.next.try_lock() else {
            return false;
        };
        *next = Some((checkpoint, lock));
        drop(next);
        let saver = Arc::clone(self);
        runtime.spawn_blocking(move || saver.save());
        true
    }

    /// Saves `checkpoint` now.
    pub(crate) fn save_now(&self, checkpoint: Checkpoint, lock: Arc<Lock>) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some((checkpoint, lock));
        self.save();
    }

    /// Waits for a save under way and takes back one that has not begun.
    pub(crate) fn stop(&self) {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Takes back a save that has not begun; one under way holds the fill's lock until it is done.
    pub(crate) fn cancel(&self) {
        if let Ok(mut next) = self.next.try_lock() {
            next.take();
        }
    }

    /// What went wrong: bytes that could not be synced may be gone from the page cache, so the fill must not go on.
    pub(crate) fn error(&self) -> Option<Failure> {
        self.error.get().cloned()
    }

    fn save(&self) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((checkpoint, _lock)) = next.take() else {
            return;
        };
        for step in Save::ORDER {
            if let Err(failure) = checkpoint.save(step, &self.folder, &self.data) {
                let _ = self.error.set(failure);
                return;
            }
        }
    }
}
