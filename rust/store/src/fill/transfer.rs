//! Where a run's bytes come from at each moment: one open stream from the frontier on, or ranges over several connections, those that
//! readers wait for first. A batch is written as soon as the one before is done, so that the first bytes of a slow source are seen at
//! once and a fast one is written in large batches. What is fetched next is in `schedule`.

mod schedule;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::ahead::Ahead;
use super::lanes::{Lanes, Word};
use super::pace::Pace;
use super::run::Turn;
use super::state::State;
use super::{Do, End, Fill, Generation, Saw, WANTED_FOR, lock};
use crate::source::{Begun, Route, Source};
use crate::{Cause, Failure};

/// Bytes that are collected while a batch is being written.
const BATCH: usize = 1 << 20;
/// Bytes asked for where the size is not known, at most.
const PROBE: u64 = 256 << 10;
/// Bytes hashed at once that were placed before.
const GATHER: u64 = 4 << 20;

/// One run's fetches.
pub(super) struct Transfer<'a, F: Source> {
    fill: &'a Fill,
    turn: &'a Turn,
    state: &'a Arc<State>,
    lanes: Lanes<F>,
    pace: Pace,
    pending: Vec<(u64, Bytes)>,
    length: usize,
    /// The frontier as of the job under way.
    frontier: u64,
    /// The bell when it was last looked what is wanted.
    bell: u64,
    /// Whether the open stream is under way.
    streaming: bool,
    /// Bytes before it came by the open stream, or were there before it.
    streamed: u64,
    /// The open stream ends here: what follows is there or fetched by a lane.
    limit: u64,
    /// Since when there is nothing to fetch.
    idle: Option<Instant>,
}

/// What a lane's word leads to.
enum Heard {
    Fine,
    /// It leads out of the transfer.
    Leave(Saw),
}

