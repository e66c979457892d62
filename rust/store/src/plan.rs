//! Plans: the bodies of responses, as bytes in order.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::reader::{self, Held, Window};
use crate::through::Through;
use crate::{Cause, Digest, Failure, fs};

/// A response body, read in order.
pub struct Plan {
    body: Body,
}

enum Body {
    Stored(Stored),
    Through(Through),
}

/// A body of bytes that are in the store, or come to be.
struct Stored {
    held: Arc<Held>,
    segments: Vec<Segment>,
    length: Option<u64>,
}

/// What is left of one part of a body; first to last from the end of the list, so that a finished one is popped.
enum Segment {
    /// Framing of a multipart.
    Frame(Bytes),
    /// Bytes `start..end` of the blob; no end: up to wherever the blob ends.
    Part { start: u64, end: Option<u64>, held_back: bool, wish: Wish },
}

/// Bytes read at first and at most ahead of a reader of a range that may be left before its end.
const FIRST_STEP: u64 = 128 << 10;
const MOST_STEP: u64 = 2 << 20;
/// How often a waiting reader wants its bytes again: an heir may not have heard.
const WANT_EVERY: Duration = Duration::from_millis(500);

/// What was wanted of a part: a little more than was read, since nobody says how much of an open-ended range a client will read.
struct Wish {
    /// Wanted up to here.
    until: u64,
    step: u64,
}

impl Wish {
    /// Wants what a reader at `start` needs soon, if it does not wait for it already; `again`: whatever was wanted before.
    fn grow(&mut self, held: &Held, start: u64, end: u64, again: bool) {
        if self.until < end && start + self.step / 2 >= self.until {
            let from = self.until.max(start);
            self.until = end.min(start + self.step).max(self.until);
            self.step = MOST_STEP.min(2 * self.step);
            held.want(from..self.until);
        } else if again {
            held.want(start..self.until);
        }
    }
}

