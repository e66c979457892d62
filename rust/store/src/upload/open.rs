//! Uploads of a store.

use std::time::{Duration, SystemTime};

use super::writer::{self, Writer, gone};
use super::{Session, Upload};
use crate::digest::Algorithm;
use crate::{Cause, Failure, Store, fs};

impl Store {
    /// Makes the upload `session` and holds it. Its bytes are hashed by `algorithm` as they come; a digest of the other one costs a
    /// read of the file at the commit. Fails with `StorageFull` below the reserve.
    pub fn begin_upload(&self, session: &Session, algorithm: Algorithm) -> Result<Upload, Failure> {
        self.inner.check_open()?;
        self.inner.check_room(&format_args!("upload {session}"))?;
        let Some(lock) = self.inner.locks.try_lock(session.lock_key())? else {
            return Err(Failure::new(Cause::Storage, format!("upload {session} is held by somebody already")));
        };
        Writer::begin(&self.inner, session.clone(), algorithm, lock).map(Upload::new)
    }

    /// Holds an upload that was begun before, by whichever process, at its last checkpoint. None while somebody else holds it, and as
    /// long as a write goes on that its last holder began. Fails with `NotFound` if there is none.
    pub fn open_upload(&self, session: &Session) -> Result<Option<Upload>, Failure> {
        self.inner.check_open()?;
        if self.upload_offset(session)?.is_none() {
            return Err(gone(session));
        }
        let Some(lock) = self.inner.locks.try_lock(session.lock_key())? else {
            return Ok(None);
        };
        let writer = Writer::resume(&self.inner, session.clone(), lock)?.ok_or_else(|| gone(session))?;
        Ok(Some(Upload::new(writer)))
    }

    /// Bytes that an upload has at its last checkpoint, held or not; None if there is none. 0 after a reboot: what was not synced is not
    /// counted on.
    pub fn upload_offset(&self, session: &Session) -> Result<Option<u64>, Failure> {
        writer::offset(&self.inner.layout.upload(session))
    }

    /// Removes an upload and its bytes. False while somebody holds it, and if there is none.
    pub fn remove_upload(&self, session: &Session) -> Result<bool, Failure> {
        let Some(_lock) = self.inner.locks.try_lock(session.lock_key())? else {
            return Ok(false);
        };
        let folder = self.inner.layout.upload(session);
        // A large file's blocks are freed when it is closed, and that takes its time.
        let data = fs::open(&folder.data())?;
        let removed = fs::remove_folder(folder.path());
        self.inner.runtime.spawn_blocking(move || drop(data));
        removed
    }

    /// Every upload on disk with the time since its last checkpoint, for cleaning.
    pub fn uploads(&self) -> Result<Vec<(Session, Duration)>, Failure> {
        let mut uploads = Vec::new();
        for session in fs::list(&self.inner.layout.uploads())?.iter().filter_map(|name| Session::parse(name).ok()) {
            let folder = self.inner.layout.upload(&session);
            // Without a state it was being begun or committed.
            let modified = match fs::modified(&folder.state())? {
                None => fs::modified(folder.path())?,
                modified => modified,
            };
            if let Some(modified) = modified {
                uploads.push((session, SystemTime::now().duration_since(modified).unwrap_or_default()));
            }
        }
        Ok(uploads)
    }
}
