//! Where things are under a storage root.
//!
//! ```text
//! VERSION      the format, "1\n"
//! hosts        what is known of upstream hosts, mapped by every process
//! locks        never written nor unlinked; its bytes are locked
//! blobs/<algorithm>/<first two hex digits>/<hex>
//! fills/<algorithm>-<hex>/{state, data-<n>, checkpoint}
//! uploads/<session>/{data, state}
//! quarantine/  blobs that contradicted the metadata
//! tmp/         files that become something by rename
//! ```

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::digest::Algorithm;
use crate::upload::Session;
use crate::{Cause, Digest, Failure, clock, fs};

/// The format that this code reads and writes.
const VERSION: &[u8] = b"1\n";

/// The paths of one storage root.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The paths under `root`, whatever is there.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Makes what is missing and refuses what cannot work, with a reason.
    pub(crate) fn prepare(&self) -> Result<(), Failure> {
        fs::make_folder(&self.root)?;
        if let Some(name) = fs::unfit_file_system(&self.root)? {
            return Err(self.refused(&format!(
                "is on {name}, where locks and shared memory do not hold between processes; use a local file system"
            )));
        }
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            fs::make_folder(&self.blobs(algorithm))?;
        }
        for folder in [self.fills(), self.uploads(), self.quarantine(), self.tmp()] {
            fs::make_folder(&folder)?;
        }
        // By every process: whoever made them may not have come so far, and a commit syncs only what is below.
        fs::sync_folder(&self.root.join("blobs"))?;
        fs::sync_folder(&self.root)?;
        // Whoever may make the root may not be allowed to read the folder that it is in.
        let _ = self.root.parent().map_or(Ok(()), fs::sync_folder);
        let version = self.root.join("VERSION");
        match fs::read(&version)? {
            Some(found) if found == VERSION => {}
            Some(found) => {
                let found = String::from_utf8_lossy(&found[..found.len().min(20)]).trim().to_owned();
                return Err(self.refused(&format!("has format {found:?}, this version knows 1; use another root")));
            }
            None => self.write_version(&version)?,
        }
        // Proves that the root can be written, now rather than in the first fill.
        let probe = self.temporary("probe");
        fs::create(&probe)?;
        fs::unlink(&probe)?;
        Ok(())
    }

    /// Several processes may do this at once: each renames its own complete file.
    fn write_version(&self, version: &Path) -> Result<(), Failure> {
        let temp = self.temporary("version");
        let file = fs::create(&temp)?;
        fs::write_at(&file, &temp, VERSION, 0)?;
        fs::sync_data(&file, &temp)?;
        fs::rename(&temp, version)?;
        fs::sync_folder(&self.root)
    }

    /// A name that no other process takes, even if it has our number in another container.
    fn temporary(&self, what: &str) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (count, time) = (COUNT.fetch_add(1, Ordering::Relaxed), clock::since_boot().as_nanos());
        self.tmp().join(format!("{what}-{}-{time}-{count}", std::process::id()))
    }

    fn refused(&self, why: &str) -> Failure {
        Failure::new(Cause::Storage, format!("storage root {} {why}", self.root.display()))
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    pub(crate) fn hosts(&self) -> PathBuf {
        self.root.join("hosts")
    }

    pub(crate) fn fills(&self) -> PathBuf {
        self.root.join("fills")
    }

    pub(crate) fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Where blobs of an algorithm are.
    pub(crate) fn blobs(&self, algorithm: Algorithm) -> PathBuf {
        self.root.join("blobs").join(algorithm.name())
    }

    /// Where the blob is, once committed.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.blobs(digest.algorithm()).join(&hex[..2]).join(hex)
    }

    /// The folder of an upload.
    pub(crate) fn upload(&self, session: &Session) -> UploadFolder {
        UploadFolder { path: self.uploads().join(session.as_str()) }
    }

    /// The folder of the fill of `digest`.
    pub(crate) fn fill(&self, digest: &Digest) -> FillFolder {
        let name = format!("{}-{}", digest.algorithm().name(), digest.hex());
        FillFolder { path: self.fills().join(name) }
    }

    /// The digest whose fill has this folder name.
    pub(crate) fn digest_of(name: &str) -> Option<Digest> {
        Digest::parse(&name.replacen('-', ":", 1)).ok()
    }
}

/// The folder of one fill.
#[derive(Clone, Debug)]
pub(crate) struct FillFolder {
    path: PathBuf,
}

impl FillFolder {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The mapped file: see `fill/state.rs`.
    pub(crate) fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// What counts after a reboot: see `fill/checkpoint.rs`.
    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    /// A new `state` or `checkpoint` before its rename. Only the lock's holder makes one.
    pub(crate) fn fresh(&self, what: &str) -> PathBuf {
        self.path.join(format!("{what}.new"))
    }

    /// The bytes. The number is part of `state`: whoever opened `state` opens the data that it speaks of.
    pub(crate) fn data(&self, number: u64) -> PathBuf {
        self.path.join(format!("data-{number}"))
    }

    /// Numbers of the data files there are.
    pub(crate) fn data_numbers(&self) -> Result<Vec<u64>, Failure> {
        let names = fs::list(&self.path)?;
        let numbers = names.iter().filter_map(|name| name.strip_prefix("data-")?.parse().ok());
        Ok(numbers.collect())
    }
}

/// The folder of one upload. Only the lock's holder writes in it.
#[derive(Clone, Debug)]
pub(crate) struct UploadFolder {
    path: PathBuf,
}

impl UploadFolder {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes.
    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Where to go on: see `upload/state.rs`.
    pub(crate) fn state(&self) -> PathBuf {
        self.path.join("state")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fill_folder_names_its_digest() {
        let digest = Digest::parse(&format!("sha512:{}", "ab".repeat(64))).unwrap();
        let folder = Layout::new(Path::new("/r")).fill(&digest);
        let name = folder.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(Layout::digest_of(name), Some(digest));
        assert_eq!(Layout::digest_of("lost+found"), None);
    }

    #[test]
    fn another_format_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        layout.prepare().unwrap();
        layout.prepare().unwrap();
        let version = root.path().join("VERSION");
        fs::write_at(&fs::create(&version).unwrap(), &version, b"2\n", 0).unwrap();
        let failure = layout.prepare().unwrap_err();
        assert_eq!(failure.cause, Cause::Storage);
        assert!(failure.message.contains("format \"2\""), "{failure}");
    }
}
