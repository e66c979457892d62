//! What a body cost upstream, for metrics, and what upstream said to that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// Counts of one body; read while it comes.
#[derive(Debug, Default)]
pub struct Tally {
    received: AtomicU64,
    statuses: Mutex<Vec<u16>>,
    /// The newest wish of upstream that it be left alone for a while.
    wish: watch::Sender<Option<f64>>,
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

    /// Waits until upstream wishes to be left alone for a while (429 with Retry-After) on any connection, and answers for how many
    /// seconds.
    pub async fn limited(&self) -> f64 {
        let mut wish = self.wish.subscribe();
        // The sender lives as long as `self`.
        let _ = wish.changed().await;
        (*wish.borrow()).unwrap_or_default()
    }

    pub(crate) fn limit(&self, wish: f64) {
        self.wish.send_replace(Some(wish));
    }

    pub(crate) fn add_bytes(&self, count: usize) {
        self.received.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_answer(&self, status: u16) {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner).push(status);
    }
}
