//! A disk, a lock and processes in memory, on which the machine's steps are executed one by one; for `simulation.rs`.
//!
//! A blob has a handful of bytes, its midstate is the bytes themselves, and its last block is one byte. Whatever breaks an invariant
//! is noted under its name. Blocks ahead of the frontier have two bytes.

mod client;
mod power;

use std::collections::{BTreeMap, BTreeSet};

use super::machine::{Do, End, Machine, Mark, Origin, Outcome, Past, PastState, Saw, Start};
use crate::{Cause, Failure};

/// What is to be brought.
pub(super) const CONTENT: &[u8] = b"abcdefgh";

/// How upstream and the disk behave from now on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mode {
    Honest,
    NoSize,
    OtherSize,
    Lying,
    TooLong,
    Cut,
    Full,
    Broken,
}

#[derive(Clone, Default)]
struct Inode {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    /// What readers were shown: must stay as it is.
    shown: Vec<u8>,
    /// Blocks that readers of ranges were shown.
    blocks: BTreeMap<usize, Vec<u8>>,
    /// Its generation is on record as failed its digest.
    condemned: bool,
}

struct State {
    boot: u32,
    data: u64,
    size: Option<u64>,
    frontier: u64,
    mark: (u64, Vec<u8>),
    present: BTreeSet<usize>,
    /// Set by readers of ranges in any process, and there still when its owner is not.
    wanted: BTreeSet<usize>,
    outcome: Option<Outcome>,
    recent: bool,
}

#[derive(Clone, Default)]
struct Folder {
    state: Option<usize>,
    checkpoint: Option<Checkpoint>,
    data: BTreeMap<u64, usize>,
}

/// A mark, its midstate, and the blocks present ahead of it.
type Checkpoint = (Mark, Vec<u8>, BTreeSet<usize>);

#[derive(Default)]
pub(super) struct World {
    boot: u32,
    numbers: u64,
    inodes: Vec<Inode>,
    states: Vec<State>,
    folder: Folder,
    /// What a power loss leaves of the folder.
    durable: Folder,
    pub blob: Option<usize>,
    durable_blob: Option<usize>,
    /// The name that the blob's file had before.
    renamed: Option<(u64, usize)>,
    lock: Option<usize>,
    pub mode: Option<Mode>,
    /// What a checkpoint promises to be there after a power loss.
    promised: Option<Mark>,
    rebooted: bool,
    pub violations: Vec<(&'static str, String)>,
}

/// One process's work on the digest, with one reader of a whole body.
pub(super) struct Process {
    pub machine: Machine,
    pub step: Do,
    owned: Option<Owned>,
    recalled: Past,
    midstate: Vec<u8>,
    present: BTreeSet<usize>,
    follows: Option<usize>,
    /// What this process's readers see: file, frontier, size, end.
    file: Option<usize>,
    frontier: u64,
    size: Option<u64>,
    end: Option<Result<(), Failure>>,
    body: Vec<u8>,
}

struct Owned {
    state: usize,
    data: usize,
    mark: Mark,
    hash: Vec<u8>,
    batch: Vec<u8>,
    /// The block that the batch is, if it is one ahead of the frontier.
    block: usize,
    open: bool,
    position: usize,
    saving: Option<(Checkpoint, usize)>,
}

impl Process {
    pub(super) fn start() -> Self {
        let (machine, step) = Machine::start("blob".into());
        Self {
            machine,
            step,
            owned: None,
            recalled: Past::default(),
            midstate: Vec::new(),
            present: BTreeSet::new(),
            follows: None,
            file: None,
            frontier: 0,
            size: None,
            end: None,
            body: Vec::new(),
        }
    }

    pub(super) fn tell(&mut self, saw: Saw) {
        self.step = self.machine.next(saw);
    }

