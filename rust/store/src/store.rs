//! The store: one process's view of a storage root.

use std::collections::HashSet;
use std::fmt::Display;
use std::future::Future;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::fill::{self, Saw, Sweeper, Work};
use crate::hosts::Hosts;
use crate::layout::Layout;
use crate::lock::{Lock, Locks};
use crate::reader::Held;
use crate::table::{Busy, Table, Waits};
use crate::{Cause, Digest, Failure, Fill, Plan, Reader, Source, clean, fs, quarantine, through};

/// When a fill that nobody waits for goes on nevertheless: more than `min_sent` came, and at least `fraction` is done or under
/// `remaining` are missing.
#[derive(Clone, Copy, Debug)]
pub struct Abandon {
    /// Bytes.
    pub min_sent: u64,
    /// 0 to 1 of the size.
    pub fraction: f64,
    /// Bytes.
    pub remaining: u64,
}

impl Default for Abandon {
    fn default() -> Self {
        Self { min_sent: 1 << 20, fraction: 0.5, remaining: 64 << 20 }
    }
}

impl Abandon {
    pub(crate) fn finishes(&self, frontier: u64, size: Option<u64>) -> bool {
        // A size of 2^53 and more loses digits that do not matter to a fraction.
        #[allow(clippy::cast_precision_loss)]
        size.is_some_and(|size| {
            frontier > self.min_sent
                && (frontier as f64 >= size as f64 * self.fraction || size.saturating_sub(frontier) < self.remaining)
        })
    }
}

/// Whether readers of ranges alone make a fill bring the whole blob.
#[derive(Clone, Copy, Debug)]
pub enum FillOnRange {
    /// Once so much of the blob, 0 to 1, is there; 0: at once.
    After(f64),
    /// They never do: only what they ask for is fetched.
    Never,
}

impl FillOnRange {
    pub(crate) fn fills(self, had: u64, size: Option<u64>) -> bool {
        match self {
            // See `Abandon::finishes`.
            #[allow(clippy::cast_precision_loss)]
            Self::After(fraction) => fraction <= 0.0 || size.is_some_and(|size| had as f64 >= size as f64 * fraction),
            Self::Never => false,
        }
    }
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Config {
    /// The storage root.
    pub root: PathBuf,
    /// No fill or upload begins, and no upload goes on, with fewer bytes free than this.
    pub reserve: u64,
    /// What becomes of fills that nobody waits for.
    pub abandon: Abandon,
    /// What readers of ranges begin.
    pub fill_on_range: FillOnRange,
    /// Connections over which one blob is brought at once, at most.
    pub connections: usize,
    /// How long a failure answers every request.
    pub failure_ttl: Duration,
}

impl Config {
    /// The defaults, for this root.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            reserve: 2 << 30,
            abandon: Abandon::default(),
            fill_on_range: FillOnRange::After(0.5),
            connections: 8,
            failure_ttl: Duration::from_secs(1),
        }
    }
}

/// One process's view of a storage root. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

/// What all parts of a store share.
pub(crate) struct Inner {
    pub config: Config,
    pub layout: Layout,
    pub locks: Arc<Locks>,
    pub hosts: Hosts,
    pub runtime: Handle,
    pub table: Table,
    pub sweeper: Sweeper,
    pub owned: Arc<AtomicUsize>,
    pub closing: watch::Sender<bool>,
    /// Folders under `blobs/` that this process has made durable.
    shards: Mutex<HashSet<PathBuf>>,
    /// What this process works on, so that closing reaches fills that nobody runs at the moment.
    works: Mutex<Vec<Weak<Mutex<Work>>>>,
}

