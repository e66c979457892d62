//! Fills and partials as they are on disk, for whoever wants to look without opening the store.

use std::path::Path;

use super::checkpoint::Checkpoint;
use super::machine::Outcome;
use super::state::State;
use crate::layout::Layout;
use crate::lock::Locks;
use crate::{Digest, Failure, clock, fs};

/// One fill or partial as seen on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct FillStatus {
    /// What it brings.
    pub digest: Digest,
    /// Bytes of the whole, once known.
    pub size: Option<u64>,
    /// Bytes present and hashed from 0.
    pub frontier: u64,
    /// Bytes present, in order or not; of blocks ahead of the frontier, the last counts as whole.
    pub had: u64,
    /// A process works on it now.
    pub owned: bool,
    /// The recorded failure of its last generation.
    pub failure: Option<Failure>,
}

/// Fills and partials on the storage root `root`, read without opening the store; safe beside running processes.
pub fn fills(root: &Path) -> Result<Vec<FillStatus>, Failure> {
    let layout = Layout::new(root);
    let locks = match fs::open(&layout.locks())? {
        Some(file) => Locks::looking(file, layout.locks()),
        None => return Ok(Vec::new()),
    };
    let boot = clock::boot_id()?;
    let mut statuses = Vec::new();
    for digest in fs::list(&layout.fills())?.iter().filter_map(|name| Layout::digest_of(name)) {
        let folder = layout.fill(&digest);
        let owned = locks.is_held(digest.lock_key())?;
        let mut status = FillStatus { digest, size: None, frontier: 0, had: 0, owned, failure: None };
        if let Some(state) = State::open(&folder, false)?.filter(|state| state.is_of(boot)) {
            status.size = state.size();
            status.frontier = state.frontier();
            status.had = state.had();
            status.failure = match state.outcome() {
                Some(Outcome::Failed(failure)) => Some(failure),
                Some(Outcome::Committed) => continue,
                None => None,
            };
        } else if let Some(checkpoint) = Checkpoint::load(&folder)? {
            status.size = checkpoint.mark.size;
            status.frontier = checkpoint.mark.offset;
            status.had = checkpoint.had();
        } else if !status.owned {
            // It ended while we looked.
            continue;
        }
        statuses.push(status);
    }
    statuses.sort_by(|one, other| one.digest.cmp(&other.digest));
    Ok(statuses)
}
