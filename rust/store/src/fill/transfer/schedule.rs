//! What is fetched next: what readers wait for, then what the frontier needs.

use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use super::{BATCH, Transfer};
use crate::source::Source;

/// Bytes of a range of the sequential fill, at most.
const CHUNK: u64 = 8 << 20;
/// Bytes of a range that readers wait for, at most.
const WANTED: u64 = 4 << 20;
/// Ranges for readers under way at once.
const MOST_WANTED: usize = 8;
/// How long there must be nothing to fetch before a run ends with that.
const IDLE: Duration = Duration::from_secs(1);
/// What an open stream brings within this time, in seconds, is not fetched beside it.
const NEAR: f64 = 0.05;

impl<F: Source<Fork = F> + 'static> Transfer<'_, F> {
    /// Looks at the pace and begins the fetches that are due.
    pub(super) fn look(&mut self) {
        let missing = self.state.size().map_or(0, |size| size.saturating_sub(self.frontier));
        self.pace.look(missing, self.length < BATCH / 4);
        self.schedule();
    }

    /// Whether there has been nothing to fetch for a while, as readers of ranges have what they want.
    pub(super) fn rests(&mut self) -> bool {
        let busy = self.fill.is_full() || self.connections() > 0 || self.has_work() || self.state.size().is_none();
        self.idle = if busy || !self.lanes.can() { None } else { self.idle.or_else(|| Some(Instant::now())) };
        self.idle.is_some_and(|since| since.elapsed() >= IDLE)
    }

    /// Begins the fetches that are due: what readers wait for, then what the frontier needs next.
    pub(super) fn schedule(&mut self) {
        self.bell = self.state.bell();
        let full = self.fill.look_if_full();
        let Some(size) = self.state.size().filter(|_| self.lanes.can()) else { return };
        if !full && self.streaming {
            self.streaming = false;
        }
        let mut from = 0;
        while self.lanes.count(false) < MOST_WANTED
            && let Some(range) = self.next_wanted(from, size)
        {
            from = range.end;
            if !self.fetch(range, false) {
                return;
            }
        }
        while full && let Some(range) = self.last_chunk(size).or_else(|| self.next_chunk(size)) {
            let most = if self.streaming {
                self.pace.width()
            } else if range.end - range.start < CHUNK / 8 {
                // Between blocks that are there already: each costs a round trip, so several are under way.
                self.pace.most()
            } else {
                // The next range is asked for before the last has come.
                self.pace.width().max(2.min(self.pace.most()))
            };
            if self.lanes.count(true) + usize::from(self.streaming) >= most {
                break;
            }
            if !self.fetch(range, true) {
                break;
            }
        }
    }

    /// Fetches a range by a lane, if there may be a connection for it.
    fn fetch(&mut self, range: Range<u64>, chunk: bool) -> bool {
        let beside = self.connections() > 0;
        let start = range.start;
        let fetched = !(beside && self.pace.is_refused()) && self.lanes.fetch(range, chunk, beside);
        if fetched && start >= self.streamed {
            self.limit = self.limit.min(start);
        }
        fetched
    }

    /// Ends a lane; what it brought that is not written yet is fetched again.
    pub(super) fn forget(&mut self, id: u64) {
        if let Some(lane) = self.lanes.get(id) {
            let unwritten = lane.written..lane.received;
            self.pending.retain(|(offset, _)| !unwritten.contains(offset));
            self.length = self.pending.iter().map(|(_, bytes)| bytes.len()).sum();
        }
        self.lanes.drop(id);
        let block = self.state.block();
        let present = self.state.next_present(self.streamed.div_ceil(block)).map(|present| present * block);
        self.limit = present.into_iter().chain(self.lanes.next_start(self.streamed)).min().unwrap_or(u64::MAX);
    }

    /// How many there are now.
    pub(super) fn connections(&self) -> usize {
        self.lanes.open() + usize::from(self.streaming)
    }

    /// Ranges cannot be had here.
    pub(super) fn give_up(&mut self) {
        self.lanes.give_up();
        self.pace.set_ignores_ranges();
    }

    /// Where a range that has this block may begin: bytes before the frontier are there.
    fn begin_of(&self, block: u64) -> u64 {
        (block * self.state.block()).max(self.frontier).max(self.streamed.min((block + 1) * self.state.block()))
    }

    /// The next blocks that readers wait for and nobody fetches, at or past `from`.
    fn next_wanted(&self, from: u64, size: u64) -> Option<Range<u64>> {
        let block = self.state.block();
        // What comes by the open stream soon is waited for.
        let near = if self.streaming {
            (self.streamed + self.pace.bytes_in(NEAR).clamp(2 * block, 2 * CHUNK)).next_multiple_of(block)
        } else {
            self.streamed
        };
        self.next_free(
            from.max(self.frontier).max(near) / block,
            size,
            |at| self.state.next_wanted(at),
            |at, start| {
                let mut end = at + 1;
                while self.state.is_wanted(end) && end * block < size && end * block - start < WANTED {
                    end += 1;
                }
                end * block
            },
        )
    }

    /// The end of what the open stream is to bring, while a second connection is tried: if that brings nothing, the stream goes on to
    /// there, and the trial has cost one request.
    fn last_chunk(&self, size: u64) -> Option<Range<u64>> {
        if !self.streaming || !self.pace.tries_second() {
            return None;
        }
        let end = self.limit.min(size);
        let start = end.saturating_sub(CHUNK).next_multiple_of(self.state.block());
        (start >= self.beyond_stream() && start < end).then_some(start..end)
    }

    /// From where on the open stream brings nothing soon.
    fn beyond_stream(&self) -> u64 {
        (self.streamed + self.pace.bytes_in(1.0).max(CHUNK)).next_multiple_of(self.state.block())
    }

    /// The next bytes past the frontier that are absent and nobody fetches.
    fn next_chunk(&self, size: u64) -> Option<Range<u64>> {
        let block = self.state.block();
        let from = if self.streaming { self.beyond_stream() } else { self.streamed.max(self.frontier) };
        self.next_free(
            from / block,
            size,
            |at| Some(self.state.next_absent(at)),
            |at, start| {
                let present = self.state.next_present(at).map_or(size, |present| present * block);
                present.min((start + CHUNK).next_multiple_of(block))
            },
        )
    }

    /// The next range that nobody fetches: from a block on that `next` finds, to the byte that `end` tells for it, or another's range.
    fn next_free(
        &self,
        mut at: u64,
        size: u64,
        next: impl Fn(u64) -> Option<u64>,
        end: impl Fn(u64, u64) -> u64,
    ) -> Option<Range<u64>> {
        loop {
            at = next(at)?;
            let start = self.begin_of(at);
            if start >= size {
                return None;
            }
            if let Some(lane) = self.lanes.at(start) {
                at = lane.range.end.div_ceil(self.state.block());
                continue;
            }
            let end = end(at, start).min(size).min(self.lanes.next_start(start).unwrap_or(size));
            if start < end {
                return Some(start..end);
            }
            at += 1;
        }
    }
}
