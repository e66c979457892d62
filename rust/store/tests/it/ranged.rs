//! A source whose ranges can be had, over any number of connections, and what it was asked for.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use pyregistry_store::{Begun, Cause, Failure, Route, Source};

/// What all connections share.
pub(crate) struct Upstream {
    bytes: Bytes,
    sent: Mutex<Vec<Range<usize>>>,
    /// Requests, open-ended or not.
    pub(crate) asked: AtomicUsize,
    /// Connections under way now, and the most there were at once.
    now: AtomicUsize,
    pub(crate) most: AtomicUsize,
    pub(crate) ignores_ranges: AtomicBool,
    /// With more connections than these, a range is refused.
    pub(crate) refuses_above: usize,
    pub(crate) refused: AtomicUsize,
    pub(crate) route: Route,
    /// The next piece so often breaks.
    pub(crate) breaks: AtomicUsize,
    /// Between two pieces of a connection.
    pub(crate) pause: Duration,
    pub(crate) piece: usize,
}

impl Upstream {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: Bytes::copy_from_slice(bytes),
            sent: Mutex::default(),
            asked: AtomicUsize::new(0),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            ignores_ranges: AtomicBool::new(false),
            refuses_above: usize::MAX,
            refused: AtomicUsize::new(0),
            route: Route::default(),
            breaks: AtomicUsize::new(0),
            pause: Duration::ZERO,
            piece: 20_000,
        }
    }

    pub(crate) fn sent(&self) -> usize {
        self.sent.lock().unwrap().iter().map(Range::len).sum()
    }

    /// Bytes that were sent more than once.
    pub(crate) fn twice(&self) -> usize {
        let mut seen = vec![false; self.bytes.len()];
        let sent = self.sent.lock().unwrap();
        sent.iter().flat_map(Clone::clone).filter(|at| std::mem::replace(&mut seen[*at], true)).count()
    }

    pub(crate) fn source(self: &Arc<Self>) -> Connection {
        Connection { upstream: self.clone(), position: 0, end: 0, open: false }
    }
}

pub(crate) struct Connection {
    upstream: Arc<Upstream>,
    position: usize,
    end: usize,
    open: bool,
}

impl Connection {
    fn open(&mut self, start: u64, end: usize) -> Begun {
        self.close();
        let size = self.upstream.bytes.len();
        (self.position, self.end) = (usize::try_from(start).unwrap(), end.min(size));
        self.open = true;
        self.upstream.asked.fetch_add(1, Ordering::SeqCst);
        let now = self.upstream.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.upstream.most.fetch_max(now, Ordering::SeqCst);
        Begun { size: Some(size as u64), whole: false }
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            self.upstream.now.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

impl Source for Connection {
    type Fork = Self;

    async fn begin(&mut self, offset: u64) -> Result<Begun, Failure> {
        Ok(self.open(offset, usize::MAX))
    }

    async fn begin_range(&mut self, offset: u64, end: u64) -> Result<Begun, Failure> {
        tokio::time::sleep(self.upstream.pause).await;
        if self.upstream.ignores_ranges.load(Ordering::SeqCst) {
            return Ok(Begun { whole: true, ..self.open(0, usize::MAX) });
        }
        if self.upstream.now.load(Ordering::SeqCst) >= self.upstream.refuses_above {
            self.upstream.refused.fetch_add(1, Ordering::SeqCst);
            return Err(Failure::new(Cause::RateLimited, "too many connections"));
        }
        Ok(self.open(offset, usize::try_from(end).unwrap()))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        tokio::time::sleep(self.upstream.pause).await;
        let end = (self.position + self.upstream.piece).min(self.end);
        if self.position >= end {
            self.close();
            return Ok(None);
        }
        let breaks = self.upstream.breaks.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if breaks.is_ok() {
            return Err(Failure::new(Cause::Unreachable, "cut"));
        }
        let range = self.position..end;
        self.position = end;
        self.upstream.sent.lock().unwrap().push(range.clone());
        Ok(Some(self.upstream.bytes.slice(range)))
    }

    fn stop(&mut self) {
        self.close();
    }

    fn fork(&self) -> Option<Self> {
        Some(self.upstream.source())
    }

    fn route(&self) -> Route {
        self.upstream.route.clone()
    }
}
