//! How much may be had in a second, over all processes that share a file: requests, or bytes.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::words::Words;
use crate::{Failure, clock};

/// When the next one's turn is, in ns since boot.
const NEXT: usize = 0;
/// Which boot that is.
const BOOT: usize = 1;

/// Further ahead no turn lies, in ns: those who took turns and did not wait for them hold up nobody longer.
const LONGEST: u64 = 3_600_000_000_000;

/// Turns in line, evenly spaced (the generic cell rate algorithm of ITU-T I.371, without a burst). Those who take small pieces in turn
/// have equal shares.
#[derive(Clone)]
pub struct Budget {
    words: Words,
    per_second: f64,
}

impl Budget {
    /// The budget that all processes share whose `path` is the same; this process's own, if that file cannot be used.
    pub fn open(path: &Path, per_second: f64) -> Result<Self, Failure> {
        let words = Words::open(path)?;
        let boot = xxh3_64(&clock::boot_id()?);
        if words.word(BOOT).swap(boot, Ordering::Relaxed) != boot {
            words.word(NEXT).store(0, Ordering::Relaxed);
        }
        Ok(Self { words, per_second })
    }

    /// Takes a turn for `amount` and answers how long it is until then. It is taken, whether or not it is waited for.
    pub fn take(&self, amount: u64) -> Duration {
        let now = u64::try_from(clock::since_boot().as_nanos()).unwrap_or(u64::MAX);
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let cost = (amount as f64 * 1e9 / self.per_second) as u64;
        let turn = |next: u64| if next > now.saturating_add(LONGEST) { now } else { next.max(now) };
        let later = |next| Some(turn(next).saturating_add(cost.min(LONGEST)));
        let next = self.words.word(NEXT).fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
        Duration::from_nanos(turn(next.unwrap_or_else(|same| same)) - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_spaced_over_all_processes() {
        let root = tempfile::tempdir().unwrap();
        let open = |per_second| Budget::open(&root.path().join("bytes"), per_second).unwrap();
        let (one, other) = (open(1e6), open(1e6));
        assert_eq!(one.take(500_000), Duration::ZERO, "the first need not wait");
        let second = other.take(500_000);
        assert!(second > Duration::from_millis(400) && second <= Duration::from_millis(500), "{second:?}");
        let third = one.take(1);
        assert!(third > Duration::from_millis(900) && third <= Duration::from_secs(1), "{third:?}");
    }

    #[test]
    fn nobody_waits_for_what_another_boot_or_a_crowd_that_left_has_taken() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("requests");
        let budget = Budget::open(&path, 1.0).unwrap();
        budget.take(3000);
        budget.words.word(BOOT).store(1, Ordering::Relaxed);
        assert_eq!(Budget::open(&path, 1.0).unwrap().take(1), Duration::ZERO);
        budget.take(3000);
        budget.take(3000);
        assert_eq!(budget.take(1), Duration::ZERO);
    }

    #[test]
    fn without_a_file_a_process_counts_for_itself() {
        let budget = Budget::open(Path::new("/proc/nowhere"), 1.0).unwrap();
        budget.take(10);
        assert!(budget.take(1) > Duration::from_secs(9));
    }
}
