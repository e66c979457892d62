//! What a simulated disk keeps: checkpoints beside a fill, kills, power losses, and time that passes.

use std::collections::BTreeMap;

use super::{Process, World, write};
use crate::fill::checkpoint::Save;
use crate::fill::machine::Do;

impl World {
    /// One step of a durable checkpoint beside the fill.
    pub(in crate::fill) fn save(&mut self, process: &mut Process) {
        let between =
            !matches!(process.step, Do::Write | Do::Place | Do::Mark(_) | Do::Close(_)) && process.end.is_none();
        let Some(owned) = process.owned.as_mut().filter(|owned| owned.open && between) else {
            return;
        };
        let now = || (owned.mark, owned.hash.clone(), self.states[owned.state].present.clone());
        let (checkpoint, done) = owned.saving.take().unwrap_or_else(|| (now(), 0));
        match Save::ORDER[done] {
            Save::SyncData => self.inodes[owned.data].synced = self.inodes[owned.data].bytes.clone(),
            Save::WriteFresh => {}
            Save::Rename => self.folder.checkpoint = Some(checkpoint.clone()),
            Save::SyncFolder => {
                self.durable = self.folder.clone();
                self.promised = Some(checkpoint.0);
            }
        }
        if done + 1 < Save::ORDER.len() {
            owned.saving = Some((checkpoint, done + 1));
        }
    }

    /// A process is gone, at any moment: a batch may have reached the file in part.
    pub(in crate::fill) fn kill(&mut self, me: usize, process: &Process) {
        if let Some(owned) = process.owned.as_ref().filter(|_| matches!(process.step, Do::Write | Do::Place)) {
            let half = owned.batch.len() / 2;
            let at = if process.step == Do::Place { 2 * owned.block as u64 } else { owned.mark.offset };
            write(&mut self.inodes[owned.data], at, &owned.batch[..half]);
        }
        if self.lock == Some(me) {
            self.lock = None;
        }
    }

    /// Power is lost, and with it what was not synced, as chance has it. No process lives.
    pub(in crate::fill) fn reboot(&mut self, chance: u8) {
        self.boot += 1;
        self.lock = None;
        self.rebooted = true;
        let fetched: Vec<_> = self.inodes.iter_mut().map(|inode| std::mem::take(&mut inode.blocks)).collect();
        for inode in &mut self.inodes {
            inode.shown.clear();
            match chance & 3 {
                0 => inode.bytes.clone_from(&inode.synced),
                1 => {
                    let length = inode.bytes.len();
                    inode.bytes.clone_from(&inode.synced);
                    inode.bytes.resize(length.max(inode.synced.len()), 0);
                }
                _ => inode.synced.clone_from(&inode.bytes),
            }
        }
        if chance & 4 == 0 {
            self.folder = self.durable.clone();
        }
        if chance & 8 == 0 {
            // The file has one of its two names.
            if self.blob != self.durable_blob {
                self.folder.data.extend(self.renamed);
            }
            self.blob = self.durable_blob;
        }
        self.keep_promises(&fetched);
        self.folder.data.retain(|_, inode| Some(*inode) != self.blob);
        self.durable = self.folder.clone();
        self.durable_blob = self.blob;
    }

    /// Blocks that the checkpoint which is left names are as they were fetched.
    fn keep_promises(&mut self, fetched: &[BTreeMap<usize, Vec<u8>>]) {
        let Some((mark, _, present)) = self.folder.checkpoint.clone() else { return };
        let Some(data) = self.folder.data.get(&mark.data).copied() else { return };
        for block in present {
            if let Some(bytes) = self.inodes[data].bytes.get(2 * block..2 * block + 2).map(<[u8]>::to_vec) {
                let same = fetched[data].get(&block) == Some(&bytes);
                self.require(same, "i5", "a checkpoint names a block that is not there");
                self.inodes[data].blocks.insert(block, bytes);
            }
        }
    }

    /// Failures have had their time.
    pub(in crate::fill) fn expire(&mut self) {
        for state in &mut self.states {
            state.recent = false;
        }
    }

    pub(in crate::fill) fn evict(&mut self) {
        self.blob = None;
        self.durable_blob = None;
    }
}
