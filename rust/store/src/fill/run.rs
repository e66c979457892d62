//! Running a fill: bytes are pulled from the source until an outcome.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::transfer::{Transfer, nudged};
use super::{Do, End, Fill, Outcome, Saw, WANTED_FOR, lock};
use crate::source::Source;
use crate::{Cause, Failure};

/// How often it is asked whether anybody waits for the fill.
const ASK_EVERY: Duration = Duration::from_millis(250);

impl Fill {
    /// Brings bytes from `source` until an outcome: the whole blob, or, while only ranges are asked for, as much as policy says.
    ///
    /// Fails with `DigestMismatch` or `SizeMismatch` of a whole body and with the storage causes after these were recorded as the
    /// outcome; any other failure is the source's, the fill is still owned, and the caller runs it again or calls [`Fill::fail`].
    /// Dropping the future stops the fetch at a mark; the fill is still owned.
    pub async fn run<S: Source>(&self, source: &mut S) -> Result<Outcome, Failure> {
        let turn = Arc::new(Arc::clone(&self.turn).lock_owned().await);
        let route = source.route();
        let background = Arc::clone(&route.background);
        self.look_if_background(&background);
        let mut unwanted = pin!(self.unwanted(&background));
        let mut transfer = Transfer::new(self, &turn, source.fork(), route);
        let mut step = self.tell(&turn, Saw::Again).await?;
        loop {
            step = match step {
                Do::Ask(offset) => {
                    let saw = tokio::select! {
                        saw = transfer.ask(source, offset) => saw,
                        () = &mut unwanted => Saw::Stop,
                    };
                    self.tell(&turn, saw).await?
                }
                Do::Receive => match transfer.run(source, unwanted.as_mut()).await? {
                    Some(step) => step,
                    None => return Ok(Outcome::Idle),
                },
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

    /// After [`Outcome::Idle`]: waits until there is something to bring. False: nobody waits, and the fill has stopped.
    pub async fn rest(&self) -> Result<bool, Failure> {
        let turn = Arc::new(Arc::clone(&self.turn).lock_owned().await);
        let background = AtomicBool::default();
        tokio::select! {
            () = self.unwanted(&background) => self.tell(&turn, Saw::Stop).await.map(|_| false),
            () = self.wanting() => Ok(true),
        }
    }

    /// Ends when somebody wants what is not there.
    async fn wanting(&self) {
        loop {
            let (state, bell) = (&self.state, self.state.bell());
            if self.look_if_full() || state.next_wanted(state.frontier() / state.block()).is_some() {
                return;
            }
            nudged(state, &self.driving.generation, bell).await;
        }
    }

    /// Tells the machine what a step saw, and drives on, on a blocking thread.
    pub(super) fn tell(&self, turn: &Turn, saw: Saw) -> impl Future<Output = Result<Do, Failure>> + Send + use<> {
        let (work, turn) = (self.work.clone(), Arc::clone(turn));
        self.driving.store.blocking(move || {
            let _turn = turn;
            work.map_or(Do::End(End::Stopped), |work| lock(&work).tell(saw))
        })
    }

    /// Ends when the fill must stop: the store closes, or nobody waits and policy does not finish it.
    async fn unwanted(&self, background: &AtomicBool) {
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
            let finish = || self.is_full() && store.config.abandon.finishes(self.had(), self.state.size());
            if idle && !finish() && store.table.abandon(generation) {
                // What a reader wanted that left is not fetched for those who come later.
                self.state.clear_wanted();
                return;
            }
            self.look_if_background(background);
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

    /// Tells the source whether clients wait. A background reader of another process counts as one: that is rare, and costs little.
    fn look_if_background(&self, background: &AtomicBool) {
        let clients = self.driving.store.table.is_waited_for_by_clients(&self.driving.generation)
            || self.state.last_wanted() <= WANTED_FOR;
        background.store(!clients, Ordering::Relaxed);
    }
}

/// Held by one run and by the blocking work it began, so that the next run begins after both.
pub(super) type Turn = Arc<tokio::sync::OwnedMutexGuard<()>>;