impl<'a, F: Source<Fork = F> + 'static> Transfer<'a, F> {
    pub(super) fn new(fill: &'a Fill, turn: &'a Turn, fork: Option<F>, route: Route) -> Self {
        let store = &fill.driving.store;
        let host = store.hosts.host(route.host);
        let fork = fork.filter(|_| !host.ignores_ranges());
        let (locks, runtime) = (Arc::clone(&store.locks), store.runtime.clone());
        Self {
            fill,
            turn,
            state: &fill.state,
            lanes: Lanes::new(fork, route.places, Arc::clone(&locks), runtime),
            pace: Pace::new(host, locks, store.config.connections),
            pending: Vec::new(),
            length: 0,
            frontier: fill.frontier(),
            bell: fill.state.bell(),
            streaming: false,
            streamed: 0,
            limit: 0,
            idle: None,
        }
    }

    /// [`Do::Ask`]: by an open stream, if the whole blob is to be brought and nothing of it is there past the frontier.
    pub(super) async fn ask<S: Source<Fork = F>>(&mut self, source: &mut S, offset: u64) -> Saw {
        let full = self.fill.look_if_full();
        let known = self.state.size();
        let block = self.state.block();
        let ahead = known.and(self.state.next_present(offset / block));
        self.lanes.drop_all();
        (self.streamed, self.limit) = (offset, offset);
        if self.lanes.can() && (ahead.is_some() || !full) {
            if known.is_some() {
                return Saw::Begun(known);
            }
            match self.probe(offset).await {
                Ok(None) => {}
                Ok(size) => return Saw::Begun(size),
                Err(failure) => return Saw::Broke(failure),
            }
        }
        match source.begin(offset).await {
            Ok(begun) => {
                self.streaming = true;
                // Without ranges, what is there comes once more.
                self.limit = ahead.filter(|_| self.lanes.can()).map_or(u64::MAX, |ahead| (ahead * block).max(offset));
                Saw::Begun(begun.size)
            }
            Err(failure) => Saw::Broke(failure),
        }
    }

    /// Learns the size by a range, the first that was asked for; None if ranges cannot be had.
    async fn probe(&mut self, offset: u64) -> Result<Option<u64>, Failure> {
        let Some(mut source) = self.lanes.fork() else { return Ok(None) };
        let block = self.state.block();
        let first = self.fill.driving.generation.first().unwrap_or(0..block);
        let start = (first.start / block * block).max(offset);
        let end = first.end.min(first.start.saturating_add(PROBE)).next_multiple_of(block).max(start + block);
        match source.begin_range(start, end).await? {
            Begun { size: Some(size), whole: false } => {
                // A block of a larger blob is larger; then what comes is not worth the trouble.
                if start < size && super::block_size(Some(size)) == block {
                    self.lanes.adopt(source, start..end.min(size));
                }
                Ok(Some(size))
            }
            Begun { whole: true, .. } => {
                self.give_up();
                Ok(None)
            }
            // A range of it without its size: this body as a whole, then, which says nothing of the host's others.
            Begun { size: None, .. } => {
                self.lanes.give_up();
                Ok(None)
            }
        }
    }

    /// Pulls and writes until the machine wants something else; None once there has been nothing to fetch for a while.
    pub(super) async fn run<S: Source<Fork = F>>(
        &mut self,
        source: &mut S,
        mut unwanted: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Option<Do>, Failure> {
        let (state, generation) = (self.state, &*self.fill.driving.generation);
        let mut writing = pin!(None);
        self.frontier = state.frontier();
        self.schedule();
        loop {
            let streaming = self.streaming;
            if !streaming {
                source.stop();
            }
            // Polled until it has something, or is not needed any more.
            let mut next = pin!(stream(source, streaming));
            let last = loop {
                tokio::select! {
                    biased;
                    () = &mut unwanted => break Some(Saw::Stop),
                    Some(written) = resolve(writing.as_mut()) => {
                        writing.set(None);
                        if let Some(then) = leaving(written?) {
                            return Ok(Some(then));
                        }
                        self.lanes.sweep();
                        self.look();
                    }
                    piece = &mut next, if self.length < BATCH => match piece {
                        Ok(Some(bytes)) => {
                            self.take_streamed(bytes);
                            break None;
                        }
                        Ok(None) => break Some(Saw::Ended),
                        Err(failure) => break Some(Saw::Broke(failure)),
                    },
                    Some((lane, word)) = self.lanes.inbox.recv(), if self.length < BATCH => match self.hear(lane, word) {
                        Heard::Fine => {}
                        Heard::Leave(saw) => break Some(saw),
                    },
                    () = std::future::ready(()), if writing.is_none() && self.has_work() => {
                        writing.set(Some(self.job()));
                    }
                    () = nudged(state, generation, self.bell) => {
                        self.look();
                        if writing.is_none() && self.rests() {
                            return Ok(None);
                        }
                    }
                }
                if streaming && !self.streaming {
                    break None;
                }
            };
            let Some(last) = last else { continue };
            // What has come is kept, whatever ends the transfer.
            if let Some(written) = resolve(writing.as_mut()).await
                && let Some(then) = leaving(written?)
            {
                return Ok(Some(then));
            }
            if self.length > 0
                && let Some(then) = leaving(self.job().await?)
            {
                return Ok(Some(then));
            }
            self.streaming = false;
            self.lanes.drop_all();
            return self.fill.tell(self.turn, last).await.map(Some);
        }
    }

    /// Takes a piece of the open stream, up to where others have brought or bring the bytes.
    fn take_streamed(&mut self, mut bytes: Bytes) {
        self.pace.add(bytes.len());
        if let Ok(most) = usize::try_from(self.limit - self.streamed) {
            bytes.truncate(most);
        }
        self.push(self.streamed, bytes.clone());
        self.streamed += bytes.len() as u64;
        if self.streamed == self.limit && self.state.size() != Some(self.limit) {
            self.streaming = false;
            self.schedule();
        }
    }

    fn push(&mut self, offset: u64, bytes: Bytes) {
        self.length += bytes.len();
        self.pending.push((offset, bytes));
    }

    fn hear(&mut self, id: u64, word: Word) -> Heard {
        let Some(lane) = self.lanes.get(id) else { return Heard::Fine };
        match word {
            Word::Began(Begun { whole: true, .. }) => {
                self.give_up();
                let nothing_ahead = self.state.next_present(self.streamed / self.state.block()).is_none()
                    && self.pending.iter().all(|(offset, _)| *offset < self.streamed);
                if self.streaming && nothing_ahead {
                    self.limit = u64::MAX;
                    return Heard::Fine;
                }
                return Heard::Leave(Saw::Again);
            }
            Word::Began(begun) => {
                if let Some((told, known)) = begun.size.zip(self.state.size()).filter(|(told, known)| told != known) {
                    let message = format!(
                        "{}: upstream announces {told} bytes where {known} were announced before",
                        self.fill.digest()
                    );
                    return Heard::Leave(Saw::Failed(Failure::new(Cause::SizeMismatch, message)));
                }
            }
            Word::Piece(mut bytes) => {
                if let Ok(most) = usize::try_from(lane.range.end - lane.received) {
                    bytes.truncate(most);
                }
                let offset = lane.received;
                lane.received += bytes.len() as u64;
                self.pace.add(bytes.len());
                self.push(offset, bytes);
            }
            Word::End(Ok(())) => {
                if !lane.end() {
                    let message = format!("{}: upstream's range ended at {}", self.fill.digest(), lane.received);
                    return Heard::Leave(Saw::Broke(Failure::new(Cause::Upstream, message)));
                }
                self.schedule();
            }
            Word::End(Err(failure)) => {
                let others = self.connections() - 1;
                if others == 0 || !keeps_others(failure.cause) {
                    return Heard::Leave(Saw::Broke(failure));
                }
                // A connection too many costs itself alone: its range comes over the others.
                self.forget(id);
                self.pace.refused(others, failure.retry_after);
            }
        }
        Heard::Fine
    }

    fn has_work(&self) -> bool {
        self.length > 0 || self.gatherable(self.frontier) > 0
    }

    /// Bytes from `frontier` on that are placed already.
    fn gatherable(&self, frontier: u64) -> u64 {
        let Some(size) = self.state.size() else { return 0 };
        let mut end = frontier;
        while end < size && end - frontier < GATHER {
            let further = match self.lanes.at(end).filter(|lane| lane.written > end) {
                Some(lane) => lane.written,
                None => self.state.present_until(end, size),
            };
            if further == end {
                break;
            }
            end = further;
        }
        end - frontier
    }

    /// Writes what is pending and hashes what the frontier reaches, on a blocking thread.
    fn job(&mut self) -> impl Future<Output = Result<Do, Failure>> + Send + use<F> {
        let block = self.state.block();
        let size = self.state.size();
        let mut sequence = Vec::new();
        let mut ahead = Ahead::default();
        let mut frontier = self.frontier;
        for (offset, bytes) in std::mem::take(&mut self.pending) {
            let end = offset + bytes.len() as u64;
            if let Some(lane) = self.lanes.at_mut(offset) {
                let whole = |end: u64| if Some(end) == size { end.div_ceil(block) } else { end / block };
                let first = whole(lane.written).max(lane.range.start.div_ceil(block));
                lane.written = end;
                if offset > frontier && first < whole(end) {
                    ahead.blocks.push(first..whole(end));
                }
            }
            // A stream brings what is there once more where ranges cannot be had: what was hashed stays as it is.
            if offset > frontier {
                ahead.pieces.push((offset, bytes));
            } else if end > frontier {
                sequence.push(super::ahead::from(frontier, offset, &bytes));
                frontier = end;
            }
        }
        ahead.trim(frontier);
        let written = frontier - self.frontier;
        let gather = self.gatherable(frontier);
        self.length = 0;
        self.frontier = frontier + gather;
        let (work, turn) = (self.fill.work.clone(), Arc::clone(self.turn));
        self.fill.driving.store.blocking(move || {
            let _turn = turn;
            let Some(work) = work else { return Do::End(End::Stopped) };
            let mut work = lock(&work);
            let mut step = Do::Receive;
            if written > 0 {
                work.disk.take_batch(sequence);
                step = work.tell(Saw::Received(written));
            }
            if step == Do::Receive && !ahead.pieces.is_empty() {
                work.disk.take_ahead(ahead);
                step = work.tell(Saw::Ahead);
            }
            if step == Do::Receive && gather > 0 {
                step = work.tell(Saw::Contiguous(gather));
            }
            step
        })
    }
}

