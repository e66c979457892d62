//! Fills: bringing one digest into the store. There is one at a time for a digest and root, over all processes (I2).

mod ahead;
mod bitmaps;
mod checkpoint;
mod disk;
mod follow;
mod generation;
mod lanes;
mod machine;
mod pace;
mod run;
mod save;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod simulation;
mod state;
mod status;
mod transfer;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::Inner;
use crate::table::Busy;
use crate::{Digest, Failure};

pub(crate) use disk::Work;
pub(crate) use follow::Sweeper;
pub(crate) use generation::{Data, Ended, Generation, Progress};
pub(crate) use machine::{Do, End, Outcome as Recorded, Saw, keeps_partial};
pub(crate) use state::{State, block_size};
pub use status::{FillStatus, fills};

use disk::Disk;
use follow::Found;
use machine::Machine;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The blob is committed.
    Committed,
    /// Nobody waits, by policy; the partial is kept.
    Stopped,
    /// The readers of ranges have what they want, and may want more: see [`Fill::rest`]. The fill is still owned.
    Idle,
}

/// A fill this process owns.
///
/// Dropping it without an outcome keeps the partial: this process's readers get `Interrupted`, and those of other processes go on
/// with an heir, as after a kill.
pub struct Fill {
    work: Option<Arc<Mutex<Work>>>,
    state: Arc<State>,
    /// One run at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Whether the whole blob is to be brought, not only what is wanted of it.
    full: AtomicBool,
    driving: Driving,
}

/// How long a word from another process's readers counts.
const WANTED_FOR: Duration = Duration::from_secs(3);

/// The right of one task to drive a digest in this process. Dropping it ends this process's readers, unless they had an outcome.
struct Driving {
    store: Arc<Inner>,
    generation: Arc<Generation>,
}

impl Drop for Driving {
    fn drop(&mut self) {
        if self.store.table.is_waited_for(&self.generation) {
            let lasting = self.store.config.failure_ttl;
            self.generation.interrupt("whoever drove the fill stopped", lasting);
        }
        self.store.table.release(&self.generation);
    }
}

/// Takes the right to drive at once: see `Store::own_or_follow`.
pub(crate) fn drive(
    store: &Arc<Inner>,
    digest: &Digest,
) -> Result<impl Future<Output = Result<Option<Fill>, Failure>> + Send + use<>, Busy> {
    let generation = store.table.drive(digest)?;
    Ok(own_or_follow(Driving { store: Arc::clone(store), generation }))
}

/// Leads to the lock or to an outcome.
async fn own_or_follow(driving: Driving) -> Result<Option<Fill>, Failure> {
    let store = &driving.store;
    let generation = &driving.generation;
    if generation.has_ended() {
        return Ok(None);
    }
    let (machine, mut step) = Machine::start(generation.digest.to_string());
    let disk = Disk::new(Arc::clone(store), Arc::clone(generation));
    let mut work = Work { machine, disk };
    loop {
        (work, step) = store
            .blocking(move || {
                let step = work.drive(step);
                (work, step)
            })
            .await?;
        step = match step {
            Do::Follow if *store.closing.borrow() => work.machine.next(Saw::Failed(store.closed())),
            Do::Follow => {
                let mut closing = store.closing.subscribe();
                let found = tokio::select! {
                    found = Sweeper::follow(store, generation) => found,
                    _ = closing.wait_for(|closing| *closing) => Found::Failed(store.closed()),
                };
                let saw = match found {
                    Found::Outcome(_) if generation.has_ended() => {
                        store.table.committed(generation);
                        return Ok(None);
                    }
                    Found::Outcome(outcome) => Saw::Outcome(outcome),
                    Found::Failed(failure) => Saw::Failed(failure),
                    Found::Lock(lock) => {
                        work.disk.lock = Some(Arc::new(lock));
                        Saw::Lock(true)
                    }
                };
                work.machine.next(saw)
            }
            Do::End(end) => return ended(&driving, end),
            _ => {
                let Some(state) = work.disk.state() else {
                    return Err(Failure::interrupted(format!("{}: the fill was let go", generation.digest)));
                };
                let work = Arc::new(Mutex::new(work));
                store.register(&work);
                let full = AtomicBool::new(false);
                return Ok(Some(Fill { work: Some(work), state, turn: Arc::default(), full, driving }));
            }
        };
    }
}

/// Tells this process's readers.
fn ended(driving: &Driving, end: End) -> Result<Option<Fill>, Failure> {
    let Driving { store, generation } = driving;
    match end {
        // Readers know: look and record tell them.
        End::Committed => Ok(None),
        End::Failed(failure) => {
            let lasting = store.lasting(&failure);
            generation.fail(failure, lasting);
            Ok(None)
        }
        End::Refused(failure) => {
            generation.fail(failure.clone(), store.config.failure_ttl);
            Err(failure)
        }
        End::Stopped => Err(store.closed()),
    }
}

impl Fill {
    /// What it brings.
    pub fn digest(&self) -> &Digest {
        &self.driving.generation.digest
    }

    /// Bytes present and hashed from 0; where `run` will go on.
    pub fn frontier(&self) -> u64 {
        self.state.frontier()
    }

    /// Bytes that are there, in order or not; of blocks ahead of the frontier, the last counts as whole.
    pub fn had(&self) -> u64 {
        self.state.had()
    }

    /// Whether the whole blob is to be brought now, and not only what is wanted of it.
    fn look_if_full(&self) -> bool {
        let Driving { store, generation } = &self.driving;
        let waited_for = store.table.is_whole_waited_for(generation) || self.state.last_whole() <= WANTED_FOR;
        // Whoever drives a fill that nobody asked for wants all of it.
        let prefetched = generation.first().is_none() && self.state.last_wanted() > WANTED_FOR;
        let full = waited_for || prefetched || {
            let (had, size) = (self.had(), self.state.size());
            // While nobody waits at all, the run itself decides what becomes of it.
            let goes_on = || store.config.abandon.finishes(had, size) || !store.table.is_waited_for(generation);
            store.config.fill_on_range.fills(had, size) || (self.is_full() && goes_on())
        };
        self.full.store(full, Ordering::Relaxed);
        full
    }

    /// What the last look saw.
    fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Records the outcome for every reader in every process and lets go, for the store's `failure_ttl` or upstream's wish.
    /// Nothing happens where there is an outcome already.
    pub fn fail(&self, failure: Failure) {
        if let Some(work) = &self.work {
            lock(work).tell(Saw::Failed(failure));
        }
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        let work = self.work.take();
        // Letting go may wait for a write under way, and that must not happen on an event loop.
        self.driving.store.runtime.spawn_blocking(move || drop(work));
    }
}

/// A machine is whole after every step, so a panic elsewhere does not spoil it.
pub(crate) fn lock(work: &Mutex<Work>) -> MutexGuard<'_, Work> {
    work.lock().unwrap_or_else(PoisonError::into_inner)
}