    /// As `Generation::show`.
    fn show(&mut self, file: Option<usize>, frontier: u64, size: Option<u64>) -> bool {
        let same = self.file.is_none() || file.is_none() || self.file == file;
        if same && self.end.is_none() {
            self.file = self.file.or(file);
            if self.file.is_some() {
                self.frontier = self.frontier.max(frontier);
            }
            self.size = self.size.or(size);
        }
        same
    }
}

impl World {
    fn violated(&mut self, invariant: &'static str, what: impl Into<String>) {
        self.violations.push((invariant, what.into()));
    }

    fn require(&mut self, holds: bool, invariant: &'static str, what: &str) {
        if !holds {
            self.violated(invariant, what);
        }
    }

    /// One step of one process. Followers look once.
    pub(super) fn step(&mut self, me: usize, process: &mut Process) {
        let step = process.step.clone();
        if let Some(saw) = self.execute(me, process, &step) {
            process.tell(saw);
        }
        if let Do::End(end) = &process.step {
            match end {
                End::Committed if process.end.is_none() => process.end = Some(Ok(())),
                End::Failed(failure) | End::Refused(failure) if process.end.is_none() => {
                    process.end = Some(Err(failure.clone()));
                }
                _ => {}
            }
        }
        self.check(process);
    }

    #[allow(clippy::too_many_lines)]
    fn execute(&mut self, me: usize, process: &mut Process, step: &Do) -> Option<Saw> {
        let saw = match step {
            Do::Look => {
                if let Some(blob) = self.blob {
                    let size = self.inodes[blob].bytes.len() as u64;
                    if process.show(Some(blob), size, Some(size)) {
                        process.end.get_or_insert(Ok(()));
                    } else {
                        process.end.get_or_insert(Err(Failure::interrupted("another generation")));
                    }
                }
                Saw::Blob(self.blob.is_some())
            }
            Do::Lock => Saw::Lock(self.try_lock(me)),
            Do::Recall => Saw::Past(self.recall(process)),
            Do::Prepare(start) => self.prepare(process, *start),
            Do::Follow => return self.follow(me, process),
            Do::Ask(offset) => self.ask(process, *offset),
            Do::Receive => self.receive(process),
            Do::Break(_) => Saw::Again,
            Do::Unlock => {
                process.owned = None;
                self.lock = None;
                Saw::Done
            }
            Do::Clear => {
                self.folder = Folder::default();
                self.promised = None;
                // Nothing says when a removal is durable: at once, for what comes after needs it least.
                self.durable = Folder::default();
                Saw::Done
            }
            Do::End(_) => return None,
            _ => self.own(process, step),
        };
        Some(saw)
    }

    fn try_lock(&mut self, me: usize) -> bool {
        let free = self.lock.is_none();
        if free {
            self.lock = Some(me);
        }
        free
    }

    fn recall(&self, process: &mut Process) -> Past {
        let there = |mark: &Mark| {
            let inode = self.folder.data.get(&mark.data);
            inode.is_some_and(|inode| self.inodes[*inode].bytes.len() as u64 >= mark.offset)
        };
        let mut past = Past { unused: self.numbers, ..Past::default() };
        if let Some(state) = self.folder.state.map(|id| &self.states[id]).filter(|state| state.boot == self.boot) {
            let mark = Mark { data: state.data, offset: state.mark.0, size: state.size };
            process.midstate.clone_from(&state.mark.1);
            process.present.clone_from(&state.present);
            past.state = Some(PastState {
                frontier: state.frontier,
                mark: Some(mark).filter(there),
                outcome: state.outcome.clone(),
                recent: state.recent,
            });
        } else if let Some((mark, midstate, present)) = &self.folder.checkpoint {
            process.midstate.clone_from(midstate);
            process.present.clone_from(present);
            past.checkpoint = Some(*mark).filter(there);
        }
        process.recalled = past.clone();
        past
    }

