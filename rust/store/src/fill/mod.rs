//! Fills: bringing one digest into the store.

use std::path::Path;

use crate::{Digest, Failure, Source};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The blob is committed.
    Committed,
    /// Nobody waits, by policy; the partial is kept.
    Stopped,
}

/// A fill this process owns.
pub struct Fill {}

impl Fill {
    /// What it brings.
    pub fn digest(&self) -> &Digest {
        unimplemented!()
    }
    /// Bytes present and hashed from 0.
    pub fn frontier(&self) -> u64 {
        0
    }
    /// Brings bytes from `source` until an outcome.
    pub async fn run<S: Source>(&self, _source: &mut S) -> Result<Outcome, Failure> {
        Err(Failure::interrupted("not yet written"))
    }
    /// Records the outcome.
    pub fn fail(&self, _failure: Failure) {}
}

/// One fill or partial as seen on disk.
#[derive(Clone, Debug)]
pub struct FillStatus {
    /// What it brings.
    pub digest: Digest,
    /// Bytes of the whole, once known.
    pub size: Option<u64>,
    /// Bytes present and hashed from 0.
    pub frontier: u64,
    /// A process works on it now.
    pub owned: bool,
    /// The recorded failure of its last generation.
    pub failure: Option<Failure>,
}

/// Fills and partials on the storage root `root`.
pub fn fills(_root: &Path) -> Result<Vec<FillStatus>, Failure> {
    Ok(Vec::new())
}