/// The next bytes that can be had.
enum Ahead<'a> {
    End,
    Wait,
    Frame(&'a mut Bytes),
    Part(&'a mut u64, Window, usize),
}

impl Plan {
    pub(crate) fn through(through: Through) -> Self {
        Self { body: Body::Through(through) }
    }

    pub(crate) fn stored(held: Arc<Held>, ranges: &[(u64, u64)], boundary: &str) -> Self {
        let size = held.size();
        // Past the end there is nothing to wait for.
        let part = |start, end: Option<u64>| {
            let end = end.map(|end| size.map_or(end, |size| end.min(size)));
            let held_back = start == 0 && (end.is_none() || end == size);
            if held_back {
                held.become_whole();
            }
            let step = if end == size { FIRST_STEP } else { MOST_STEP };
            Segment::Part { start, end, held_back, wish: Wish { until: start, step } }
        };
        let segments = match (size, ranges) {
            (None, _) => vec![part(0, None)],
            (Some(size), []) => vec![part(0, Some(size))],
            (Some(_), [(start, end)]) => vec![part(*start, Some(*end))],
            (Some(size), ranges) => {
                let mut segments = Vec::with_capacity(2 * ranges.len() + 1);
                let mut lead = "";
                for (start, end) in ranges {
                    let frame = format!(
                        "{lead}--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {start}-{}/{size}\r\n\r\n",
                        end.saturating_sub(1)
                    );
                    segments.push(Segment::Frame(frame.into()));
                    segments.push(part(*start, Some(*end)));
                    lead = "\r\n";
                }
                segments.push(Segment::Frame(format!("\r\n--{boundary}--\r\n").into()));
                segments.reverse();
                segments
            }
        };
        let lengths = segments.iter().map(|segment| match segment {
            Segment::Frame(frame) => Some(frame.len() as u64),
            Segment::Part { start, end, .. } => end.map(|end| end.saturating_sub(*start)),
        });
        Self { body: Body::Stored(Stored { length: lengths.sum(), held, segments }) }
    }

    /// Bytes of the whole body, framing included; None where the size is unknown.
    pub fn length(&self) -> Option<u64> {
        match &self.body {
            Body::Stored(stored) => stored.length,
            Body::Through(through) => through.length(),
        }
    }

    /// Waits until the first byte can be had and answers `length`.
    pub async fn begin(&mut self) -> Result<Option<u64>, Failure> {
        match &mut self.body {
            Body::Stored(stored) => stored.wait().await?,
            Body::Through(through) => through.begin().await?,
        }
        Ok(self.length())
    }

    /// How many bytes, up to `limit`, the next [`Plan::take`] may deliver; None if there are none yet; 0 at the end. Fails with the
    /// fill's failure.
    pub fn available(&mut self, limit: usize) -> Result<Option<usize>, Failure> {
        match &mut self.body {
            Body::Stored(stored) => stored.available(limit),
            Body::Through(through) => through.available(limit),
        }
    }

    /// Fills `buffer` with the next bytes, as far as that needs no waiting for network or disk; None if there are none yet; 0 at the
    /// end. Fails with the fill's failure.
    pub fn take(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Failure> {
        match &mut self.body {
            Body::Stored(stored) => stored.take(buffer),
            Body::Through(through) => through.take(buffer),
        }
    }

    /// Waits until the fill has something to take, or until the end. Whether the disk has to be waited for shows at [`Plan::take`].
    /// Dropping the future loses no byte. Fails with the fill's failure.
    pub async fn wait(&mut self) -> Result<(), Failure> {
        match &mut self.body {
            Body::Stored(stored) => stored.wait().await,
            Body::Through(through) => through.wait().await,
        }
    }

    /// Up to `limit` next bytes, waited for; empty at the end. Dropping the future loses no byte. Fails with the fill's failure.
    pub async fn next(&mut self, limit: usize) -> Result<Vec<u8>, Failure> {
        // Nothing would look like the end.
        let limit = limit.max(1);
        loop {
            self.wait().await?;
            let Some(length) = self.available(limit)? else { continue };
            let mut buffer = vec![0; length];
            let count = match (self.take(&mut buffer)?, &mut self.body) {
                (Some(count), _) => count,
                (None, Body::Stored(stored)) => match stored.read(buffer).await? {
                    Some((read, count)) => {
                        buffer = read;
                        count
                    }
                    None => continue,
                },
                (None, Body::Through(_)) => continue,
            };
            buffer.truncate(count);
            return Ok(buffer);
        }
    }
}

impl Stored {
    /// The next bytes, with finished segments out of the way.
    fn ahead(&mut self) -> Result<Ahead<'_>, Failure> {
        // Asked at every step, so that a failed fill ends even a body that is in the middle of its framing.
        while let Some(segment) = self.segments.last() {
            let done = match segment {
                Segment::Frame(frame) => frame.is_empty(),
                Segment::Part { start, end: Some(end), .. } => start >= end,
                Segment::Part { start, end: None, held_back, .. } => {
                    let window = self.held.window(*start, *held_back)?;
                    window.size == Some(*start) && window.limit == *start
                }
            };
            if !done {
                break;
            }
            self.segments.pop();
        }
        match self.segments.last_mut() {
            None => Ok(Ahead::End),
            Some(Segment::Frame(frame)) => {
                self.held.window(0, false)?;
                Ok(Ahead::Frame(frame))
            }
            Some(Segment::Part { start, end, held_back, .. }) => {
                let window = self.held.window(*start, *held_back)?;
                let limit = end.map_or(window.limit, |end| end.min(window.limit));
                match usize::try_from(limit.saturating_sub(*start)) {
                    Ok(0) => Ok(Ahead::Wait),
                    most => Ok(Ahead::Part(start, window, most.unwrap_or(usize::MAX))),
                }
            }
        }
    }

    fn available(&mut self, limit: usize) -> Result<Option<usize>, Failure> {
        // Only what the first segment can give: more is another call, and a limit is no promise.
        Ok(match self.ahead()? {
            Ahead::End => Some(0),
            Ahead::Wait => None,
            Ahead::Frame(frame) => Some(frame.len().min(limit)),
            Ahead::Part(_, _, most) => Some(most.min(limit)),
        })
    }

    fn take(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Failure> {
        if buffer.is_empty() {
            return self.available(0);
        }
        let held = Arc::clone(&self.held);
        let mut done = 0;
        while done < buffer.len() {
            let room = &mut buffer[done..];
            match self.ahead()? {
                Ahead::End if done == 0 => return Ok(Some(0)),
                Ahead::End | Ahead::Wait => break,
                Ahead::Frame(frame) => {
                    let piece = frame.split_to(frame.len().min(room.len()));
                    room[..piece.len()].copy_from_slice(&piece);
                    done += piece.len();
                }
                Ahead::Part(position, window, most) => {
                    let Some(file) = window.file else { break };
                    let most = most.min(room.len());
                    match fs::read_cached(&file, &mut room[..most], *position) {
                        Ok(None) => break,
                        Ok(Some(0)) => return Err(short(held.digest(), *position)),
                        Ok(Some(count)) => {
                            *position += count as u64;
                            done += count;
                        }
                        Err(error) => return Err(Failure::io_of(held.digest(), &error)),
                    }
                }
            }
        }
        self.want(false);
        Ok((done > 0).then_some(done))
    }

    /// Wants what comes next, of a few parts after this one, too; `again`: even if it was wanted before.
    fn want(&mut self, again: bool) {
        if !matches!(self.held.bytes, reader::Bytes::Filling(_)) {
            return;
        }
        let mut room = 2 * MOST_STEP;
        for segment in self.segments.iter_mut().rev() {
            let Segment::Part { start, end: Some(end), held_back: false, wish } = segment else { continue };
            wish.grow(&self.held, *start, *end, again);
            // However small a part is: it costs a request.
            room = room.saturating_sub(wish.until.saturating_sub(*start).max(FIRST_STEP));
            if room == 0 {
                return;
            }
        }
    }

    /// Reads on the blocking pool, as the disk has to be waited for. None: there is nothing to read after all.
    async fn read(&mut self, mut buffer: Vec<u8>) -> Result<Option<(Vec<u8>, usize)>, Failure> {
        let held = Arc::clone(&self.held);
        let Ahead::Part(position, Window { file: Some(file), .. }, most) = self.ahead()? else {
            return Ok(None);
        };
        let offset = *position;
        let most = most.min(buffer.len());
        let reading = held.store.blocking(move || {
            let count = fs::read_at(&file, &mut buffer[..most], offset);
            (buffer, count)
        });
        let (buffer, count) = reading.await?;
        let count = count.map_err(|error| Failure::io_of(held.digest(), &error))?;
        if count == 0 {
            return Err(short(held.digest(), offset));
        }
        *position += count as u64;
        Ok(Some((buffer, count)))
    }

    /// Waits until there is something to take, or the end.
    async fn wait(&mut self) -> Result<(), Failure> {
        let held = Arc::clone(&self.held);
        let mut watch = match &held.bytes {
            reader::Bytes::Committed { .. } => return Ok(()),
            reader::Bytes::Filling(generation) => generation.watch(),
        };
        let mut again = true;
        loop {
            watch.borrow_and_update();
            if !matches!(self.ahead()?, Ahead::Wait) {
                return Ok(());
            }
            self.want(again);
            match tokio::time::timeout(WANT_EVERY, watch.changed()).await {
                Ok(Ok(())) => again = false,
                Ok(Err(_)) => return Err(Failure::interrupted(format!("{}: the fill is gone", held.digest()))),
                Err(_) => again = true,
            }
        }
    }
}

/// A file that ends before its size says so: never a clean end of a body.
fn short(name: &Digest, at: u64) -> Failure {
    Failure::new(Cause::Storage, format!("{name}: its file ends at {at}, before its size"))
}
