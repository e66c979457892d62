//! Running a fill: bytes are pulled from the source while the batch before is written and hashed on a blocking thread.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::MissedTickBehavior;

use super::{Do, End, Fill, Outcome, Saw, lock};
use crate::source::Source;
use crate::{Cause, Failure};

/// Bytes that are collected while a batch is being written.
const BATCH: usize = 1 << 20;
/// How often it is asked whether anybody waits for the fill.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// How long a word from another process's readers counts.
const WANTED_FOR: Duration = Duration::from_secs(3);

impl Fill {
    /// Brings bytes from `source` until an outcome.
    ///
    /// Fails with `DigestMismatch` or `SizeMismatch` of a whole body and with the storage causes after these were recorded as the
    /// outcome; any other failure is the source's, the fill is still owned, and the caller runs it again or calls [`Fill::fail`].
    /// Dropping the future stops the fetch at a mark; the fill is still owned.
    pub async fn run<S: Source>(&self, source: &mut S) -> Result<Outcome, Failure> {
        let turn = Arc::new(Arc::clone(&self.turn).lock_owned().await);
        let mut unwanted = pin!(self.unwanted());
        let mut step = self.tell(&turn, Saw::Again).await?;
        loop {
            step = match step {
                Do::Ask(offset) => {
                    let saw = tokio::select! {
                        begun = source.begin(offset) => match begun {
                            Ok(begun) => Saw::Begun(begun.size),
                            Err(failure) => Saw::Broke(failure),
                        },
                        () = &mut unwanted => Saw::Stop,
                    };
                    self.tell(&turn, saw).await?
                }
                Do::Receive => self.transfer(&turn, source, unwanted.as_mut()).await?,
                Do::End(End::Committed) => return Ok(Outcome::Committed),
                Do::End(End::Stopped) if *self.driving.store.closing.borrow() => {
                    return Err(self.driving.store.closed());
                }
                Do::End(End::Stopped) => return Ok(Outcome::Stopped),
                Do::Break(failure) | Do::End(End::Failed(failure) | End::Refused(failure)) => return Err(failure),
                other => {
                    return Err(Failure::new(Cause::Storage, format!("{}: stuck at {other:?}", self.digest())));
                }
            };
        }
    }

    /// Pulls and writes until the machine wants something else. A batch is written as soon as the one before is done and the source
    /// has nothing ready, so that the first bytes of a slow source are seen at once and a fast one is written in large batches.
    async fn transfer<S: Source>(
        &self,
        turn: &Turn,
        source: &mut S,
        mut unwanted: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Do, Failure> {
        let mut pending = Pending::default();
        let mut writing = pin!(None);
        loop {
            // Polled to its end, never dropped half-way: a source may be in the middle of asking again.
            let mut next = pin!(source.next());
            let last = loop {
                tokio::select! {
                    biased;
                    () = &mut unwanted => break Some(Saw::Stop),
                    Some(written) = resolve(writing.as_mut()) => {
                        writing.set(None);
                        if let Some(then) = leaving(written?) {
                            return Ok(then);
                        }
                    }
                    piece = &mut next, if pending.length < BATCH => match piece {
                        Ok(Some(bytes)) => {
                            pending.push(bytes);
                            break None;
                        }
                        Ok(None) => break Some(Saw::Ended),
                        Err(failure) => break Some(Saw::Broke(failure)),
                    },
                    () = std::future::ready(()), if writing.is_none() && pending.length > 0 => {
                        writing.set(Some(self.write(turn, pending.take())));
                    }
                }
            };
            let Some(last) = last else { continue };
            // What has come is kept, whatever ends the transfer.
            if let Some(written) = resolve(writing.as_mut()).await
                && let Some(then) = leaving(written?)
            {
                return Ok(then);
            }
            if pending.length > 0
                && let Some(then) = leaving(self.write(turn, pending.take()).await?)
            {
                return Ok(then);
            }
            return self.tell(turn, last).await;
        }
    }

    /// Writes a batch and hashes it, on a blocking thread.
    fn write(
        &self,
        turn: &Turn,
        (batch, length): (Vec<Bytes>, usize),
    ) -> impl Future<Output = Result<Do, Failure>> + Send + use<> {
        let (work, turn) = (self.work.clone(), Arc::clone(turn));
        self.driving.store.blocking(move || {
            let _turn = turn;
            let Some(work) = work else { return Do::End(End::Stopped) };
            let mut work = lock(&work);
            work.disk.take_batch(batch);
            work.tell(Saw::Received(length as u64))
        })
    }

    /// Tells the machine what a step saw, and drives on, on a blocking thread.
    fn tell(&self, turn: &Turn, saw: Saw) -> impl Future<Output = Result<Do, Failure>> + Send + use<> {
        let (work, turn) = (self.work.clone(), Arc::clone(turn));
        self.driving.store.blocking(move || {
            let _turn = turn;
            work.map_or(Do::End(End::Stopped), |work| lock(&work).tell(saw))
        })
    }

    /// Ends when the fill must stop: the store closes, or nobody waits and policy does not finish it.
    async fn unwanted(&self) {
        let store = &self.driving.store;
        let generation = &self.driving.generation;
        let mut closing = store.closing.subscribe();
        let mut tick = tokio::time::interval(ASK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.tick().await;
        loop {
            tokio::select! {
                _ = closing.wait_for(|closing| *closing) => return,
                _ = tick.tick() => {}
            }
            let idle = !store.table.is_waited_for(generation) && self.state.last_wanted() > WANTED_FOR;
            let finish = store.config.abandon.finishes(self.state.frontier(), self.state.size());
            if idle && !finish && store.table.abandon(generation) {
                return;
            }
            if let Some(work) = self.work.clone() {
                // Bytes before a stall are saved, too. Somebody at work on it saves by himself.
                store.runtime.spawn_blocking(move || {
                    if let Ok(mut work) = work.try_lock() {
                        work.disk.save_if_due();
                    }
                });
            }
        }
    }
}

/// Held by one run and by the blocking work it began, so that the next run begins after both.
type Turn = Arc<tokio::sync::OwnedMutexGuard<()>>;

/// The step, unless it is to go on receiving.
fn leaving(step: Do) -> Option<Do> {
    (step != Do::Receive).then_some(step)
}

/// Pieces that wait for their turn to be written.
#[derive(Default)]
struct Pending {
    pieces: Vec<Bytes>,
    length: usize,
}

impl Pending {
    fn push(&mut self, piece: Bytes) {
        self.length += piece.len();
        self.pieces.push(piece);
    }

    fn take(&mut self) -> (Vec<Bytes>, usize) {
        (std::mem::take(&mut self.pieces), std::mem::take(&mut self.length))
    }
}

/// The value of a future that may not be there; None for ever if it is not, so that select passes it by.
async fn resolve<F: Future>(future: Pin<&mut Option<F>>) -> Option<F::Output> {
    match future.as_pin_mut() {
        Some(future) => Some(future.await),
        None => None,
    }
}
