//! Ranges of one blob that are fetched beside each other, each by a task and a connection of its own.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::Failure;
use crate::lock::{Lock, Locks};
use crate::source::{Begun, Source};

/// Pieces between the lanes and whoever writes them.
const PIECES: usize = 16;

/// What a lane says.
pub(super) enum Word {
    Began(Begun),
    Piece(Bytes),
    /// It has said everything, or failed.
    End(Result<(), Failure>),
}

/// One range under way. Nobody else fetches it.
pub(super) struct Lane {
    id: u64,
    pub range: Range<u64>,
    /// Bytes before it have come.
    pub received: u64,
    /// Bytes before it are written, or will be by the job under way.
    pub written: u64,
    /// Part of the sequential fill, not wanted by a reader.
    pub chunk: bool,
    ended: bool,
    /// What a connection beside the fill's first holds.
    place: Option<Lock>,
    _task: Task,
}

/// A task that ends with its handle.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// All lanes of a run.
pub(super) struct Lanes<F> {
    /// What makes their sources; None once it is known that ranges cannot be had.
    fork: Option<F>,
    all: Vec<Lane>,
    words: mpsc::Sender<(u64, Word)>,
    pub inbox: mpsc::Receiver<(u64, Word)>,
    next: u64,
    runtime: Handle,
    locks: Arc<Locks>,
    /// The keys of places for connections beside the first; None: any number.
    places: Option<Arc<[u64]>>,
}

impl<F: Source<Fork = F> + 'static> Lanes<F> {
    pub(super) fn new(fork: Option<F>, places: Option<Arc<[u64]>>, locks: Arc<Locks>, runtime: Handle) -> Self {
        let (words, inbox) = mpsc::channel(PIECES);
        Self { fork, all: Vec::new(), words, inbox, next: 0, runtime, locks, places }
    }

    /// A source for a range, if ranges can be had.
    pub(super) fn fork(&self) -> Option<F> {
        self.fork.as_ref().and_then(Source::fork)
    }

    /// Whether ranges can be had.
    pub(super) fn can(&self) -> bool {
        self.fork.is_some()
    }

    /// Ranges cannot be had.
    pub(super) fn give_up(&mut self) {
        self.fork = None;
        self.drop_all();
    }

    /// Ends all lanes. What they said before is not listened to.
    pub(super) fn drop_all(&mut self) {
        self.all.clear();
    }

    /// Fetches a range, if there may be a connection for it; `beside`: beside another.
    pub(super) fn fetch(&mut self, range: Range<u64>, chunk: bool, beside: bool) -> bool {
        let mut place = None;
        if let Some(places) = self.places.as_ref().filter(|_| beside) {
            place = places.iter().find_map(|key| self.locks.try_lock(*key).ok().flatten());
            if place.is_none() {
                return false;
            }
        }
        let source = self.fork();
        source.is_some_and(|source| {
            self.start(source, range, chunk, place, false);
            true
        })
    }

    /// Goes on with a source that has begun with its range.
    pub(super) fn adopt(&mut self, source: F, range: Range<u64>) {
        self.start(source, range, false, None, true);
    }

    fn start(&mut self, mut source: F, range: Range<u64>, chunk: bool, place: Option<Lock>, begun: bool) {
        let (id, words) = (self.next, self.words.clone());
        self.next += 1;
        let Range { start, end } = range;
        let task = self.runtime.spawn(async move {
            let end = pull(&mut source, start, end, begun, |word| words.send((id, word))).await;
            // Nobody listens any more if the run is over.
            let _ = words.send((id, Word::End(end))).await;
        });
        let lane = Lane { id, range, received: start, written: start, chunk, ended: false, place, _task: Task(task) };
        self.all.push(lane);
    }

    /// The lane that said something, if it is still listened to.
    pub(super) fn get(&mut self, id: u64) -> Option<&mut Lane> {
        self.all.iter_mut().find(|lane| lane.id == id)
    }

    /// The lane whose range has this byte.
    pub(super) fn at(&self, offset: u64) -> Option<&Lane> {
        self.all.iter().find(|lane| lane.range.contains(&offset))
    }

    pub(super) fn at_mut(&mut self, offset: u64) -> Option<&mut Lane> {
        self.all.iter_mut().find(|lane| lane.range.contains(&offset))
    }

    /// Where the first lane past `offset` begins.
    pub(super) fn next_start(&self, offset: u64) -> Option<u64> {
        self.all.iter().map(|lane| lane.range.start).filter(|start| *start > offset).min()
    }

    /// How many fetch for the sequential fill (`chunk`), or for readers.
    pub(super) fn count(&self, chunk: bool) -> usize {
        self.all.iter().filter(|lane| lane.chunk == chunk && !lane.ended).count()
    }

    /// How many fetch.
    pub(super) fn open(&self) -> usize {
        self.count(true) + self.count(false)
    }

    /// Ends a lane. What it said before is not listened to.
    pub(super) fn drop(&mut self, id: u64) {
        self.all.retain(|lane| lane.id != id);
    }

    /// Forgets lanes whose bytes are all written.
    pub(super) fn sweep(&mut self) {
        self.all.retain(|lane| !lane.ended || lane.written < lane.range.end);
    }
}

impl Lane {
    /// It has said everything; whether that is its whole range.
    pub(super) fn end(&mut self) -> bool {
        self.ended = true;
        self.place = None;
        self.received == self.range.end
    }
}

async fn pull<F, W>(source: &mut F, start: u64, end: u64, begun: bool, say: impl Fn(Word) -> W) -> Result<(), Failure>
where
    F: Source,
    W: Future<Output = Result<(), mpsc::error::SendError<(u64, Word)>>>,
{
    if !begun {
        let begun = source.begin_range(start, end).await?;
        let whole = begun.whole;
        if say(Word::Began(begun)).await.is_err() || whole {
            return Ok(());
        }
    }
    while let Some(piece) = source.next().await? {
        if say(Word::Piece(piece)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}