    fn prepare(&mut self, process: &mut Process, start: Start) -> Saw {
        let old = self.folder.state;
        self.require(self.blob.is_none(), "i2", "what is committed is fetched again");
        if let Some(state) = process.recalled.state.as_ref() {
            let answers = state.recent && matches!(state.outcome, Some(Outcome::Failed(_)));
            self.require(!answers, "i6", "a generation began while a failure answers");
        }
        if let (Some(old), true) = (old, start.supersede) {
            self.states[old].outcome = Some(Outcome::Failed(Failure::interrupted("lost")));
        }
        let data = if start.origin == Origin::Nothing {
            self.folder.checkpoint = None;
            self.folder.data.clear();
            self.numbers += 1;
            self.inodes.push(Inode::default());
            self.folder.data.insert(start.mark.data, self.inodes.len() - 1);
            process.midstate.clear();
            process.present.clear();
            self.inodes.len() - 1
        } else {
            self.folder.data[&start.mark.data]
        };
        if self.rebooted
            && let Some(promised) = self.promised
        {
            let kept = start.mark.data == promised.data && start.mark.offset >= promised.offset;
            self.require(kept, "i5", "a durable checkpoint was not used");
        }
        self.rebooted = false;
        self.promised = self.promised.filter(|promised| promised.data == start.mark.data);
        let condemned = self.inodes[data].condemned;
        self.require(!condemned, "i4", "bytes that failed their digest are used again");
        let shown = self.inodes[data].shown.len() as u64;
        self.require(start.mark.offset >= shown, "i5", "bytes that were shown are fetched again");
        let state = if let Some(state) = old.filter(|_| start.takeover) {
            state
        } else {
            let length = self.inodes[data].bytes.len();
            process.present.retain(|block| 2 * block + 2 <= length);
            let left = old.map(|old| &self.states[old]);
            let known = left.is_none_or(|old| old.boot != self.boot || old.outcome.is_some());
            self.require(known, "i6", "followers of the old state would never hear how it ended");
            self.states.push(State {
                boot: self.boot,
                data: start.mark.data,
                size: start.mark.size,
                frontier: 0,
                mark: (start.mark.offset, process.midstate.clone()),
                present: process.present.clone(),
                wanted: BTreeSet::new(),
                outcome: None,
                recent: false,
            });
            self.folder.state = Some(self.states.len() - 1);
            self.states.len() - 1
        };
        process.owned = Some(Owned {
            state,
            data,
            mark: start.mark,
            hash: process.midstate.clone(),
            batch: Vec::new(),
            block: 0,
            open: true,
            position: 0,
            saving: None,
        });
        self.publish(process, start.mark.offset);
        if process.file == Some(data) {
            Saw::Done
        } else {
            process.owned = None;
            Saw::Failed(Failure::interrupted("began anew"))
        }
    }

    fn publish(&mut self, process: &mut Process, frontier: u64) {
        let Some(owned) = &process.owned else { return };
        let (state, data) = (&mut self.states[owned.state], owned.data);
        state.frontier = frontier;
        let size = state.size;
        let inode = &mut self.inodes[data];
        let end = usize::try_from(frontier).unwrap();
        if inode.shown.len() < end {
            inode.shown = inode.bytes[..end].to_vec();
        }
        process.show(Some(data), frontier, size);
    }

    fn follow(&mut self, me: usize, process: &mut Process) -> Option<Saw> {
        if process.follows.is_none() {
            process.follows = self.folder.state.filter(|id| {
                let state = &self.states[*id];
                let past = matches!(state.outcome, Some(Outcome::Failed(_))) && !state.recent;
                state.boot == self.boot && !past
            });
        }
        if let Some(outcome) = self.see(process) {
            return Some(outcome);
        }
        if !self.try_lock(me) {
            return None;
        }
        let outcome = self.see(process);
        if outcome.is_some() {
            self.lock = None;
        }
        Some(outcome.unwrap_or(Saw::Lock(true)))
    }

