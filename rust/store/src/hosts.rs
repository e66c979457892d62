//! What all processes of a root know of an upstream host: how much it sends to all of them together, whether more connections would
//! bring more, and whether it knows ranges.
//!
//! A file of 64 slots of eight words; each slot has three: bytes received, and in ms since boot until when more connections bring nothing
//! and until when ranges are ignored. Hosts that share a slot are taken for one, which
//! costs some speed and nothing else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::layout::Layout;
use crate::words::Words;
use crate::{Failure, clock};

const SLOTS: u64 = 64;
const SLOT: usize = 8;

const RECEIVED: usize = 0;
const ENOUGH: usize = 1;
const IGNORES: usize = 2;

/// How long it counts that more connections brought nothing.
const ENOUGH_FOR: Duration = Duration::from_secs(30);
/// How long it counts that a range was ignored.
const IGNORES_FOR: Duration = Duration::from_secs(600);

/// The slots.
pub(crate) struct Hosts(Words);

impl Hosts {
    /// The slots of a root.
    pub(crate) fn open(layout: &Layout) -> Result<Self, Failure> {
        Words::open(&layout.hosts()).map(Self)
    }

    /// The host of this number.
    pub(crate) fn host(&self, number: u64) -> Host {
        let slot = usize::try_from(number % SLOTS).unwrap_or(0);
        Host { words: self.0.clone(), slot, number }
    }
}

/// One host.
pub(crate) struct Host {
    words: Words,
    slot: usize,
    number: u64,
}

impl Host {
    /// Bytes came from it.
    pub(crate) fn add(&self, bytes: u64) {
        self.word(RECEIVED).fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that ever came from it, to any process; wraps around.
    pub(crate) fn received(&self) -> u64 {
        self.word(RECEIVED).load(Ordering::Relaxed)
    }

    /// Whether it is known that more connections bring nothing.
    pub(crate) fn has_enough(&self) -> bool {
        self.is_before(ENOUGH, ENOUGH_FOR)
    }

    /// More connections brought nothing.
    pub(crate) fn set_enough(&self) {
        self.set_for(ENOUGH, ENOUGH_FOR);
    }

    /// Whether it is known to answer a range with the whole.
    pub(crate) fn ignores_ranges(&self) -> bool {
        self.is_before(IGNORES, IGNORES_FOR)
    }

    /// It answered a range with the whole.
    pub(crate) fn set_ignores_ranges(&self) {
        self.set_for(IGNORES, IGNORES_FOR);
    }

    /// The key of the lock that one fill holds while it tries more connections: two at once would see each other's.
    pub(crate) fn trial_key(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&[self.number.to_le_bytes(), *b"a trial!"].concat())
    }

    fn is_before(&self, word: usize, lasting: Duration) -> bool {
        let until = self.word(word).load(Ordering::Relaxed);
        let left = until.saturating_sub(clock::millis());
        // Further away nothing lies: it was stored before the machine started again.
        left > 0 && u128::from(left) <= lasting.as_millis()
    }

    fn set_for(&self, word: usize, lasting: Duration) {
        let lasting = u64::try_from(lasting.as_millis()).unwrap_or(u64::MAX);
        self.word(word).store(clock::millis().saturating_add(lasting), Ordering::Relaxed);
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        self.words.word(self.slot * SLOT + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_share_what_they_know_of_a_host() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let (one, other) = (Hosts::open(&layout).unwrap(), Hosts::open(&layout).unwrap());
        one.host(3).add(5);
        other.host(3).add(6);
        assert_eq!((one.host(3).received(), other.host(4).received()), (11, 0));
        one.host(63).set_enough();
        assert!(other.host(63).has_enough() && !other.host(63).ignores_ranges() && !other.host(3).has_enough());
        other.host(3).set_ignores_ranges();
        assert!(one.host(3).ignores_ranges() && !one.host(3).has_enough());
        assert_ne!(one.host(3).trial_key(), one.host(3 + SLOTS).trial_key());
    }

    #[test]
    fn what_another_boot_stored_is_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let host = Hosts::open(&Layout::new(root.path())).unwrap().host(1);
        host.word(ENOUGH).store(clock::millis() + 31_000, Ordering::Relaxed);
        assert!(!host.has_enough());
    }

    #[test]
    fn without_a_file_a_process_knows_for_itself() {
        let hosts = Hosts::open(&Layout::new(std::path::Path::new("/proc/nowhere"))).unwrap();
        hosts.host(1).add(7);
        assert_eq!(hosts.host(1).received(), 7);
    }
}
