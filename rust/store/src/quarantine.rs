//! Committed files that contradict the metadata: out of the way, but kept for whoever wants to know why.

use crate::layout::Layout;
use crate::{Digest, Failure, clock, fs};

/// Moves the blob of `digest` out of `blobs/`. Readers that have it open go on.
pub(crate) fn take(layout: &Layout, digest: &Digest) -> Result<(), Failure> {
    let name = format!("{}-{}-{}", digest.algorithm().name(), digest.hex(), clock::millis());
    // Another process may have been faster.
    fs::rename_if_there(&layout.blob(digest), &layout.quarantine().join(name))?;
    Ok(())
}