    fn see(&self, process: &mut Process) -> Option<Saw> {
        let state = &self.states[process.follows?];
        let file = self.folder.data.get(&state.data).copied();
        if !process.show(file, state.frontier, state.size) {
            return Some(Saw::Failed(Failure::interrupted("began anew")));
        }
        if state.outcome == Some(Outcome::Committed) && process.file.is_some() {
            process.end.get_or_insert(Ok(()));
        }
        state.outcome.clone().map(Saw::Outcome)
    }

    fn ask(&mut self, process: &mut Process, offset: u64) -> Saw {
        let all = CONTENT.len() as u64;
        if let Some(owned) = &mut process.owned {
            owned.position = usize::try_from(offset).unwrap();
        }
        match self.mode {
            Some(Mode::NoSize) => Saw::Begun(None),
            Some(Mode::OtherSize) => Saw::Begun(Some(all - 2)),
            Some(Mode::Cut) if offset % 2 == 1 => Saw::Broke(Failure::new(Cause::Unreachable, "cut")),
            _ => Saw::Begun(Some(all)),
        }
    }

    fn receive(&mut self, process: &mut Process) -> Saw {
        let Some(owned) = &mut process.owned else { return Saw::Ended };
        let mut source = CONTENT.to_vec();
        match self.mode {
            Some(Mode::Lying) => source[3] = b'X',
            Some(Mode::TooLong) => source.extend_from_slice(b"and more"),
            Some(Mode::Cut) if owned.position % 3 == 2 => return Saw::Broke(Failure::new(Cause::Unreachable, "cut")),
            _ => {}
        }
        let State { present, wanted, .. } = &self.states[owned.state];
        let ahead = |block: &&usize| 2 * **block as u64 >= owned.mark.offset && !present.contains(block);
        if let Some(&block) = wanted.iter().rfind(ahead).filter(|_| owned.mark.size == Some(CONTENT.len() as u64)) {
            owned.block = block;
            owned.batch = source[2 * block..2 * block + 2].to_vec();
            return Saw::Ahead;
        }
        if present.contains(&(owned.position / 2)) {
            let count = 2 - owned.position % 2;
            owned.position += count;
            return Saw::Contiguous(count as u64);
        }
        let end = (owned.position + 1 + owned.position % 3).min(source.len());
        // The source is asked for what is absent alone.
        let end = (owned.position..end).find(|at| present.contains(&(at / 2))).unwrap_or(end);
        if owned.position >= end {
            return Saw::Ended;
        }
        owned.batch = source[owned.position..end].to_vec();
        owned.position = end;
        Saw::Received(owned.batch.len() as u64)
    }

