//! Following fills that other processes own: one sweep over all of them, each millisecond while somebody waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::generation::{Data, Generation};
use super::machine::Outcome;
use super::state::State;
use crate::layout::FillFolder;
use crate::lock::Lock;
use crate::store::Inner;
use crate::{Failure, clock, fs};

/// Time between two sweeps while a reader waits for a followed fill.
const BUSY: Duration = Duration::from_millis(1);
/// The same when fills are followed that no reader waits for.
const IDLE: Duration = Duration::from_millis(100);
/// How often `last_wanted` is stored.
const WANT_EVERY: Duration = Duration::from_secs(1);

/// What following led to.
pub(crate) enum Found {
    /// The owner recorded an outcome.
    Outcome(Outcome),
    /// The owner is gone, and the lock is ours.
    Lock(Lock),
    /// Following failed.
    Failed(Failure),
}

/// The followed fills of one store.
#[derive(Default)]
pub(crate) struct Sweeper {
    followed: Mutex<Vec<Followed>>,
    /// Somebody new waits.
    news: Notify,
}

struct Followed {
    generation: Arc<Generation>,
    folder: FillFolder,
    state: Option<Arc<State>>,
    data: Option<Data>,
    wanted: Option<Instant>,
    wanted_whole: Option<Instant>,
    found: Option<oneshot::Sender<Found>>,
}

impl Sweeper {
    /// Follows until there is something to tell. Dropping the future ends it.
    pub(crate) async fn follow(store: &Arc<Inner>, generation: &Arc<Generation>) -> Found {
        let (found, answer) = oneshot::channel();
        let first = {
            let mut followed = store.sweeper.followed();
            followed.push(Followed {
                generation: Arc::clone(generation),
                folder: store.layout.fill(&generation.digest),
                state: None,
                data: None,
                wanted: None,
                wanted_whole: None,
                found: Some(found),
            });
            followed.len() == 1
        };
        if first {
            store.runtime.spawn(sweep(Arc::clone(store)));
        }
        store.sweeper.news.notify_one();
        answer.await.unwrap_or_else(|_| Found::Failed(Failure::interrupted("the sweep over followed fills ended")))
    }

    /// A reader came: sweep at once.
    pub(crate) fn wake(&self) {
        self.news.notify_one();
    }

    fn followed(&self) -> MutexGuard<'_, Vec<Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs while there is anything to follow.
async fn sweep(store: Arc<Inner>) {
    loop {
        let mut busy = false;
        {
            let mut followed = store.sweeper.followed();
            followed.retain_mut(|one| {
                let waited_for = store.table.is_waited_for(&one.generation);
                busy |= waited_for;
                one.goes_on(&store, waited_for)
            });
            if followed.is_empty() {
                return;
            }
        }
        let pause = if busy { BUSY } else { IDLE };
        // A timer that somebody's coming cuts short.
        let _ = tokio::time::timeout(pause, store.sweeper.news.notified()).await;
    }
}

impl Followed {
    /// Looks once, and tells what is to be told. False: the end.
    fn goes_on(&mut self, store: &Arc<Inner>, waited_for: bool) -> bool {
        if self.found.as_ref().is_none_or(oneshot::Sender::is_closed) {
            return false;
        }
        match self.look(store, waited_for) {
            Ok(None) => true,
            Ok(Some(found)) => self.tell(found),
            Err(failure) => self.tell(Found::Failed(failure)),
        }
    }

    fn tell(&mut self, found: Found) -> bool {
        if let Some(sender) = self.found.take() {
            // Nobody takes it any more: a lock in it is released by its drop.
            let _ = sender.send(found);
        }
        false
    }

    fn look(&mut self, store: &Arc<Inner>, waited_for: bool) -> Result<Option<Found>, Failure> {
        if self.state.is_none() {
            self.open()?;
        }
        if let Some(found) = self.see()? {
            return Ok(Some(found));
        }
        if let Some(state) = &self.state
            && waited_for
            && self.wanted.is_none_or(|at| at.elapsed() >= WANT_EVERY)
        {
            state.want();
            self.wanted = Some(Instant::now());
        }
        if let Some(state) = &self.state
            && self.wanted_whole.is_none_or(|at| at.elapsed() >= WANT_EVERY)
            && store.table.is_whole_waited_for(&self.generation)
        {
            state.want_whole();
            self.wanted_whole = Some(Instant::now());
        }
        let Some(lock) = store.locks.try_lock(self.generation.digest.lock_key())? else {
            return Ok(None);
        };
        // An owner records its outcome before it lets go: a generation's readers must see that, not what comes after.
        Ok(Some(self.see()?.unwrap_or(Found::Lock(lock))))
    }

    /// Shows this process's readers what the owner has stored, and answers its outcome.
    fn see(&mut self) -> Result<Option<Found>, Failure> {
        let Some(state) = &self.state else {
            return Ok(None);
        };
        let outcome = state.outcome();
        if self.data.is_none() {
            let path = self.folder.data(state.data());
            self.data = match fs::open(&path)? {
                Some(file) => Some(Data::new(file, &path)?.with(state)),
                // Committed in this moment, or lost.
                None => None,
            };
        }
        let (size, frontier, answered) = (state.size(), state.frontier(), state.answered());
        if !self.generation.show(self.data.as_ref(), size, frontier, answered) {
            return Err(Failure::interrupted(format!("{}: the fill began anew; ask again", self.generation.digest)));
        }
        if let (Some(Outcome::Committed), Some(data), Some(size)) = (&outcome, &self.data, size) {
            // Verified bytes are good even if the blob's name is gone again.
            self.generation.commit(data, size);
        }
        Ok(outcome.map(Found::Outcome))
    }

    /// Maps `state`, unless it tells of the past: another boot, or a failure that has had its time and awaits the next owner.
    fn open(&mut self) -> Result<(), Failure> {
        let boot = clock::boot_id()?;
        let state = State::open(&self.folder, true)?.filter(|state| {
            let past = matches!(state.outcome(), Some(Outcome::Failed(_))) && state.lasting().is_zero();
            state.is_of(boot) && !past
        });
        self.state = state.map(Arc::new);
        Ok(())
    }
}
