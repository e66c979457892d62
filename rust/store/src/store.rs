//! The store: one process's view of a storage root.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Digest, Failure, Fill, Plan, Reader, Source};

/// When a fill that nobody waits for goes on nevertheless.
#[derive(Clone, Copy, Debug)]
pub struct Abandon {
    /// Bytes that must have come.
    pub min_sent: u64,
    /// The part that must be done, 0 to 1.
    pub fraction: f64,
    /// Or: fewer bytes than this are missing.
    pub remaining: u64,
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Config {
    /// The storage root.
    pub root: PathBuf,
    /// No fill begins with fewer bytes free than this.
    pub reserve: u64,
    /// What becomes of fills that nobody waits for.
    pub abandon: Abandon,
    /// How long a failure answers every request.
    pub failure_ttl: Duration,
}

/// One process's view of a storage root. Clones are the same store.
#[derive(Clone)]
pub struct Store {}

/// A second driver of one digest in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a task of this process drives the fill of this digest already")]
pub struct Busy;

/// A held lock; dropping releases it.
pub struct Lock {}

fn later<T>() -> Result<T, Failure> {
    Err(Failure::interrupted("not yet written"))
}

impl Store {
    /// Opens `config.root`, making it if need be.
    pub fn open(_config: Config, _runtime: tokio::runtime::Handle) -> Result<Self, Failure> {
        Ok(Self {})
    }
    /// A reader of the committed blob.
    pub fn committed(
        &self,
        _digest: &Digest,
        _size: Option<u64>,
    ) -> Result<Option<Reader>, Failure> {
        later()
    }
    /// Whether some process owns a fill of `digest`.
    pub fn in_flight(&self, _digest: &Digest) -> Result<bool, Failure> {
        later()
    }
    /// A reader of the fill of `digest`.
    pub fn attach(&self, _digest: &Digest) -> Result<Reader, Failure> {
        later()
    }
    /// Whether readers of this process wait.
    pub fn wanted(&self, _digest: &Digest) -> bool {
        false
    }
    /// See DESIGN.
    pub fn own_or_follow(
        &self,
        _digest: &Digest,
    ) -> Result<impl Future<Output = Result<Option<Fill>, Failure>> + Send + use<>, Busy> {
        Ok(async { later() })
    }
    /// The whole body straight from upstream.
    pub fn pass_through<S: Source + 'static>(&self, _source: S, _digest: &Digest) -> Plan {
        Plan {}
    }
    /// The lock of `key`, waited for.
    pub fn lock(&self, _key: u64) -> impl Future<Output = Result<Lock, Failure>> + Send + use<> {
        async { later() }
    }
    /// The lock of `key`, if nobody holds it.
    pub fn try_lock(&self, _key: u64) -> Result<Option<Lock>, Failure> {
        later()
    }
    /// Unlinks a committed blob.
    pub fn remove(&self, _digest: &Digest) -> Result<bool, Failure> {
        later()
    }
    /// Removes left-overs nobody owns.
    pub async fn clean(&self, _older_than: Duration) -> Result<Vec<Digest>, Failure> {
        later()
    }
    /// Bytes free.
    pub fn free_bytes(&self) -> Result<u64, Failure> {
        later()
    }
    /// Fills this process owns.
    pub fn owned(&self) -> usize {
        0
    }
    /// Stops owned fills.
    pub async fn close(&self) {}
}