impl Store {
    /// Opens `config.root`, making it if need be. Fails with `Storage` and the reason: not writable, another format, a file system
    /// on which locks do not hold.
    pub fn open(config: Config, runtime: Handle) -> Result<Self, Failure> {
        let layout = Layout::new(&config.root);
        layout.prepare()?;
        let locks = Locks::open(layout.locks())?;
        let hosts = Hosts::open(&layout)?;
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                layout,
                locks,
                hosts,
                runtime,
                table: Table::default(),
                sweeper: Sweeper::default(),
                owned: Arc::default(),
                closing: watch::Sender::default(),
                shards: Mutex::default(),
                works: Mutex::default(),
            }),
        })
    }

    /// A reader of the committed blob, its descriptor open; None if there is none. `size` is what the metadata says: a file of
    /// another size goes to quarantine, and None is returned.
    pub fn committed(&self, digest: &Digest, size: Option<u64>) -> Result<Option<Reader>, Failure> {
        let path = self.inner.layout.blob(digest);
        let Some(file) = fs::open(&path)? else {
            return Ok(None);
        };
        let found = fs::size(&file, &path)?;
        if size.is_some_and(|size| size != found) {
            quarantine::take(&self.inner.layout, digest)?;
            return Ok(None);
        }
        Ok(Some(Reader::new(Held::committed(Arc::clone(&self.inner), digest.clone(), file, found))))
    }

    /// Whether some process owns a fill of `digest` now.
    pub fn in_flight(&self, digest: &Digest) -> Result<bool, Failure> {
        self.inner.locks.is_held(digest.lock_key())
    }

    /// A reader of the fill of `digest`, in flight here or elsewhere, or yet to begin. It gets bytes only while some task of this
    /// process awaits `own_or_follow` or runs the fill that it returned. Fails once the store is closed, as nobody would.
    pub fn attach(&self, digest: &Digest) -> Result<Reader, Failure> {
        self.join(digest, None, false)
    }

    /// As [`Store::attach`], for background work that does not read: the fill's source is told while nobody else waits.
    pub fn attach_background(&self, digest: &Digest) -> Result<Reader, Failure> {
        self.join(digest, None, true)
    }

    /// As [`Store::attach`], for a request of ranges: whether it makes the fill bring the whole blob is policy. `first` is the first
    /// of the ranges, as far as that can be told without the size.
    pub fn attach_range(&self, digest: &Digest, first: Range<u64>) -> Result<Reader, Failure> {
        self.join(digest, Some(first), false)
    }

    fn join(&self, digest: &Digest, first: Option<Range<u64>>, background: bool) -> Result<Reader, Failure> {
        self.inner.check_open()?;
        let waits = Waits { whole: first.is_none(), background };
        let generation = self.inner.table.attach(digest, waits);
        match first {
            Some(range) => generation.set_first(range),
            None => generation.wants.notify_one(),
        }
        self.inner.sweeper.wake();
        Ok(Reader::new(Held::filling(Arc::clone(&self.inner), generation, waits)))
    }

    /// Whether readers of this process wait for a fill of `digest` that has no outcome yet.
    pub fn wanted(&self, digest: &Digest) -> bool {
        self.inner.table.wanted(digest)
    }

    /// A [`Fill`] as soon as this process owns it: the lock won, nothing committed, no failure on record. None once the digest is
    /// committed or has failed, here or in another process, and this process's readers know. Fails where this process cannot even
    /// begin (disk full, I/O error, closed); nothing is recorded then, but this process's readers know.
    ///
    /// Dropping the future fails this process's readers with `Interrupted`. A second driver of a digest is [`Busy`] at once.
    pub fn own_or_follow(
        &self,
        digest: &Digest,
    ) -> Result<impl Future<Output = Result<Option<Fill>, Failure>> + Send + use<>, Busy> {
        fill::drive(&self.inner, digest)
    }

    /// The whole body straight from upstream, hashed, nothing stored; its last block waits for the right digest. For when storage is
    /// full. The transfer begins at once.
    pub fn pass_through<S: Source + 'static>(&self, source: S, digest: &Digest) -> Plan {
        Plan::through(through::start(source, digest.clone(), &self.inner.runtime))
    }

    /// The lock of `key` (63 bits used) among all processes on this root, waited for. Dropping the future leaves the queue.
    pub fn lock(&self, key: u64) -> impl Future<Output = Result<Lock, Failure>> + Send + use<> {
        Arc::clone(&self.inner.locks).lock(key)
    }

    /// The lock of `key`, or None if somebody holds it.
    pub fn try_lock(&self, key: u64) -> Result<Option<Lock>, Failure> {
        self.inner.locks.try_lock(key)
    }

    /// Unlinks a committed blob; readers that have it open go on. False if there was none.
    pub fn remove(&self, digest: &Digest) -> Result<bool, Failure> {
        fs::unlink(&self.inner.layout.blob(digest))
    }

    /// Removes left-overs nobody owns: old temporary files, recorded failures that had their time, partials not touched for
    /// `older_than`. Answers the digests whose partials went.
    pub async fn clean(&self, older_than: Duration) -> Result<Vec<Digest>, Failure> {
        let inner = Arc::clone(&self.inner);
        self.inner.blocking(move || clean::clean(&inner, older_than)).await?
    }

    /// Bytes an unprivileged process can still write on the root's file system.
    pub fn free_bytes(&self) -> Result<u64, Failure> {
        fs::free_bytes(self.inner.layout.root())
    }

    /// Fills this process owns now.
    pub fn owned(&self) -> usize {
        self.inner.owned.load(Ordering::Relaxed)
    }

    /// Stops owned fills at a durable checkpoint, so that other processes go on with them, and ends this process's followers.
    pub async fn close(&self) {
        self.inner.closing.send_replace(true);
        for work in self.inner.take_works() {
            let stopping = self.inner.blocking(move || {
                let mut work = fill::lock(&work);
                work.disk.save_now();
                work.tell(Saw::Stop);
            });
            // A panic there is reported by the runtime; the other fills are to be stopped all the same.
            let _ = stopping.await;
        }
    }
}

