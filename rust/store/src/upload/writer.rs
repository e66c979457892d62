//! The files of an upload that this process holds. Runs on blocking threads, one at a time.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;

use super::Session;
use super::state::Checkpoint;
use crate::digest::Algorithm;
use crate::hasher::Hasher;
use crate::layout::UploadFolder;
use crate::lock::Lock;
use crate::store::Inner;
use crate::{Cause, Failure, clock, fs};

/// Bytes between two checkpoints, and between two looks at the room on the disk.
const CHECKPOINT_EVERY: u64 = 16 << 20;

/// The files of one upload, as far as it has come.
pub(super) struct Writer {
    pub store: Arc<Inner>,
    pub session: Session,
    pub folder: UploadFolder,
    /// Open for reading, and for as long as the upload is held: an error of the disk on any write of ours is told to it.
    pub data: File,
    /// None until a byte comes, and while the bytes are verified (I1).
    output: Option<File>,
    state: File,
    /// Of the bytes before `offset`.
    pub hasher: Hasher,
    pub offset: u64,
    sequence: u64,
    algorithm: Algorithm,
    checkpointed: u64,
    /// The hash by the other algorithm, once a digest asked for it, and the offset that it is for.
    pub other: Option<(u64, Hasher)>,
    /// Dropped last.
    _lock: Lock,
}

/// Where an upload's last checkpoint is, held or not; None if there is no such upload.
pub(super) fn offset(folder: &UploadFolder) -> Result<Option<u64>, Failure> {
    let Some((data, state)) = open(folder)? else {
        return Ok(None);
    };
    let found = Checkpoint::newest(&state, &folder.state())?;
    Ok(Some(usable(found.as_ref(), &data, folder)?.map_or(0, |checkpoint| checkpoint.offset)))
}

/// An upload's files, open for reading and for both. One without the other: it was being begun, committed or removed.
fn open(folder: &UploadFolder) -> Result<Option<(File, File)>, Failure> {
    let data = fs::open(&folder.data())?;
    Ok(data.zip(fs::open_writable(&folder.state())?))
}

/// A checkpoint whose bytes are there: those that were never synced may be gone after a reboot, whatever the file's size.
fn usable<'a>(
    found: Option<&'a Checkpoint>,
    data: &File,
    folder: &UploadFolder,
) -> Result<Option<&'a Checkpoint>, Failure> {
    let (boot, size) = (clock::boot_id()?, fs::size(data, &folder.data())?);
    Ok(found.filter(|checkpoint| checkpoint.boot == boot && checkpoint.offset <= size))
}

impl Writer {
    /// Makes the files of a new upload.
    pub(super) fn begin(
        store: &Arc<Inner>,
        session: Session,
        algorithm: Algorithm,
        lock: Lock,
    ) -> Result<Self, Failure> {
        let folder = store.layout.upload(&session);
        if fs::modified(folder.path())?.is_some() {
            return Err(Failure::new(
                Cause::Storage,
                format!("{}: there is an upload of this name", folder.path().display()),
            ));
        }
        let made = fs::make_folder(folder.path())
            .and_then(|()| fs::create(&folder.data()))
            .and_then(|_| fs::create(&folder.state()))
            .and_then(|state| Self::fresh(store, session, algorithm, 0, state, lock));
        if made.is_err() {
            // On a full disk, an inode is room for somebody else.
            let _ = fs::remove_folder(folder.path());
        }
        made
    }

    /// Goes on with an upload at its last checkpoint; None if there is none.
    pub(super) fn resume(store: &Arc<Inner>, session: Session, lock: Lock) -> Result<Option<Self>, Failure> {
        let folder = store.layout.upload(&session);
        let Some((data, state)) = open(&folder)? else {
            return Ok(None);
        };
        let found = Checkpoint::newest(&state, &folder.state())?;
        let checkpoint = usable(found.as_ref(), &data, &folder)?;
        if let Some(checkpoint) = checkpoint
            && let Some(hasher) = Hasher::resume(checkpoint.algorithm, &checkpoint.midstate)
        {
            return Ok(Some(Self {
                store: Arc::clone(store),
                session,
                folder,
                data,
                output: None,
                state,
                hasher,
                offset: checkpoint.offset,
                sequence: checkpoint.sequence,
                algorithm: checkpoint.algorithm,
                checkpointed: checkpoint.offset,
                other: None,
                _lock: lock,
            }));
        }
        // From the beginning, and in a file of its own: after a loss of power this one could be a blob's, too.
        fs::unlink(&folder.data())?;
        fs::create(&folder.data())?;
        let (algorithm, sequence) = found.map_or((Algorithm::Sha256, 0), |found| (found.algorithm, found.sequence));
        Self::fresh(store, session, algorithm, sequence, state, lock).map(Some)
    }

    /// At the beginning of an empty data file.
    fn fresh(
        store: &Arc<Inner>,
        session: Session,
        algorithm: Algorithm,
        sequence: u64,
        state: File,
        lock: Lock,
    ) -> Result<Self, Failure> {
        let folder = store.layout.upload(&session);
        let data = fs::open(&folder.data())?.ok_or_else(|| gone(&session))?;
        let mut writer = Self {
            store: Arc::clone(store),
            session,
            folder,
            data,
            output: None,
            state,
            hasher: Hasher::new(algorithm),
            offset: 0,
            sequence,
            algorithm,
            checkpointed: 0,
            other: None,
            _lock: lock,
        };
        writer.checkpoint()?;
        Ok(writer)
    }

    /// Writes and hashes a batch. After a failure the bytes behind the last checkpoint are worth nothing.
    pub(super) fn write(&mut self, batch: Vec<Bytes>) -> Result<(), Failure> {
        let path = self.folder.data();
        for piece in batch {
            let file = match &mut self.output {
                Some(file) => file,
                none => none.insert(fs::open_writable(&path)?.ok_or_else(|| gone(&self.session))?),
            };
            fs::write_at(file, &path, &piece, self.offset)?;
            self.hasher.update(&piece);
            self.offset += piece.len() as u64;
        }
        if self.offset - self.checkpointed >= CHECKPOINT_EVERY {
            self.store.check_room(&format_args!("upload {}", self.session))?;
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Lets whoever holds the upload next go on from here.
    pub(super) fn checkpoint(&mut self) -> Result<(), Failure> {
        let checkpoint = Checkpoint {
            sequence: self.sequence + 1,
            boot: clock::boot_id()?,
            offset: self.offset,
            algorithm: self.algorithm,
            midstate: self.hasher.midstate(),
        };
        checkpoint.save(&self.state, &self.folder.state())?;
        self.sequence = checkpoint.sequence;
        self.checkpointed = self.offset;
        Ok(())
    }

    /// Ends writing: the file is as long as what was taken, and nobody writes to it any more, unless more bytes come.
    pub(super) fn close(&mut self) -> Result<(), Failure> {
        let path = self.folder.data();
        let size = fs::size(&self.data, &path)?;
        if size > self.offset {
            // Written by somebody who was killed before the next checkpoint.
            let file = fs::open_writable(&path)?.ok_or_else(|| gone(&self.session))?;
            fs::set_size(&file, &path, self.offset)?;
        } else if size < self.offset {
            return Err(Failure::new(
                Cause::Storage,
                format!("{}: {size} bytes instead of {}; somebody else changed it", path.display(), self.offset),
            ));
        }
        self.output = None;
        Ok(())
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// The upload is not, or no longer, there.
pub(super) fn gone(session: &Session) -> Failure {
    Failure::new(Cause::NotFound, format!("there is no upload {session}: it was committed or removed, or never begun"))
}
