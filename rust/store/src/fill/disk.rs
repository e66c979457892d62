//! Executes the steps of a fill's machine that need no network, on the real disk. Runs on blocking threads.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::ahead::Ahead;
use super::checkpoint::Checkpoint;
use super::generation::{Data, Generation};
use super::machine::{Do, Machine, Mark, Origin, Outcome, Past, PastState, Saw, Start};
use super::save::{LastSave, Saver};
use super::state::State;
use crate::hasher::Hasher;
use crate::layout::FillFolder;
use crate::lock::Lock;
use crate::store::Inner;
use crate::{Cause, Failure, clock, fs};

/// A machine and the disk it works on: all of one process's work on one digest.
pub(crate) struct Work {
    pub machine: Machine,
    pub disk: Disk,
}

impl Work {
    /// Executes `step` and those after it, until one must wait or all is over.
    pub(crate) fn drive(&mut self, mut step: Do) -> Do {
        while !matches!(step, Do::Follow | Do::Ask(_) | Do::Receive | Do::Break(_) | Do::End(_)) {
            let saw = self.disk.execute(&step).unwrap_or_else(Saw::Failed);
            step = self.machine.next(saw);
        }
        step
    }

    /// Tells the machine what a waiting step saw, and drives on.
    pub(crate) fn tell(&mut self, saw: Saw) -> Do {
        let step = self.machine.next(saw);
        self.drive(step)
    }
}

/// The files of one digest, as far as the machine has come.
pub(crate) struct Disk {
    store: Arc<Inner>,
    generation: Arc<Generation>,
    folder: FillFolder,
    /// Held from the lock step to the unlock step; shared only with a checkpoint that is being saved.
    pub lock: Option<Arc<Lock>>,
    recalled: Recalled,
    owned: Option<Owned>,
}

/// What [`Do::Recall`] found, for [`Do::Prepare`].
#[derive(Default)]
struct Recalled {
    state: Option<State>,
    sequence: u64,
    hasher: Option<Hasher>,
    present: Vec<u8>,
}

/// The files of a generation that this process owns.
struct Owned {
    state: Arc<State>,
    path: PathBuf,
    mark: Mark,
    /// None once closed.
    writer: Option<File>,
    data: Data,
    hasher: Hasher,
    sequence: u64,
    batch: Vec<Bytes>,
    ahead: Ahead,
    /// Bytes that were placed ahead by this process.
    placed: u64,
    saver: Arc<Saver>,
    last_save: LastSave,
    _count: Count,
}

/// Counts the fills that a process owns.
struct Count(Arc<AtomicUsize>);

