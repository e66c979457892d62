//! The generations that this process works on or waits for, by digest.
//!
//! Entries are replaced and removed by identity: a late leaver of one generation never touches the next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Digest;
use crate::fill::Generation;

/// A second driver of one digest in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a task of this process drives the fill of this digest already")]
pub struct Busy;

/// How a request waits for a generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waits {
    /// For the whole body.
    pub whole: bool,
    /// Nobody reads: it only sees to it that the blob comes.
    pub background: bool,
}

struct Entry {
    generation: Arc<Generation>,
    readers: usize,
    /// Those of them that read whole bodies.
    whole: usize,
    /// Those of them that only see to it that the blob comes.
    background: usize,
    /// Whether a task awaits `own_or_follow` or has the fill that it returned.
    driven: bool,
}

/// Failures kept here while nobody waits for them. Beyond that they answer from `state` on disk: requests for made-up digests
/// must hold neither memory nor descriptors.
const FAILURES: usize = 1024;

/// Generations by digest: those without an outcome, and those whose failure still answers.
#[derive(Default)]
pub(crate) struct Table {
    entries: Mutex<HashMap<Digest, Entry>>,
}

impl Table {
    /// The generation that a new request of `digest` belongs to, with that request counted.
    pub(crate) fn attach(&self, digest: &Digest, waits: Waits) -> Arc<Generation> {
        let mut entries = self.entries();
        let entry = current(&mut entries, digest);
        entry.readers += 1;
        entry.whole += usize::from(waits.whole);
        entry.background += usize::from(waits.background);
        Arc::clone(&entry.generation)
    }

    /// A request of a range turned out to be one of the whole body.
    pub(crate) fn become_whole(&self, generation: &Arc<Generation>) {
        self.change(generation, |entry| entry.whole += 1);
    }

    /// A request is over.
    pub(crate) fn leave(&self, generation: &Arc<Generation>, waits: Waits) {
        self.change(generation, |entry| {
            entry.readers -= 1;
            entry.whole -= usize::from(waits.whole);
            entry.background -= usize::from(waits.background);
        });
    }

    /// The generation to drive, for one task at a time; one that failed a moment ago needs no driver, but is answered all the same,
    /// even while its last driver is letting go (Python may hold a fill longer than its name lives).
    pub(crate) fn drive(&self, digest: &Digest) -> Result<Arc<Generation>, Busy> {
        let mut entries = self.entries();
        let entry = current(&mut entries, digest);
        if entry.generation.has_ended() {
            return Ok(Arc::clone(&entry.generation));
        }
        if std::mem::replace(&mut entry.driven, true) {
            return Err(Busy);
        }
        Ok(Arc::clone(&entry.generation))
    }

    /// Its driver is gone.
    pub(crate) fn release(&self, generation: &Arc<Generation>) {
        self.change(generation, |entry| entry.driven = false);
    }

    /// Drops a generation that no reader waits for; later requests get a new one. False: somebody waits.
    pub(crate) fn abandon(&self, generation: &Arc<Generation>) -> bool {
        let mut entries = self.entries();
        let idle = of(&mut entries, generation).is_some_and(|entry| entry.readers == 0);
        if idle {
            entries.remove(&generation.digest);
        }
        idle
    }

    /// Whether requests wait for the generation.
    pub(crate) fn is_waited_for(&self, generation: &Arc<Generation>) -> bool {
        of(&mut self.entries(), generation).is_some_and(|entry| entry.readers > 0)
    }

    /// Whether requests of clients wait for the generation.
    pub(crate) fn is_waited_for_by_clients(&self, generation: &Arc<Generation>) -> bool {
        of(&mut self.entries(), generation).is_some_and(|entry| entry.readers > entry.background)
    }

    /// Whether requests of the whole body wait for the generation.
    pub(crate) fn is_whole_waited_for(&self, generation: &Arc<Generation>) -> bool {
        of(&mut self.entries(), generation).is_some_and(|entry| entry.whole > 0)
    }

