//! The lock primitive: one byte of `root/locks` for a key, held by a process and gone with it.
//!
//! Open-file-description locks (fcntl(2)) on one description do not exclude each other, so each process asks its own map first and
//! the kernel second. Waiters of one process queue fairly in the map; between processes the free byte is polled for.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use tokio::sync::OwnedMutexGuard;

use crate::{Failure, fs};

/// Bits of a key that count: a file's offsets are positive.
const KEY_MASK: u64 = u64::MAX >> 1;

/// A key that somebody of this process holds or waits for.
#[derive(Default)]
struct Key {
    /// Whose turn it is in this process.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Whether the one whose turn it is has the byte, too.
    held: bool,
}

/// The locks of one root, as one process sees them.
pub(crate) struct Locks {
    path: PathBuf,
    file: File,
    keys: Mutex<HashMap<u64, Key>>,
}

/// A held lock; dropping releases it. It also goes with its process.
pub struct Lock {
    locks: Arc<Locks>,
    key: u64,
    /// None while still in the queue.
    turn: Option<OwnedMutexGuard<()>>,
}

impl Locks {
    pub(crate) fn open(path: PathBuf) -> Result<Arc<Self>, Failure> {
        Ok(Arc::new(Self { file: fs::open_or_create(&path)?, path, keys: Mutex::default() }))
    }

    /// For [`Locks::is_held`] alone, on a root that need not be writable.
    pub(crate) fn looking(file: File, path: PathBuf) -> Self {
        Self { file, path, keys: Mutex::default() }
    }

    /// The lock of `key`, waited for.
    pub(crate) async fn lock(self: Arc<Self>, key: u64) -> Result<Lock, Failure> {
        let mut lock = self.queued(key);
        lock.turn = Some(self.turn(key).lock_owned().await);
        let mut pause = Duration::from_millis(1);
        while !lock.take()? {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(5));
        }
        Ok(lock)
    }

    /// The lock of `key`, or None if somebody holds it.
    pub(crate) fn try_lock(self: &Arc<Self>, key: u64) -> Result<Option<Lock>, Failure> {
        let mut lock = self.queued(key);
        lock.turn = self.turn(key).try_lock_owned().ok();
        Ok((lock.turn.is_some() && lock.take()?).then_some(lock))
    }

    /// Whether somebody holds the lock of `key`, here or in another process.
    pub(crate) fn is_held(&self, key: u64) -> Result<bool, Failure> {
        if self.keys().get(&(key & KEY_MASK)).is_some_and(|key| key.held) {
            return Ok(true);
        }
        let mut range = byte(key, libc::F_WRLCK);
        fcntl(&self.file, FcntlArg::F_OFD_GETLK(&mut range)).map_err(|errno| Failure::io(&self.path, &errno.into()))?;
        Ok(i32::from(range.l_type) != libc::F_UNLCK)
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<u64, Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, key: u64) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.keys().entry(key & KEY_MASK).or_default().turn)
    }

    fn queued(self: &Arc<Self>, key: u64) -> Lock {
        Lock { locks: Arc::clone(self), key: key & KEY_MASK, turn: None }
    }
}

impl Lock {
    /// Asks the kernel, with the turn in hand. False: another process holds the byte.
    fn take(&mut self) -> Result<bool, Failure> {
        match fcntl(&self.locks.file, FcntlArg::F_OFD_SETLK(&byte(self.key, libc::F_WRLCK))) {
            Ok(_) => {
                self.locks.keys().entry(self.key).or_default().held = true;
                Ok(true)
            }
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(errno) => Err(Failure::io(&self.locks.path, &errno.into())),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let turn = self.turn.take();
        let mut keys = self.locks.keys();
        let Some(key) = keys.get_mut(&self.key) else {
            return;
        };
        if turn.is_some() {
            // The kernel first: whoever gets the turn next then finds the byte free. Without the turn the byte is not ours to free.
            let _ = fcntl(&self.locks.file, FcntlArg::F_OFD_SETLK(&byte(self.key, libc::F_UNLCK)));
            key.held = false;
        }
        drop(turn);
        if Arc::strong_count(&key.turn) == 1 {
            keys.remove(&self.key);
        }
    }
}

/// The byte of a key, for fcntl.
fn byte(key: u64, kind: i32) -> libc::flock {
    // F_RDLCK, F_WRLCK, F_UNLCK and SEEK_SET are 0 to 2; the key has 63 bits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: (key & KEY_MASK) as libc::off_t,
        l_len: 1,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two descriptions of one file: what two processes have.
    fn two() -> (tempfile::TempDir, Arc<Locks>, Arc<Locks>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("locks");
        let one = Locks::open(path.clone()).unwrap();
        let other = Locks::open(path).unwrap();
        (folder, one, other)
    }

    #[test]
    fn excludes_within_and_between_processes() {
        let (_folder, one, other) = two();
        for key in [0, 7, u64::MAX >> 1] {
            let held = one.try_lock(key).unwrap().unwrap();
            assert!(one.try_lock(key).unwrap().is_none());
            assert!(other.try_lock(key).unwrap().is_none());
            assert!(other.try_lock(key ^ 1).unwrap().is_some());
            assert!(one.is_held(key).unwrap() && other.is_held(key).unwrap());
            drop(held);
            assert!(!one.is_held(key).unwrap() && !other.is_held(key).unwrap());
            assert!(other.try_lock(key).unwrap().is_some());
        }
        assert!(one.keys().is_empty());
        assert!(other.keys().is_empty());
    }

    #[tokio::test]
    async fn waiters_get_it_one_after_the_other() {
        let (_folder, one, other) = two();
        let inside = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let tasks: Vec<_> = (0..20)
            .map(|index| {
                let locks = Arc::clone(if index % 2 == 0 { &one } else { &other });
                let inside = Arc::clone(&inside);
                tokio::spawn(async move {
                    let _held = Arc::clone(&locks).lock(5).await.unwrap();
                    assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_leaves_no_trace() {
        let (_folder, one, other) = two();
        let held = other.try_lock(5).unwrap().unwrap();
        let waiting = tokio::spawn({
            let one = Arc::clone(&one);
            async move { one.lock(5).await.map(drop) }
        });
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.is_err());
        drop(held);
        assert!(one.try_lock(5).unwrap().is_some());
        assert!(one.keys().is_empty());
    }
}