impl Inner {
    /// Runs `work` on the blocking pool.
    pub(crate) fn blocking<T, F>(&self, work: F) -> impl Future<Output = Result<T, Failure>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let task = self.runtime.spawn_blocking(work);
        async {
            task.await.map_err(|error| Failure::new(Cause::Storage, format!("a storage task did not end: {error}")))
        }
    }

    /// Makes a folder of blobs and its name durable, once a process: whoever made it may have been killed in between.
    pub(crate) fn make_shard(&self, shard: &Path) -> Result<(), Failure> {
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        if !shards.contains(shard) {
            fs::make_folder(shard)?;
            if let Some(folder) = shard.parent() {
                fs::sync_folder(folder)?;
            }
            shards.insert(shard.to_owned());
        }
        Ok(())
    }

    /// Refuses once the store is closed.
    pub(crate) fn check_open(&self) -> Result<(), Failure> {
        if *self.closing.borrow() { Err(self.closed()) } else { Ok(()) }
    }

    /// Refuses to begin a fill or an upload, or to go on with one, on a full disk.
    pub(crate) fn check_room(&self, name: &dyn Display) -> Result<(), Failure> {
        let root = self.layout.root();
        let free = fs::free_bytes(root)?;
        if free < self.config.reserve {
            return Err(Failure::new(
                Cause::StorageFull,
                format!(
                    "{name}: no more is stored with {free} bytes free on {}, under the reserve of {}; free some space",
                    root.display(),
                    self.config.reserve
                ),
            ));
        }
        Ok(())
    }

    /// How long a failure answers requests: upstream's wish where it said 429, within reason.
    pub(crate) fn lasting(&self, failure: &Failure) -> Duration {
        let wish = failure.retry_after.filter(|_| failure.cause == Cause::RateLimited);
        wish.unwrap_or_default().max(self.config.failure_ttl).min(MOST_LASTING)
    }

    pub(crate) fn closed(&self) -> Failure {
        Failure::interrupted(format!("the store at {} is closed", self.layout.root().display()))
    }

    /// Remembers what this process works on.
    pub(crate) fn register(&self, work: &Arc<Mutex<Work>>) {
        let mut works = self.works.lock().unwrap_or_else(PoisonError::into_inner);
        works.retain(|work| work.strong_count() > 0);
        works.push(Arc::downgrade(work));
    }

    fn take_works(&self) -> Vec<Arc<Mutex<Work>>> {
        let mut works = self.works.lock().unwrap_or_else(PoisonError::into_inner);
        works.drain(..).filter_map(|work| work.upgrade()).collect()
    }
}

/// The longest that a failure answers, whatever upstream wishes: it is also the longest that a mistake of its lasts.
const MOST_LASTING: Duration = Duration::from_secs(3600);
