//! What the readers of one process share of one generation of a fill, whoever owns it: this process, another, or its heir.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::state::State;
use crate::{Digest, Failure, fs};

/// Where a generation stands. One value, so that a reader sees all of it or nothing.
#[derive(Clone, Default)]
pub(crate) struct Progress {
    /// Bytes of the whole, once known.
    pub size: Option<u64>,
    /// Whether the source has answered: an unknown size stays so until the end.
    pub answered: bool,
    /// Bytes that may be read from 0 on.
    pub frontier: u64,
    /// How often blocks ahead of the frontier became present.
    pub placed: u64,
    /// The file they are in.
    pub data: Option<Data>,
    /// How it ended; nothing changes after that.
    pub end: Option<Ended>,
}

/// An open data file, for reading.
#[derive(Clone)]
pub(crate) struct Data {
    pub file: Arc<File>,
    /// Device and inode: two names of one file, or two files?
    identity: (u64, u64),
    /// What says which blocks ahead of the frontier are in it; None if it is complete.
    pub state: Option<Arc<State>>,
}

impl Data {
    pub(crate) fn new(file: File, path: &Path) -> Result<Self, Failure> {
        Ok(Self { identity: fs::identity(&file, path)?, file: Arc::new(file), state: None })
    }

    /// The file of a fill whose `state` this is.
    pub(crate) fn with(self, state: &Arc<State>) -> Self {
        Self { state: Some(Arc::clone(state)), ..self }
    }
}

/// How a generation ended.
#[derive(Clone)]
pub(crate) enum Ended {
    Committed,
    /// The failure, and until when it answers new requests.
    Failed(Arc<Failure>, Instant),
}

/// One generation, as one process sees it.
pub(crate) struct Generation {
    pub digest: Digest,
    progress: watch::Sender<Progress>,
    /// A reader of this process wants something that the owner, if that is this process, does not know of.
    pub wants: Notify,
    /// The first range that was asked for: what a source is asked first where the size is not known.
    first: Mutex<Option<Range<u64>>>,
}

impl Generation {
    pub(crate) fn new(digest: Digest) -> Arc<Self> {
        Arc::new(Self { digest, progress: watch::Sender::default(), wants: Notify::new(), first: Mutex::default() })
    }

    /// Follows the progress; the latest value is there at once.
    pub(crate) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Remembers the first range that is asked for.
    pub(crate) fn set_first(&self, range: Range<u64>) {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(range);
    }

    /// The first range that was asked for.
    pub(crate) fn first(&self) -> Option<Range<u64>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A reader wants these bytes, whoever owns the fill.
    pub(crate) fn want(&self, range: Range<u64>) {
        let state = self.progress(|progress| {
            let waits = progress.end.is_none() && range.end > progress.frontier;
            progress.data.as_ref().filter(|_| waits).and_then(|data| data.state.clone())
        });
        if let Some(state) = state
            && state.want_blocks(range.start / state.block()..range.end.div_ceil(state.block()))
        {
            self.wants.notify_one();
        }
    }

    /// Looks at the progress.
    pub(crate) fn progress<T>(&self, look: impl FnOnce(&Progress) -> T) -> T {
        look(&self.progress.borrow())
    }

    /// Whether it ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.progress(|progress| progress.end.is_some())
    }

    /// Whether it failed, and whether that still answers new requests.
    pub(crate) fn failed(&self) -> Option<bool> {
        self.progress(|progress| match &progress.end {
            Some(Ended::Failed(_, until)) => Some(Instant::now() < *until),
            _ => None,
        })
    }

    /// Shows the owner's word to readers. False: they hold bytes of another file, which will get no more.
    pub(crate) fn show(&self, data: Option<&Data>, size: Option<u64>, frontier: u64, answered: bool) -> bool {
        let mut same = true;
        self.progress.send_if_modified(|progress| {
            if progress.end.is_some() {
                return false;
            }
            if let Some(data) = data {
                same = progress.data.get_or_insert_with(|| data.clone()).identity == data.identity;
            }
            // Without its file, a frontier is nothing one could read up to.
            let frontier = if progress.data.is_some() { frontier } else { 0 };
            let placed = progress.data.as_ref().and_then(|data| data.state.as_ref()).map_or(0, |state| state.placed());
            let news = frontier > progress.frontier
                || size != progress.size
                || answered != progress.answered
                || placed != progress.placed;
            if same && news {
                progress.placed = placed;
                progress.frontier = progress.frontier.max(frontier);
                progress.size = progress.size.or(size);
                progress.answered |= answered;
            }
            same && news
        });
        same
    }

    /// Ends it well: `data` is the committed blob. Readers of another file fail, as they cannot go on.
    pub(crate) fn commit(&self, data: &Data, size: u64) {
        if !self.show(Some(data), Some(size), size, true) {
            self.interrupt("the blob was committed from another generation; ask again", Duration::ZERO);
        }
        self.end(Ended::Committed);
    }

    /// Ends it with a failure that answers new requests for `lasting`.
    pub(crate) fn fail(&self, failure: Failure, lasting: Duration) {
        // An hour at most, whatever upstream wishes: it is also the longest that a mistake of its lasts.
        let until = Instant::now() + lasting.min(Duration::from_secs(3600));
        self.end(Ended::Failed(Arc::new(failure), until));
    }

    /// Ends it because nobody of this process goes on with it.
    pub(crate) fn interrupt(&self, why: &str, lasting: Duration) {
        self.fail(Failure::interrupted(format!("{}: {why}", self.digest)), lasting);
    }

    fn end(&self, end: Ended) {
        self.progress.send_if_modified(|progress| {
            let first = progress.end.is_none();
            if first {
                progress.end = Some(end);
            }
            first
        });
    }
}
