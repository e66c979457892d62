//! Committed files that contradict the metadata: out of the way, but kept for whoever wants to know why.

use std::path::PathBuf;

use crate::layout::Layout;
use crate::{Digest, Failure, clock, fs};

/// Keeps the blob of `digest` that a rename is about to replace. It is no moment without a blob, so that two who do this at once take
/// nothing from each other.
pub(crate) fn keep(layout: &Layout, digest: &Digest) -> Result<(), Failure> {
    fs::link(&layout.blob(digest), &place(layout, digest))
}

/// Moves the blob of `digest` out of `blobs/`. Readers that have it open go on.
pub(crate) fn take(layout: &Layout, digest: &Digest) -> Result<(), Failure> {
    // Another process may have been faster.
    fs::rename_if_there(&layout.blob(digest), &place(layout, digest))?;
    Ok(())
}

fn place(layout: &Layout, digest: &Digest) -> PathBuf {
    let name = format!("{}-{}-{}", digest.algorithm().name(), digest.hex(), clock::millis());
    layout.quarantine().join(name)
}
