//! What is committed, for cleaning.

use std::time::{Duration, SystemTime};

use crate::digest::Algorithm;
use crate::{Digest, Failure, Store, fs};

/// Folders of blobs that one call reads, empty ones not counted.
const FOLDERS: usize = 8;

impl Store {
    /// Committed digests behind `after` in lexical order, with the time since their file was last modified: at most `limit`, and only so
    /// many that no call takes long, but at least one if there is one. So the end is an empty answer, not a short one.
    pub fn blobs(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<(Digest, Duration)>, Failure> {
        let mut blobs = Vec::new();
        let mut read = 0;
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            // What of this algorithm is behind `after`: everything, what is behind its hash, or nothing.
            let behind = match after {
                Some(after) if after.algorithm() > algorithm => continue,
                Some(after) if after.algorithm() == algorithm => after.hex(),
                _ => "",
            };
            let folder = self.inner.layout.blobs(algorithm);
            let mut prefixes = fs::list(&folder)?;
            prefixes.retain(|prefix| prefix.len() == 2 && prefix.as_str() >= &behind[..behind.len().min(2)]);
            prefixes.sort_unstable();
            for prefix in prefixes {
                if blobs.len() >= limit || read >= FOLDERS {
                    return Ok(blobs);
                }
                let mut names = fs::list(&folder.join(&prefix))?;
                names.retain(|name| name.starts_with(&prefix) && name.as_str() > behind);
                names.sort_unstable();
                let before = blobs.len();
                for digest in names.iter().filter_map(|hex| Digest::parse(&format!("{}:{hex}", algorithm.name())).ok())
                {
                    if blobs.len() >= limit {
                        break;
                    }
                    // None: removed a moment ago.
                    if let Some(modified) = fs::modified(&self.inner.layout.blob(&digest))? {
                        blobs.push((digest, SystemTime::now().duration_since(modified).unwrap_or_default()));
                    }
                }
                read += usize::from(blobs.len() > before);
            }
        }
        Ok(blobs)
    }
}