/// Whether upstream may have refused a connection for there being others.
fn keeps_others(cause: Cause) -> bool {
    matches!(cause, Cause::RateLimited | Cause::Unreachable | Cause::Timeout | Cause::Upstream)
}

/// The next piece of the open stream; never, if there is none.
async fn stream<S: Source>(source: &mut S, streaming: bool) -> Result<Option<Bytes>, Failure> {
    if streaming { source.next().await } else { std::future::pending().await }
}

/// Somebody of this process wants something, or may of another.
pub(super) async fn nudged(state: &State, generation: &Generation, bell: u64) {
    let others = state.last_wanted() <= WANTED_FOR;
    let (pause, looks) = if others { (Duration::from_millis(2), 10) } else { (Duration::from_millis(20), 1) };
    let rung = async {
        for _ in 0..looks {
            if state.bell() != bell {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    };
    tokio::select! {
        () = generation.wants.notified() => {}
        () = rung => {}
    }
}

/// The step, unless it is to go on receiving.
fn leaving(step: Do) -> Option<Do> {
    (step != Do::Receive).then_some(step)
}

/// The value of a future that may not be there; None for ever if it is not, so that select passes it by.
async fn resolve<F: Future>(future: Pin<&mut Option<F>>) -> Option<F::Output> {
    match future.as_pin_mut() {
        Some(future) => Some(future.await),
        None => None,
    }
}
