//! A disk that knows what was synced, and what was changed since.

use std::collections::BTreeMap;
use std::path::Path;

use crate::fs::record::{Emptied, Op};

#[derive(Default)]
pub(super) struct File {
    pub synced: Vec<u8>,
    pub pending: Vec<Change>,
}

pub(super) enum Change {
    Write(usize, Vec<u8>),
    Size(usize),
}

/// Numbers of files, or of folders, by name.
#[derive(Clone, Default)]
pub(super) struct Names {
    pub files: BTreeMap<String, usize>,
    pub folders: BTreeMap<String, usize>,
}

#[derive(Default)]
pub(super) struct Folder {
    pub synced: Names,
    /// Without loss.
    now: Names,
    pub pending: Vec<Entry>,
}

/// A change to a folder. Files and folders never have the same name here.
#[derive(Clone)]
pub(super) enum Entry {
    File(String, usize),
    Folder(String, usize),
    Gone(String),
    /// A rename within the folder is one change.
    Moved(String, String, usize),
    /// The two of a rename between folders have a number.
    Came(String, usize, usize),
    Left(String, usize),
}

impl Names {
    pub(super) fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::File(name, file) | Entry::Came(name, file, _) => drop(self.files.insert(name.clone(), *file)),
            Entry::Folder(name, folder) => drop(self.folders.insert(name.clone(), *folder)),
            Entry::Gone(name) | Entry::Left(name, _) => {
                self.files.remove(name);
                self.folders.remove(name);
            }
            Entry::Moved(from, to, file) => {
                self.files.remove(from);
                self.files.insert(to.clone(), *file);
            }
        }
    }
}

/// All files and folders that ever were.
pub(super) struct Disk {
    pub files: Vec<File>,
    pub folders: Vec<Folder>,
    /// Which file has a recorded inode now: the kernel gives numbers again.
    inodes: BTreeMap<u64, usize>,
    renames: usize,
}

impl Disk {
    /// An empty root.
    pub(super) fn new() -> Self {
        Self { files: Vec::new(), folders: vec![Folder::default()], inodes: BTreeMap::new(), renames: 0 }
    }

    /// Does the next operation of a record.
    pub(super) fn apply(&mut self, op: &Op) {
        match op {
            Op::MakeFolder(path) => {
                self.make_folder(path);
            }
            Op::Create(path, inode, emptied) => self.create(path, *inode, *emptied),
            Op::Write(inode, offset, bytes) => {
                let change = Change::Write(usize::try_from(*offset).unwrap(), bytes.clone());
                self.files[self.inodes[inode]].pending.push(change);
            }
            Op::SetSize(inode, size) => {
                self.files[self.inodes[inode]].pending.push(Change::Size(usize::try_from(*size).unwrap()));
            }
            Op::SyncData(inode) => {
                let file = &mut self.files[self.inodes[inode]];
                for change in file.pending.drain(..) {
                    change.apply(&mut file.synced);
                }
            }
            Op::SyncFolder(path) => self.sync_folder(self.folder(path)),
            Op::Rename(from, to) => {
                let ((source, name), (target, new)) = (self.entry(from), self.entry(to));
                let file = self.folders[source].now.files[&name];
                if source == target {
                    self.change(source, Entry::Moved(name, new, file));
                } else {
                    self.renames += 1;
                    self.change(target, Entry::Came(new, file, self.renames));
                    self.change(source, Entry::Left(name, self.renames));
                }
            }
            Op::Link(from, to) => {
                let ((source, name), (target, new)) = (self.entry(from), self.entry(to));
                self.change(target, Entry::File(new, self.folders[source].now.files[&name]));
            }
            Op::Unlink(path) => {
                let (folder, name) = self.entry(path);
                self.change(folder, Entry::Gone(name));
            }
            Op::RemoveFolder(path) => {
                let removed = self.folder(path);
                for name in self.folders[removed].now.files.clone().into_keys() {
                    self.change(removed, Entry::Gone(name));
                }
                let (folder, name) = self.entry(path);
                self.change(folder, Entry::Gone(name));
            }
            Op::Note(_) => {}
        }
    }

    fn sync_folder(&mut self, number: usize) {
        let folder = &mut self.folders[number];
        folder.synced = folder.now.clone();
        for entry in std::mem::take(&mut folder.pending) {
            // Where a file is gone from, it is where it went.
            let Entry::Left(_, rename) = entry else { continue };
            for target in &mut self.folders {
                if let Some(index) = target.pending.iter().position(|entry| entry.came() == Some(rename)) {
                    target.synced.apply(&target.pending.remove(index));
                }
            }
        }
    }

    fn make_folder(&mut self, path: &Path) -> usize {
        let mut folder = 0;
        for name in path {
            let name = name.to_str().unwrap();
            folder = if let Some(known) = self.folders[folder].now.folders.get(name) {
                *known
            } else {
                self.folders.push(Folder::default());
                let made = self.folders.len() - 1;
                self.change(folder, Entry::Folder(name.to_owned(), made));
                made
            };
        }
        folder
    }

    fn create(&mut self, path: &Path, inode: u64, emptied: Emptied) {
        let (folder, name) = self.entry(path);
        if let Some(known) = self.folders[folder].now.files.get(&name) {
            if emptied == Emptied::Yes {
                self.files[*known].pending.push(Change::Size(0));
            }
            return;
        }
        self.files.push(File::default());
        let made = self.files.len() - 1;
        self.inodes.insert(inode, made);
        self.change(folder, Entry::File(name, made));
    }

    fn change(&mut self, folder: usize, entry: Entry) {
        self.folders[folder].now.apply(&entry);
        self.folders[folder].pending.push(entry);
    }

    fn folder(&self, path: &Path) -> usize {
        path.iter().fold(0, |folder, name| self.folders[folder].now.folders[name.to_str().unwrap()])
    }

    /// A path's folder, and its name in it.
    fn entry(&self, path: &Path) -> (usize, String) {
        (self.folder(path.parent().unwrap()), path.file_name().unwrap().to_str().unwrap().to_owned())
    }
}

impl Entry {
    pub(super) fn came(&self) -> Option<usize> {
        match self {
            Self::Came(_, _, rename) => Some(*rename),
            _ => None,
        }
    }
}

impl Change {
    pub(super) fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, written) => {
                bytes.resize(bytes.len().max(offset + written.len()), 0);
                bytes[*offset..offset + written.len()].copy_from_slice(written);
            }
            Self::Size(size) => bytes.resize(*size, 0),
        }
    }
}
