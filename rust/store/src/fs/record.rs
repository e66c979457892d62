//! A record of what is done to the files under a root, in the order in which it is done, so that tests can lose power anywhere in it.
//!
//! There is none but in tests. What is stored through a mapping is not in it.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One operation that succeeded. Paths are under the root; an open file goes by its inode, for its name may change.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    MakeFolder(PathBuf),
    /// A file of this name was made; one that was there is kept, emptied if so said.
    Create(PathBuf, u64, Emptied),
    Write(u64, u64, Vec<u8>),
    SetSize(u64, u64),
    SyncData(u64),
    SyncFolder(PathBuf),
    Rename(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Unlink(PathBuf),
    RemoveFolder(PathBuf),
    /// What a test says at this point, for instance that something was acknowledged.
    Note(String),
}

/// Whether a file that is opened loses its bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Emptied {
    Yes,
    No,
}

/// The records that are being kept, by root. Whoever has them locked does the next operation.
pub(super) struct Records(MutexGuard<'static, Option<HashMap<PathBuf, Vec<Op>>>>);

static RECORDS: Mutex<Option<HashMap<PathBuf, Vec<Op>>>> = Mutex::new(None);

pub(super) fn records() -> Records {
    Records(RECORDS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Begins the record of `root`.
pub(crate) fn start(root: &Path) {
    records().0.get_or_insert_default().insert(root.to_owned(), Vec::new());
}

/// Adds what a test says.
pub(crate) fn note(root: &Path, text: impl Into<String>) {
    records().add(root, |_| Op::Note(text.into()));
}

/// Ends the record of `root`.
pub(crate) fn stop(root: &Path) -> Vec<Op> {
    records().0.as_mut().and_then(|records| records.remove(root)).unwrap_or_default()
}

impl Records {
    /// Adds an operation on `path`, if it is under a root that is recorded; `op` gets what makes paths relative to that root.
    pub(super) fn add(&mut self, path: &Path, op: impl FnOnce(&dyn Fn(&Path) -> PathBuf) -> Op) {
        if let Some((root, ops)) = self.0.iter_mut().flatten().find(|(root, _)| path.starts_with(root)) {
            ops.push(op(&|path| path.strip_prefix(root).unwrap_or(path).to_owned()));
        }
    }
}

/// By what an open file goes.
pub(super) fn inode(file: &File) -> u64 {
    file.metadata().map_or(0, |meta| meta.ino())
}
