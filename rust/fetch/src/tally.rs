//! What a body cost upstream, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counts of one body; read while it comes.
#[derive(Debug, Default)]
pub struct Tally {
    received: AtomicU64,
    statuses: Mutex<Vec<u16>>,
}

impl Tally {
    /// Body bytes received, those skipped included.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Status of every answer, redirects left out; 0 for a request without one.
    pub fn statuses(&self) -> Vec<u16> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn add_bytes(&self, count: usize) {
        self.received.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_answer(&self, status: u16) {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner).push(status);
    }
}
