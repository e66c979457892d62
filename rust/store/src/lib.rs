//! Content store: blobs by digest, fills, readers. No Python here.
