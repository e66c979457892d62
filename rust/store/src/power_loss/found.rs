//! What may be found on a disk after a loss of power: what was synced is there, of the rest what chance decides.
//!
//! It is worse than on real ones. Every change to a folder and every write is lost or kept on its own, whatever was done before and after
//! it, writes also in part; a file that is renamed to another folder may be found in both, but, as on real ones, not in neither.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::disk::{Change, Disk, Entry, File};

/// What becomes of each thing that was not synced.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unsynced {
    Lost,
    Kept,
    /// By chance, with this seed.
    Chance(u64),
}

impl Disk {
    /// Makes what may be found after a loss of power under `root`.
    pub(super) fn lose_power(&self, root: &Path, unsynced: Unsynced) {
        let mut chance = Chance(unsynced);
        let files: Vec<_> = self.files.iter().map(|file| file.found(&mut chance)).collect();
        let pending = self.folders.iter().flat_map(|folder| &folder.pending);
        let renamed = pending.filter_map(Entry::came).map(|rename| (rename, chance.keeps())).collect();
        let mut found = Found { disk: self, chance, files, renamed, made: BTreeMap::new() };
        found.make(0, root);
    }
}

impl File {
    fn found(&self, chance: &mut Chance) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        for change in &self.pending {
            match change {
                _ if !chance.keeps() => {}
                // The length may be there before the bytes are.
                Change::Write(offset, written) if !chance.keeps() => {
                    bytes.resize(bytes.len().max(offset + written.len()), 0);
                    bytes[*offset..offset + written.len() / 2].copy_from_slice(&written[..written.len() / 2]);
                }
                whole => whole.apply(&mut bytes),
            }
        }
        bytes
    }
}

/// A loss of power on its way to a real folder.
struct Found<'a> {
    disk: &'a Disk,
    chance: Chance,
    files: Vec<Vec<u8>>,
    /// Of the renames to another folder that are not durable: whether the new name is there.
    renamed: BTreeMap<usize, bool>,
    /// Files with a name; further ones are links, as they were.
    made: BTreeMap<usize, PathBuf>,
}

impl Found<'_> {
    fn make(&mut self, number: usize, path: &Path) {
        let folder = &self.disk.folders[number];
        let mut names = folder.synced.clone();
        for entry in &folder.pending {
            let keeps = match entry {
                Entry::Came(_, _, rename) => self.renamed[rename],
                Entry::Left(_, rename) => self.renamed.get(rename).is_none_or(|came| *came) && self.chance.keeps(),
                _ => self.chance.keeps(),
            };
            if keeps {
                names.apply(entry);
            }
        }
        for (name, file) in names.files {
            let path = path.join(name);
            if let Some(made) = self.made.get(&file) {
                std::fs::hard_link(made, &path).unwrap();
            } else {
                std::fs::write(&path, &self.files[file]).unwrap();
                self.made.insert(file, path);
            }
        }
        for (name, folder) in names.folders {
            let path = path.join(name);
            std::fs::create_dir(&path).unwrap();
            self.make(folder, &path);
        }
    }
}

struct Chance(Unsynced);

impl Chance {
    fn keeps(&mut self) -> bool {
        match &mut self.0 {
            Unsynced::Lost => false,
            Unsynced::Kept => true,
            Unsynced::Chance(word) => {
                *word ^= *word << 13;
                *word ^= *word >> 7;
                *word ^= *word << 17;
                *word >> 40 & 1 == 1
            }
        }
    }
}