    /// The steps of an owner.
    fn own(&mut self, process: &mut Process, step: &Do) -> Saw {
        let Some(owned) = &mut process.owned else {
            self.violated("i2", format!("{step:?} without owning"));
            return Saw::Done;
        };
        let inode = &mut self.inodes[owned.data];
        match step {
            Do::Size(size) => {
                self.states[owned.state].size = *size;
                owned.mark.size = *size;
                process.size = *size;
            }
            Do::Write => match self.mode {
                Some(Mode::Full) => return Saw::Failed(Failure::new(Cause::StorageFull, "full")),
                Some(Mode::Broken) => return Saw::Failed(Failure::new(Cause::Storage, "broken")),
                _ => {
                    let batch = std::mem::take(&mut owned.batch);
                    write(inode, owned.mark.offset, &batch);
                    owned.hash.extend_from_slice(&batch);
                }
            },
            Do::Place => match self.mode {
                Some(Mode::Full) => return Saw::Failed(Failure::new(Cause::StorageFull, "full")),
                Some(Mode::Broken) => return Saw::Failed(Failure::new(Cause::Storage, "broken")),
                _ => {
                    let batch = std::mem::take(&mut owned.batch);
                    write(inode, 2 * owned.block as u64, &batch);
                    let again = !self.states[owned.state].present.insert(owned.block);
                    let shown = inode.blocks.insert(owned.block, batch).is_some();
                    if again || shown {
                        self.violations.push(("i5", "a block that was there is fetched again".into()));
                    }
                }
            },
            Do::Gather(count) => {
                let start = usize::try_from(owned.mark.offset).unwrap();
                owned.hash.extend_from_slice(&inode.bytes[start..start + usize::try_from(*count).unwrap()]);
            }
            Do::Mark(offset) => {
                owned.mark.offset = *offset;
                self.states[owned.state].mark = (*offset, owned.hash.clone());
            }
            Do::Publish(frontier) => self.publish(process, *frontier),
            Do::Close(size) => {
                inode.bytes.truncate(usize::try_from(*size).unwrap());
                owned.open = false;
                owned.saving = None;
            }
            Do::Verify => return Saw::Right(owned.hash == CONTENT),
            Do::Sync => inode.synced = inode.bytes.clone(),
            Do::Rename => {
                self.blob = Some(owned.data);
                self.renamed = self.folder.data.remove_entry(&owned.mark.data);
            }
            Do::SyncFolder => self.durable_blob = self.blob,
            Do::Record(outcome) => {
                let undone = *outcome == Outcome::Committed && self.durable_blob != self.blob;
                if undone {
                    self.violations.push(("i1", "a power loss would undo the commit".into()));
                }
                let state = &mut self.states[owned.state];
                state.outcome = Some(outcome.clone());
                state.recent = true;
                process.end = Some(match outcome {
                    Outcome::Committed => Ok(()),
                    Outcome::Failed(failure) => Err(failure.clone()),
                });
                if let Outcome::Failed(failure) = outcome {
                    inode.condemned |= failure.cause == Cause::DigestMismatch;
                }
            }
            Do::Trim(frontier) => {
                self.states[owned.state].present.clear();
                if !std::mem::take(&mut inode.blocks).is_empty() {
                    self.folder.checkpoint = None;
                    self.durable.checkpoint = None;
                    self.promised = None;
                }
                inode.bytes.truncate(usize::try_from(*frontier).unwrap());
            }
            Do::Discard => {
                self.folder.data.clear();
                self.folder.checkpoint = None;
                self.durable = self.folder.clone();
                self.promised = None;
                owned.saving = None;
            }
            other => self.violated("i2", format!("{other:?} is no step of an owner")),
        }
        Saw::Done
    }

    /// What must hold at every moment.
    fn check(&mut self, process: &Process) {
        if let Some(blob) = self.blob {
            let complete = self.inodes[blob].bytes == CONTENT;
            self.require(complete, "i1", "a committed file is not complete");
            let written = process.owned.as_ref().is_some_and(|owned| owned.open && owned.data == blob);
            self.require(!written, "i1", "a committed file can be written");
        }
        for inode in 0..self.inodes.len() {
            let Inode { bytes, shown, blocks, .. } = &self.inodes[inode];
            let same = |(block, was): (&usize, &Vec<u8>)| bytes.get(2 * block..2 * block + 2) == Some(&was[..]);
            let kept = bytes.starts_with(shown) && blocks.iter().all(same);
            self.require(kept, "i4", "bytes changed after they were shown");
        }
        if let Some(owned) = process.owned.as_ref().filter(|_| !matches!(process.step, Do::Mark(_))) {
            let end = usize::try_from(owned.mark.offset).unwrap();
            let same = self.inodes[owned.data].bytes.get(..end) == Some(&owned.hash[..]);
            // A write that failed, or a batch under way, has no hash yet.
            let settled = matches!(process.step, Do::Ask(_) | Do::Receive | Do::Close(_) | Do::Verify);
            self.require(same || !settled, "i5", "the hash is not that of the bytes");
        }
    }

    pub(super) fn owns(process: &Process) -> bool {
        process.owned.is_some()
    }
}

fn write(inode: &mut Inode, offset: u64, bytes: &[u8]) {
    let start = usize::try_from(offset).unwrap();
    let end = (start + bytes.len()).max(inode.bytes.len());
    inode.bytes.resize(end, 0);
    inode.bytes[start..start + bytes.len()].copy_from_slice(bytes);
}