impl Count {
    fn one(of: &Arc<AtomicUsize>) -> Self {
        of.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(of))
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Disk {
    pub(crate) fn new(store: Arc<Inner>, generation: Arc<Generation>) -> Self {
        Self {
            folder: store.layout.fill(&generation.digest),
            store,
            generation,
            lock: None,
            recalled: Recalled::default(),
            owned: None,
        }
    }

    /// The state of the generation that this process owns.
    pub(crate) fn state(&self) -> Option<Arc<State>> {
        self.owned.as_ref().map(|owned| Arc::clone(&owned.state))
    }

    /// What [`Do::Write`] writes.
    pub(crate) fn take_batch(&mut self, batch: Vec<Bytes>) {
        if let Some(owned) = &mut self.owned {
            owned.batch = batch;
        }
    }

    /// What [`Do::Place`] writes.
    pub(crate) fn take_ahead(&mut self, ahead: Ahead) {
        if let Some(owned) = &mut self.owned {
            owned.ahead = ahead;
        }
    }

    fn execute(&mut self, step: &Do) -> Result<Saw, Failure> {
        match step {
            Do::Look => return self.look(),
            Do::Lock => {
                let lock = self.store.locks.try_lock(self.generation.digest.lock_key())?;
                self.lock = lock.map(Arc::new);
                return Ok(Saw::Lock(self.lock.is_some()));
            }
            Do::Recall => return self.recall().map(Saw::Past),
            Do::Prepare(start) => self.prepare(*start)?,
            Do::Verify => {
                let digest = self.generation.digest.clone();
                return Ok(Saw::Right(self.owned()?.hasher.matches(&digest)));
            }
            Do::Size(size) => {
                let owned = self.owned()?;
                owned.state.set_size(*size);
                owned.state.set_answered();
                owned.mark.size = *size;
                self.show();
            }
            Do::Write => self.write()?,
            Do::Place => self.place()?,
            Do::Gather(count) => self.gather(*count)?,
            Do::Mark(frontier) => self.mark(*frontier)?,
            Do::Publish(frontier) => {
                self.owned()?.state.set_frontier(*frontier);
                self.show();
                self.save_if_due();
            }
            Do::Close(size) => self.close(*size)?,
            Do::Sync => {
                let owned = self.owned()?;
                fs::sync_data(&owned.data.file, &owned.path)?;
            }
            Do::Rename => {
                let blob = self.store.layout.blob(&self.generation.digest);
                if let Some(shard) = blob.parent() {
                    self.store.make_shard(shard)?;
                }
                fs::rename(&self.owned()?.path, &blob)?;
            }
            Do::SyncFolder => {
                let blob = self.store.layout.blob(&self.generation.digest);
                if let Some(folder) = blob.parent() {
                    fs::sync_folder(folder)?;
                }
            }
            Do::Record(outcome) => self.record(outcome)?,
            Do::Trim(frontier) => self.trim(*frontier)?,
            Do::Discard => {
                let owned = self.owned()?;
                owned.saver.stop();
                fs::unlink(&owned.path)?;
                fs::unlink(&self.folder.checkpoint())?;
                fs::sync_folder(self.folder.path())?;
            }
            Do::Clear => {
                fs::remove_folder(self.folder.path())?;
            }
            Do::Unlock => self.let_go(),
            Do::Follow | Do::Ask(_) | Do::Receive | Do::Break(_) | Do::End(_) => {}
        }
        Ok(Saw::Done)
    }

    fn look(&self) -> Result<Saw, Failure> {
        let path = self.store.layout.blob(&self.generation.digest);
        let Some(file) = fs::open(&path)? else {
            return Ok(Saw::Blob(false));
        };
        let size = fs::size(&file, &path)?;
        self.generation.commit(&Data::new(file, &path)?, size);
        self.store.table.committed(&self.generation);
        Ok(Saw::Blob(true))
    }

    fn recall(&mut self) -> Result<Past, Failure> {
        let algorithm = self.generation.digest.algorithm();
        let boot = clock::boot_id()?;
        let state = State::open(&self.folder, true)?.filter(|state| state.is_of(boot));
        let mut past = Past { unused: self.unused()?, ..Past::default() };
        if let Some(state) = &state {
            let newest = state.newest_mark();
            let mark =
                newest.as_ref().map(|(_, offset, _)| Mark { data: state.data(), offset: *offset, size: state.size() });
            self.recalled.sequence = newest.as_ref().map_or(0, |newest| newest.0);
            self.recalled.hasher = newest.and_then(|newest| Hasher::resume(algorithm, &newest.2));
            self.recalled.present = state.present();
            past.state = Some(PastState {
                frontier: state.frontier(),
                mark: self.usable(mark)?,
                outcome: state.outcome(),
                recent: !state.lasting().is_zero(),
            });
        } else if let Some(checkpoint) = Checkpoint::load(&self.folder)? {
            self.recalled.hasher = Hasher::resume(algorithm, &checkpoint.midstate);
            self.recalled.present = checkpoint.present;
            past.checkpoint = self.usable(Some(checkpoint.mark))?;
        }
        self.recalled.state = state;
        Ok(past)
    }

    /// A data number that was never used before, even if the folder was removed since: a follower that mapped an older `state` must
    /// not find the data of another.
    fn unused(&self) -> Result<u64, Failure> {
        let past = self.folder.data_numbers()?.into_iter().max().map_or(0, |number| number + 1);
        let now = u64::try_from(clock::since_boot().as_nanos()).unwrap_or(u64::MAX);
        Ok(now.max(past))
    }

    /// A mark whose midstate and bytes are there.
    fn usable(&self, mark: Option<Mark>) -> Result<Option<Mark>, Failure> {
        let Some(mark) = mark.filter(|_| self.recalled.hasher.is_some()) else {
            return Ok(None);
        };
        let path = self.folder.data(mark.data);
        let long = match fs::open(&path)? {
            Some(file) => fs::size(&file, &path)? >= mark.offset,
            None => false,
        };
        Ok(long.then_some(mark))
    }

    fn prepare(&mut self, start: Start) -> Result<(), Failure> {
        let Start { mark, origin, .. } = start;
        self.store.check_open()?;
        if !start.takeover {
            self.store.check_room(&self.generation.digest)?;
        }
        let recalled = std::mem::take(&mut self.recalled);
        fs::make_folder(self.folder.path())?;
        if let Some(state) = recalled.state.as_ref().filter(|_| start.supersede) {
            let failure = Failure::interrupted(format!("{}: the partial is lost; ask again", self.generation.digest));
            state.record(&Outcome::Failed(failure), std::time::Duration::ZERO);
        }
        let path = self.folder.data(mark.data);
        let (writer, hasher) = if origin == Origin::Nothing {
            fs::unlink(&self.folder.checkpoint())?;
            for number in self.folder.data_numbers()? {
                fs::unlink(&self.folder.data(number))?;
            }
            (Some(fs::create(&path)?), Some(Hasher::new(self.generation.digest.algorithm())))
        } else {
            (fs::open_writable(&path)?, recalled.hasher)
        };
        let (Some(writer), Some(hasher), Some(data)) = (writer, hasher, fs::open(&path)?) else {
            return Err(Failure::new(Cause::Storage, format!("{}: gone", path.display())));
        };
        let (state, sequence) = if let Some(state) = recalled.state.filter(|_| start.takeover) {
            (state, recalled.sequence)
        } else {
            let state = State::create(&self.folder, mark, &hasher.midstate())?;
            if origin != Origin::Nothing {
                state.restore_present(&recalled.present, fs::size(&data, &path)?);
            }
            (state, 0)
        };
        state.set_frontier(mark.offset);
        let state = Arc::new(state);
        let data = Data::new(data, &path)?.with(&state);
        self.owned = Some(Owned {
            state,
            path,
            mark,
            writer: Some(writer),
            saver: Saver::new(self.folder.clone(), Arc::clone(&data.file)),
            data,
            hasher,
            sequence,
            batch: Vec::new(),
            ahead: Ahead::default(),
            placed: 0,
            last_save: LastSave::new(mark.offset),
            _count: Count::one(&self.store.owned),
        });
        if self.show() {
            Ok(())
        } else {
            self.owned = None;
            Err(Failure::interrupted(format!("{}: the fill began anew; ask again", self.generation.digest)))
        }
    }

    /// Tells this process's readers what `state` tells the others.
    fn show(&self) -> bool {
        self.owned.as_ref().is_none_or(|owned| {
            let state = &owned.state;
            self.generation.show(Some(&owned.data), state.size(), state.frontier(), state.answered())
        })
    }

    fn place(&mut self) -> Result<(), Failure> {
        let owned = self.owned()?;
        if let Some(failure) = owned.saver.error() {
            return Err(failure);
        }
        let ahead = std::mem::take(&mut owned.ahead);
        if ahead.pieces.iter().any(|(offset, _)| *offset < owned.mark.offset) {
            // I1: what was hashed is not read again at the commit.
            return Err(Failure::new(Cause::Storage, format!("{}: bytes for what is hashed", owned.path.display())));
        }
        let Some(writer) = &owned.writer else {
            return Err(Failure::new(Cause::Storage, format!("{}: closed", owned.path.display())));
        };
        owned.placed += ahead.write(writer, &owned.path)?;
        // Only now may anybody read them.
        ahead.blocks.into_iter().for_each(|blocks| owned.state.set_present(blocks));
        owned.state.set_placed();
        self.show();
        self.save_if_due();
        Ok(())
    }

    fn gather(&mut self, count: u64) -> Result<(), Failure> {
        let owned = self.owned()?;
        super::ahead::hash(&owned.data.file, &owned.path, owned.mark.offset, count, &mut owned.hasher)
    }

    fn write(&mut self) -> Result<(), Failure> {
        let owned = self.owned()?;
        if let Some(failure) = owned.saver.error() {
            return Err(failure);
        }
        let batch = std::mem::take(&mut owned.batch);
        let Some(writer) = &owned.writer else {
            return Err(Failure::new(Cause::Storage, format!("{}: closed", owned.path.display())));
        };
        let mut offset = owned.mark.offset;
        for piece in &batch {
            fs::write_at(writer, &owned.path, piece, offset)?;
            owned.hasher.update(piece);
            offset += piece.len() as u64;
        }
        Ok(())
    }

    fn mark(&mut self, frontier: u64) -> Result<(), Failure> {
        let owned = self.owned()?;
        owned.sequence += 1;
        owned.mark.offset = frontier;
        owned.state.mark(owned.sequence, frontier, &owned.hasher.midstate());
        Ok(())
    }

    fn checkpoint(&self) -> Option<(&Arc<Saver>, Checkpoint, Arc<Lock>)> {
        let owned = self.owned.as_ref()?;
        // Before the data is synced, so that what it names will be.
        let present = owned.state.present();
        let checkpoint = Checkpoint { mark: owned.mark, midstate: owned.hasher.midstate(), present };
        Some((&owned.saver, checkpoint, Arc::clone(self.lock.as_ref()?)))
    }

    /// Begins to save a durable checkpoint, if the last is old.
    pub(crate) fn save_if_due(&mut self) {
        let due = self.owned.as_ref().is_some_and(|owned| owned.last_save.is_due(owned.mark.offset + owned.placed));
        let started = due
            && self
                .checkpoint()
                .is_some_and(|(saver, checkpoint, lock)| saver.start(checkpoint, lock, &self.store.runtime));
        if let Some(owned) = self.owned.as_mut().filter(|_| started) {
            owned.last_save = LastSave::new(owned.mark.offset + owned.placed);
        }
    }

    /// Saves a durable checkpoint before this process lets go.
    pub(crate) fn save_now(&self) {
        if let Some((saver, checkpoint, lock)) = self.checkpoint() {
            saver.save_now(checkpoint, lock);
        }
    }

    fn close(&mut self, size: u64) -> Result<(), Failure> {
        let owned = self.owned()?;
        owned.saver.stop();
        if let Some(failure) = owned.saver.error() {
            return Err(failure);
        }
        if let Some(writer) = owned.writer.take()
            && fs::size(&writer, &owned.path)? != size
        {
            fs::set_size(&writer, &owned.path, size)?;
        }
        Ok(())
    }

    fn record(&mut self, outcome: &Outcome) -> Result<(), Failure> {
        let owned = self.owned()?;
        let (state, data, size) = (Arc::clone(&owned.state), owned.data.clone(), owned.mark.offset);
        match outcome {
            Outcome::Committed => {
                state.record(outcome, std::time::Duration::ZERO);
                self.generation.commit(&data, size);
                self.store.table.committed(&self.generation);
            }
            Outcome::Failed(failure) => {
                let lasting = self.store.lasting(failure);
                state.record(outcome, lasting);
                self.generation.fail(failure.clone(), lasting);
                // Whoever keeps the fill's handle must not keep the next driver from driving.
                self.store.table.release(&self.generation);
            }
        }
        Ok(())
    }

    fn trim(&mut self, frontier: u64) -> Result<(), Failure> {
        let owned = self.owned()?;
        owned.saver.stop();
        if owned.state.next_present(0).is_some() {
            // What says that these blocks are there goes before they do: no heir may take a hole for one of them.
            owned.state.clear_present();
            fs::unlink(&self.folder.checkpoint())?;
            fs::sync_folder(self.folder.path())?;
        }
        let owned = self.owned()?;
        match &owned.writer {
            Some(writer) => fs::set_size(writer, &owned.path, frontier),
            None => Ok(()),
        }
    }

    fn let_go(&mut self) {
        if let Some(owned) = self.owned.take() {
            owned.saver.cancel();
        }
        self.lock = None;
    }

    fn owned(&mut self) -> Result<&mut Owned, Failure> {
        let digest = &self.generation.digest;
        self.owned
            .as_mut()
            .ok_or_else(|| Failure::new(Cause::Storage, format!("{digest}: the fill is not owned; this is a bug")))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.let_go();
    }
}
