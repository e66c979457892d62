//! Over how many connections a blob is brought: more while that brings more.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::hosts::Host;
use crate::lock::{Lock, Locks};

/// Time over which throughput is measured.
const WINDOW: Duration = Duration::from_millis(250);
/// A blob that is there within this time needs no more connections.
const SOON: f64 = 2.0;
/// Fewer missing bytes than these, too, come over one connection.
const SMALL: u64 = 16 << 20;
/// More connections brought more if throughput grew by this factor.
const GROWTH: f64 = 1.15;
/// How long no more connections are made after one was refused, if upstream says nothing.
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// Bytes a second, as long as nothing is known.
const AT_FIRST: f64 = 40e6;

/// Measures what comes in, and tries more connections: a fill to which alone its host sends, over all processes, and judged by what the host
/// sends to all. Several fills are several connections already, and one that looked at itself would find that more connections bring more
/// where all it does is take from the others.
pub(super) struct Pace {
    host: Host,
    locks: Arc<Locks>,
    /// None until the first bytes came.
    since: Option<Instant>,
    /// Bytes since then, of this fill.
    bytes: u64,
    /// Bytes of the host at that moment.
    received: u64,
    /// Bytes a second in the last whole window.
    rate: f64,
    width: usize,
    most: usize,
    trial: Option<Trial>,
    refused: Option<Instant>,
}

/// More connections than before, until it shows whether they bring more.
struct Trial {
    _lock: Lock,
    /// The host's bytes a second before it.
    before: f64,
    width: usize,
    /// Whether a window has gone by; in the first, connections had yet to be made.
    begun: bool,
}

impl Pace {
    pub(super) fn new(host: Host, locks: Arc<Locks>, most: usize) -> Self {
        let most = most.max(1);
        Self {
            host,
            locks,
            since: None,
            bytes: 0,
            received: 0,
            rate: AT_FIRST,
            width: 1,
            most,
            trial: None,
            refused: None,
        }
    }

    /// Bytes came.
    pub(super) fn add(&mut self, bytes: usize) {
        if self.since.is_none() {
            (self.since, self.received) = (Some(Instant::now()), self.host.received());
        }
        self.host.add(bytes as u64);
        self.bytes += bytes as u64;
    }

    /// Connections to use.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Whether a second connection is being tried.
    pub(super) fn tries_second(&self) -> bool {
        self.trial.as_ref().is_some_and(|trial| trial.width == 1)
    }

    /// Bytes that come in so many seconds.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn bytes_in(&self, seconds: f64) -> u64 {
        (self.rate * seconds) as u64
    }

    /// A connection beside `others` was refused.
    pub(super) fn refused(&mut self, others: usize, pause: Option<Duration>) {
        self.trial = None;
        self.width = others.max(1);
        self.host.set_enough();
        self.refused = Instant::now().checked_add(pause.unwrap_or(REFUSED_FOR));
    }

    /// The host answered a range with the whole.
    pub(super) fn set_ignores_ranges(&self) {
        self.host.set_ignores_ranges();
    }

    /// Whether no connection may be made beside those there are.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.is_some_and(|until| Instant::now() < until)
    }

    /// Looks whether more connections may help. `missing`: bytes to come; `keeping_up`: whatever came was taken at once, so that not we
    /// are what limits.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn look(&mut self, missing: u64, keeping_up: bool) {
        let Some(elapsed) = self.since.map(|since| since.elapsed()).filter(|elapsed| *elapsed >= WINDOW) else {
            return;
        };
        let received = self.host.received();
        let alone = received.wrapping_sub(self.received) == self.bytes;
        self.rate = self.bytes as f64 / elapsed.as_secs_f64();
        let all = received.wrapping_sub(self.received) as f64 / elapsed.as_secs_f64();
        (self.since, self.bytes, self.received) = (Some(Instant::now()), 0, received);
        if let Some(trial) = &mut self.trial {
            if !std::mem::replace(&mut trial.begun, true) {
                return;
            }
            if all <= trial.before * GROWTH {
                self.width = trial.width;
                self.host.set_enough();
            }
            self.trial = None;
        }
        let worth = missing > SMALL && missing as f64 > self.rate * SOON;
        if worth
            && alone
            && keeping_up
            && self.width < self.most
            && !self.host.has_enough()
            && let Ok(Some(lock)) = self.locks.try_lock(self.host.trial_key())
        {
            self.trial = Some(Trial { _lock: lock, before: all, width: self.width, begun: false });
            self.width = (2 * self.width).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::Hosts;
    use crate::layout::Layout;

    const MIB: u64 = 1 << 20;

    /// What fills of one host see, each in a process of its own, and what the host sends.
    struct Seen {
        _root: tempfile::TempDir,
        paces: Vec<Pace>,
        /// Bytes a second to one connection, and to all together.
        each: u64,
        all: u64,
    }

    impl Seen {
        fn new(fills: usize, each: u64, all: u64) -> Self {
            let root = tempfile::tempdir().unwrap();
            let layout = Layout::new(root.path());
            let pace = |_| {
                let locks = Locks::open(layout.locks()).unwrap();
                Pace::new(Hosts::open(&layout).unwrap().host(7), locks, 8)
            };
            Self { paces: (0..fills).map(pace).collect(), _root: root, each, all }
        }

        /// Time goes by in steps of 10 ms; the most connections that there were at once.
        async fn run(&mut self, seconds: u64, missing: u64) -> usize {
            let mut most = 0;
            for _ in 0..100 * seconds {
                let connections: usize = self.paces.iter().map(Pace::width).sum();
                most = most.max(connections);
                let share = self.each.min(self.all / connections as u64) / 100;
                for pace in &mut self.paces {
                    let bytes = usize::try_from(share).unwrap() * pace.width();
                    pace.add(bytes);
                    pace.look(missing, true);
                }
                tokio::time::advance(Duration::from_millis(10)).await;
            }
            most
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connections_grow_while_each_brings_more() {
        let mut seen = Seen::new(1, 20 * MIB, 1000 * MIB);
        assert_eq!(seen.run(4, 1024 * MIB).await, 8);
        let mut seen = Seen::new(1, 20 * MIB, 70 * MIB);
        seen.run(4, 1024 * MIB).await;
        assert_eq!(seen.paces[0].width(), 4, "8 brought no more");
    }

    #[tokio::test(start_paused = true)]
    async fn under_a_limit_for_all_one_connection_more_is_tried_and_none_while_there_are_other_fills() {
        for fills in 1..5 {
            let mut seen = Seen::new(fills, 50 * MIB, 50 * MIB);
            assert_eq!(seen.run(25, 1024 * MIB).await, if fills == 1 { 2 } else { fills });
            assert!(seen.paces.iter().all(|pace| pace.width() == 1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_there_soon_comes_over_one_connection() {
        assert_eq!(Seen::new(1, 20 * MIB, 1000 * MIB).run(4, 30 * MIB).await, 1);
        assert_eq!(Seen::new(1, MIB, 1000 * MIB).run(4, 15 * MIB).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_connection_is_not_asked_for_again_at_once() {
        let mut seen = Seen::new(1, 20 * MIB, 1000 * MIB);
        seen.run(4, 1024 * MIB).await;
        seen.paces[0].refused(3, Some(Duration::from_secs(5)));
        assert!(seen.paces[0].is_refused());
        assert_eq!(seen.run(20, 1024 * MIB).await, 3);
        assert!(!seen.paces[0].is_refused());
    }
}
