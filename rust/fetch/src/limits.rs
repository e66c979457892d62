//! What an upstream's owner, or ours, allows.

use std::fmt::Debug;
use std::time::Duration;

/// Limits for the requests and bytes of bodies, kept by whoever makes the source.
pub trait Limits: Debug + Send + Sync {
    /// One request more: how long to wait before it is sent.
    fn ask(&self) -> Duration;

    /// Bytes have come: how long to wait before more are read.
    fn receive(&self, bytes: usize) -> Duration;
}
