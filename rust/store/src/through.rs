//! Passing a body through without storing it: for a full disk.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::fill::block_size;
use crate::hasher::Hasher;
use crate::{Begun, Cause, Digest, Failure, Source};

/// Pieces under way between the source and the reader.
const PIECES: usize = 4;

/// The reading end.
pub(crate) struct Through {
    begun: watch::Receiver<Option<Begun>>,
    pieces: mpsc::Receiver<Result<Bytes, Failure>>,
    piece: Bytes,
    state: At,
}

enum At {
    Body,
    End,
    Failed(Failure),
}

/// Begins to pull from `source`; ends when the reading end is dropped.
pub(crate) fn start<S: Source + 'static>(source: S, digest: Digest, runtime: &Handle) -> Through {
    let (size, begun) = watch::channel(None);
    let (sender, pieces) = mpsc::channel(PIECES);
    runtime.spawn(async move {
        if let Err(Some(failure)) = pull(source, &digest, &size, &sender).await {
            // A reader that is gone needs no word.
            let _ = sender.send(Err(failure)).await;
        }
    });
    Through { begun, pieces, piece: Bytes::new(), state: At::Body }
}

/// None as failure: the reader is gone.
async fn pull<S: Source>(
    mut source: S,
    digest: &Digest,
    begun: &watch::Sender<Option<Begun>>,
    sender: &mpsc::Sender<Result<Bytes, Failure>>,
) -> Result<(), Option<Failure>> {
    let gone = sender.closed();
    tokio::pin!(gone);
    let answer = tokio::select! {
        answer = source.begin(0) => answer.map_err(Some)?,
        () = &mut gone => return Err(None),
    };
    begun.send_replace(Some(answer));
    let size = answer.size;
    let mut hasher = Hasher::new(digest.algorithm());
    let mut held = Held::default();
    let mut count: u64 = 0;
    loop {
        let next = tokio::select! {
            next = source.next() => next.map_err(Some)?,
            () = &mut gone => return Err(None),
        };
        let Some(piece) = next else { break };
        count += piece.len() as u64;
        if size.is_some_and(|size| count > size) {
            return Err(Some(wrong_size(digest, size, count)));
        }
        (hasher, held) = hash(hasher, held, piece).await?;
        // The last block waits for the digest (I4): all else may go.
        while let Some(piece) = held.release(block_size(size)) {
            sender.send(Ok(piece)).await.map_err(|_| None)?;
        }
    }
    if size.is_some_and(|size| count != size) {
        return Err(Some(wrong_size(digest, size, count)));
    }
    if !hasher.matches(digest) {
        let message = format!("{digest}: upstream's bytes hash to something else");
        return Err(Some(Failure::new(Cause::DigestMismatch, message)));
    }
    while let Some(piece) = held.release(0) {
        sender.send(Ok(piece)).await.map_err(|_| None)?;
    }
    // An empty piece is the end: a closed channel is none, as its sender may have been killed.
    sender.send(Ok(Bytes::new())).await.map_err(|_| None)
}

/// Hashes on a blocking thread: a piece may be a megabyte.
async fn hash(mut hasher: Hasher, mut held: Held, piece: Bytes) -> Result<(Hasher, Held), Option<Failure>> {
    let hashing = tokio::task::spawn_blocking(move || {
        hasher.update(&piece);
        held.push(piece);
        (hasher, held)
    });
    hashing.await.map_err(|error| Some(Failure::new(Cause::Storage, format!("hashing did not end: {error}"))))
}

fn wrong_size(digest: &Digest, size: Option<u64>, count: u64) -> Failure {
    let size = size.unwrap_or_default();
    Failure::new(Cause::SizeMismatch, format!("{digest}: upstream announced {size} bytes and sent {count}"))
}

/// Hashed pieces that wait.
#[derive(Default)]
struct Held {
    pieces: VecDeque<Bytes>,
    length: u64,
}

impl Held {
    fn push(&mut self, piece: Bytes) {
        self.length += piece.len() as u64;
        self.pieces.push_back(piece);
    }

    /// The oldest bytes, as long as `keep` bytes stay.
    fn release(&mut self, keep: u64) -> Option<Bytes> {
        let spare = self.length.saturating_sub(keep);
        let first = self.pieces.front_mut().filter(|_| spare > 0)?;
        let count = usize::try_from(spare).unwrap_or(usize::MAX).min(first.len());
        let piece = first.split_to(count);
        if first.is_empty() {
            self.pieces.pop_front();
        }
        self.length -= count as u64;
        Some(piece)
    }
}

impl Through {
    pub(crate) fn length(&self) -> Option<u64> {
        self.begun.borrow().and_then(|begun| begun.size)
    }

    pub(crate) async fn begin(&mut self) -> Result<(), Failure> {
        if self.begun.wait_for(Option::is_some).await.is_err() {
            // It failed before it began; its failure is in the channel.
            self.wait().await?;
        }
        Ok(())
    }

    /// Waits until there is something to take, or the end.
    pub(crate) async fn wait(&mut self) -> Result<(), Failure> {
        if self.piece.is_empty() && matches!(self.state, At::Body) {
            let next = self.pieces.recv().await;
            self.receive(next);
        }
        self.check()
    }

    pub(crate) fn available(&mut self, limit: usize) -> Result<Option<usize>, Failure> {
        if self.piece.is_empty() && matches!(self.state, At::Body) {
            match self.pieces.try_recv() {
                Err(mpsc::error::TryRecvError::Empty) => return Ok(None),
                next => self.receive(next.ok()),
            }
        }
        self.check()?;
        Ok(Some(self.piece.len().min(limit)))
    }

    pub(crate) fn take(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Failure> {
        let count = self.available(buffer.len())?;
        if let Some(count) = count {
            buffer[..count].copy_from_slice(&self.piece.split_to(count));
        }
        Ok(count)
    }

    fn receive(&mut self, next: Option<Result<Bytes, Failure>>) {
        match next {
            Some(Ok(piece)) if piece.is_empty() => self.state = At::End,
            Some(Ok(piece)) => self.piece = piece,
            Some(Err(failure)) => self.state = At::Failed(failure),
            None => self.state = At::Failed(Failure::interrupted("passing a body through was stopped")),
        }
    }

    fn check(&self) -> Result<(), Failure> {
        match &self.state {
            At::Failed(failure) => Err(failure.clone()),
            At::Body | At::End => Ok(()),
        }
    }
}
