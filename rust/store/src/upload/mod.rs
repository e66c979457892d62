//! Uploads: bytes that a client pushes, hashed as they come, until a commit makes them a blob.
//!
//! One process at a time holds an upload; the next one goes on at the last checkpoint. Which upload is whose, the metadata knows.

mod commit;
mod open;
mod queue;
mod session;
mod state;
mod writer;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::store::Inner;
use crate::{Cause, Digest, Failure};
use queue::Queue;
pub use session::{BadSession, Session};
#[cfg(test)]
pub(crate) use state::Checkpoint;
use writer::{Writer, gone};

/// An upload that this process holds. Dropping it lets go at the last checkpoint.
pub struct Upload {
    shared: Arc<Shared>,
}

/// What an upload and its blocking work share. The work that is under way keeps the upload held until it is done.
struct Shared {
    store: Arc<Inner>,
    session: Session,
    /// Never locked while the writer is waited for.
    queue: Mutex<Queue>,
    /// None once committed, or after a failure.
    writer: Mutex<Option<Writer>>,
    /// Rings when there is room in the queue, or nothing more is taken.
    bell: watch::Sender<()>,
}

impl Upload {
    fn new(writer: Writer) -> Self {
        let queue = Queue::at(writer.offset);
        let shared = Shared {
            store: Arc::clone(&writer.store),
            session: writer.session.clone(),
            queue: queue.into(),
            writer: Some(writer).into(),
            bell: watch::Sender::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Its name.
    pub fn session(&self) -> &Session {
        &self.shared.session
    }

    /// Bytes taken so far, written or about to be.
    pub fn offset(&self) -> u64 {
        self.shared.queue().offset
    }

    /// Takes the next bytes. They are written and hashed in batches of 1 MiB on a blocking thread, one at a time, and held by reference
    /// until then: at most two batches and one piece. None: the caller may go on at once; else it must await before the next call.
    ///
    /// Fails with `StorageFull` or `Storage`, also for an earlier batch; then the upload goes on only from its last checkpoint, by
    /// opening it again.
    pub fn write(
        &self,
        bytes: Bytes,
    ) -> Result<Option<impl Future<Output = Result<(), Failure>> + Send + use<>>, Failure> {
        let mut queue = self.shared.queue();
        queue.push(bytes)?;
        if !queue.is_full()? {
            return Ok(None);
        }
        if !std::mem::replace(&mut queue.writing, true) {
            let writing = Writing(Arc::clone(&self.shared));
            self.shared.store.runtime.spawn_blocking(move || writing.run());
            return Ok(None);
        }
        let (shared, mut bell) = (Arc::clone(&self.shared), self.shared.bell.subscribe());
        Ok(Some(async move {
            while shared.queue().is_full()? {
                // The sender is in what we share.
                let _ = bell.changed().await;
            }
            Ok(())
        }))
    }

    /// Waits until all is written and hashed, keeps a checkpoint for whoever holds the upload next (no fsync), and answers the offset.
    /// It happens even if the future is dropped.
    pub fn flush(&self) -> impl Future<Output = Result<u64, Failure>> + Send + use<> {
        self.work(|shared| {
            shared.at_files(|writer| {
                writer.checkpoint()?;
                Ok(writer.offset)
            })
        })
    }

    /// Makes the bytes the blob `digest` and answers their number: once it succeeded, the blob survives a loss of power, and the upload
    /// is gone. It happens even if the future is dropped.
    ///
    /// Fails with `DigestMismatch`: the upload goes on as it was. Any other failure ends this hold of it.
    pub fn commit(&self, digest: &Digest) -> impl Future<Output = Result<u64, Failure>> + Send + use<> {
        let digest = digest.clone();
        self.work(move |shared| {
            shared.at_files(|writer| writer.commit(&digest)).inspect(|_| {
                shared.end(gone(&shared.session));
                shared.let_go();
            })
        })
    }

    /// Runs a step of the upload on a blocking thread.
    fn work<T, S>(&self, step: S) -> impl Future<Output = Result<T, Failure>> + Send + use<T, S>
    where
        T: Send + 'static,
        S: FnOnce(&Shared) -> Result<T, Failure> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let task = self.shared.store.blocking(move || step(&shared));
        async { task.await? }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // A batch that is being written is written to its end, for files cannot be closed under it.
        self.shared.end(Failure::interrupted(format!("upload {} was let go", self.shared.session)));
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Whole after every step, so a panic elsewhere does not spoil it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes nothing more.
    fn end(&self, why: Failure) {
        self.queue().end(why);
        self.bell.send_replace(());
    }

    /// Closes the files and lets go of the upload.
    fn let_go(&self) {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Writes what waits, then does `step`, with nobody else at the files. A failure other than a wrong digest ends the upload here.
    fn at_files<T>(&self, step: impl FnOnce(&mut Writer) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut slot = self.writer.lock().unwrap_or_else(|broken| {
            self.end(Failure::new(Cause::Storage, format!("upload {}: a step broke off; this is a bug", self.session)));
            broken.into_inner()
        });
        let waiting = self.queue().take()?;
        self.bell.send_replace(());
        let Some(writer) = slot.as_mut() else {
            return Err(gone(&self.session));
        };
        let done = writer.write(waiting).and_then(|()| step(writer));
        if let Err(failure) = &done
            && failure.cause != Cause::DigestMismatch
        {
            self.end(failure.clone());
            // Closes the files and lets go.
            *slot = None;
        }
        done
    }
}

/// One blocking thread that writes batches, until there is none.
struct Writing(Arc<Shared>);

impl Writing {
    fn run(self) {
        loop {
            // A failure is told to whoever writes next.
            let _ = self.0.at_files(|_| Ok(()));
            let mut queue = self.0.queue();
            if !queue.is_full().unwrap_or(false) {
                queue.writing = false;
                return;
            }
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end(Failure::new(
                Cause::Storage,
                format!("upload {}: a write broke off; this is a bug", self.0.session),
            ));
        }
    }
}