    /// Whether requests wait for a generation of `digest` without an outcome.
    pub(crate) fn wanted(&self, digest: &Digest) -> bool {
        let entries = self.entries();
        entries.get(digest).is_some_and(|entry| entry.readers > 0 && !entry.generation.has_ended())
    }

    /// The generation is committed: from now on `blobs/` answers.
    pub(crate) fn committed(&self, generation: &Arc<Generation>) {
        let mut entries = self.entries();
        if of(&mut entries, generation).is_some() {
            entries.remove(&generation.digest);
        }
    }

    fn change(&self, generation: &Arc<Generation>, change: impl FnOnce(&mut Entry)) {
        let mut entries = self.entries();
        let Some(entry) = of(&mut entries, generation) else {
            return;
        };
        change(entry);
        if entry.readers == 0 && !entry.driven && !generation.has_ended() {
            entries.remove(&generation.digest);
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Digest, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry of this very generation.
fn of<'a>(entries: &'a mut HashMap<Digest, Entry>, generation: &Arc<Generation>) -> Option<&'a mut Entry> {
    let entry = entries.get_mut(&generation.digest)?;
    Arc::ptr_eq(&entry.generation, generation).then_some(entry)
}

/// The entry that answers `digest` now. Failures that have had their time go first: this one's at once, the others when there
/// are many.
fn current<'a>(entries: &'a mut HashMap<Digest, Entry>, digest: &Digest) -> &'a mut Entry {
    if entries.get(digest).is_some_and(|entry| entry.generation.failed() == Some(false)) {
        entries.remove(digest);
    }
    if entries.len() >= FAILURES && !entries.contains_key(digest) {
        // Live generations may be more than that; then there is little to find, and requests are few that begin one.
        entries.retain(|_, entry| !entry.generation.has_ended() || entry.readers > 0);
    }
    entries.entry(digest.clone()).or_insert_with(|| Entry {
        generation: Generation::new(digest.clone()),
        readers: 0,
        whole: 0,
        background: 0,
        driven: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cause, Failure};
    use std::time::Duration;

    const WHOLE: Waits = Waits { whole: true, background: false };

    fn digest() -> Digest {
        Digest::parse(&format!("sha256:{}", "00".repeat(32))).unwrap()
    }

    #[test]
    fn a_failure_answers_for_its_time_and_no_longer() {
        let table = Table::default();
        let first = table.attach(&digest(), WHOLE);
        first.fail(Failure::new(Cause::NotFound, "no"), Duration::from_secs(60));
        assert!(Arc::ptr_eq(&first, &table.attach(&digest(), WHOLE)));
        assert!(!table.wanted(&digest()));
        table.leave(&first, WHOLE);
        table.leave(&first, WHOLE);
        assert!(Arc::ptr_eq(&first, &table.attach(&digest(), WHOLE)));

        let table = Table::default();
        let first = table.attach(&digest(), WHOLE);
        first.fail(Failure::new(Cause::NotFound, "no"), Duration::ZERO);
        let second = table.attach(&digest(), WHOLE);
        assert!(!Arc::ptr_eq(&first, &second));
        table.leave(&first, WHOLE);
        assert!(table.is_waited_for(&second), "a leaver of one generation must not touch the next");
    }

    #[test]
    fn one_driver_at_a_time() {
        let table = Table::default();
        let driven = table.drive(&digest()).unwrap();
        assert_eq!(table.drive(&digest()).err(), Some(Busy));
        table.release(&driven);
        assert!(table.drive(&digest()).is_ok());
    }

    #[test]
    fn abandons_only_what_nobody_waits_for() {
        let table = Table::default();
        let driven = table.drive(&digest()).unwrap();
        let waiting = table.attach(&digest(), WHOLE);
        assert!(!table.abandon(&driven));
        table.leave(&waiting, WHOLE);
        assert!(table.abandon(&driven));
        let next = table.attach(&digest(), WHOLE);
        assert!(!Arc::ptr_eq(&driven, &next) && table.wanted(&digest()));
        table.release(&driven);
        assert!(table.wanted(&digest()));
        table.leave(&next, WHOLE);
        assert!(table.entries().is_empty());
    }
}
