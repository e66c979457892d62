//! Over how many connections a blob is brought: more while that helps.

use std::time::{Duration, Instant};

/// Time over which throughput is measured.
const WINDOW: Duration = Duration::from_millis(300);
/// A blob that is there within this time needs no more connections.
const SOON: f64 = 2.0;
/// Fewer missing bytes than these, too, come over one connection.
const SMALL: u64 = 16 << 20;
/// More connections brought more if throughput grew by this factor.
const GROWTH: f64 = 1.15;

/// Bytes a second, as long as nothing is known.
const AT_FIRST: f64 = 40e6;

/// Measures what comes in.
pub(super) struct Pace {
    since: Instant,
    bytes: u64,
    /// Bytes a second in the last whole window.
    rate: f64,
    /// The rate when the last connections were added.
    before: f64,
    width: usize,
    most: usize,
}

impl Pace {
    pub(super) fn new(most: usize) -> Self {
        Self { since: Instant::now(), bytes: 0, rate: AT_FIRST, before: 0.0, width: 1, most: most.max(1) }
    }

    /// Bytes came.
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Connections to use.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Bytes that come in so many seconds.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn bytes_in(&self, seconds: f64) -> u64 {
        (self.rate * seconds) as u64
    }

    /// Looks whether more connections may help. `missing`: bytes to come; `keeping_up`: whatever came was taken at once, so that not we
    /// are what limits.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn look(&mut self, missing: u64, keeping_up: bool) {
        let elapsed = self.since.elapsed();
        if elapsed < WINDOW {
            return;
        }
        self.rate = self.bytes as f64 / elapsed.as_secs_f64();
        (self.since, self.bytes) = (Instant::now(), 0);
        let worth = missing > SMALL && missing as f64 > self.rate * SOON;
        if worth && keeping_up && self.rate > self.before * GROWTH && self.width < self.most {
            self.before = self.rate;
            self.width = (2 * self.width).min(self.most);
        }
    }
}
