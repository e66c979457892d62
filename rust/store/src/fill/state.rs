//! The memory-mapped `state` of a fill: what its owner tells the other processes, and an heir.
//!
//! ```text
//! offset bytes
//!      0     8  magic, which names this layout
//!      8    16  boot id
//!     24     8  number of the data file
//!     32     8  size; all ones: unknown
//!     40     8  block size, set with the size
//!     48     8  frontier
//!     56     8  1 once the source has answered
//!     64     8  last_wanted, ms since boot
//!     72     8  outcome: 0 none, 1 committed, 2 failed
//!     80     8  ms since boot until which a failure answers
//!     88     8  a failure's Retry-After in ms; all ones: none
//!     96     8  a failure's cause, status << 8, length of its message << 32
//!    104   256  a failure's message
//!    360     8  last time a reader of a whole body waited in another process, ms since boot
//!    368     8  number of times that blocks became present
//!    376     8  bell: number of times that blocks became wanted
//!   1024   512  mark 0: sequence, offset, length, midstate, xxh3 of these
//!   1536   512  mark 1
//!   4096 32768  bitmap of the blocks present ahead of the frontier (`bitmaps.rs`)
//!  36864 32768  bitmap of the blocks wanted
//! ```
//! Numbers are little-endian words of 8 bytes, stored and loaded atomically. The size of the file never changes, for a truncated
//! mapping kills whoever reads it, and all its blocks are allocated first, for a full disk would kill whoever stores.
//! A bitmap has room for 262,144 blocks, so a block is 32 KiB up to a size of 8 GiB, then doubles.
#![allow(unsafe_code)]

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use memmap2::{MmapOptions, MmapRaw};
use xxhash_rust::xxh3::xxh3_64;

use super::machine::{Mark, Outcome};
use crate::clock::{self, BootId};
use crate::hasher::MIDSTATE_MAX;
use crate::layout::FillFolder;
use crate::{Cause, Failure, fs};

const FILE_SIZE: usize = 4096 + 2 * 32768;
const MAGIC: u64 = u64::from_le_bytes(*b"pyrfill1");
const NONE: u64 = u64::MAX;

const BOOT: usize = 8;
const DATA: usize = 24;
const SIZE: usize = 32;
const BLOCK: usize = 40;
const FRONTIER: usize = 48;
const ANSWERED: usize = 56;
const LAST_WANTED: usize = 64;
const OUTCOME: usize = 72;
const UNTIL: usize = 80;
const RETRY_AFTER: usize = 88;
const CAUSE: usize = 96;
const MESSAGE: usize = 104;
const MESSAGE_MAX: usize = 256;
const LAST_WHOLE: usize = 360;
const PLACED: usize = 368;
const BELL: usize = 376;
const MARKS: [usize; 2] = [1024, 1536];

/// Bytes of a block for a blob of `size` bytes.
pub(crate) fn block_size(size: Option<u64>) -> u64 {
    let mut block = 32 << 10;
    while size.is_some_and(|size| size / block >= 262_144) {
        block *= 2;
    }
    block
}

/// A mapping of one generation's `state`.
pub(crate) struct State {
    map: MmapRaw,
}

impl State {
    /// Makes the `state` of a new generation that goes on from `mark` and gives it its name. Only the lock's holder does so.
    pub(crate) fn create(folder: &FillFolder, mark: Mark, midstate: &[u8]) -> Result<Self, Failure> {
        let path = folder.fresh("state");
        // A new inode: followers may still map one of this name that was never renamed.
        fs::unlink(&path)?;
        let file = fs::create(&path)?;
        fs::set_size(&file, &path, FILE_SIZE as u64)?;
        fs::allocate(&file, &path, FILE_SIZE as u64)?;
        let state = Self::map(&file, &path, true)?;
        for (word, chunk) in clock::boot_id()?.chunks_exact(8).enumerate() {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(chunk);
            state.store(BOOT + 8 * word, u64::from_le_bytes(bytes));
        }
        state.store(DATA, mark.data);
        state.set_size(mark.size);
        state.mark(0, mark.offset, midstate);
        state.store(FRONTIER, mark.offset);
        state.store(0, MAGIC);
        fs::rename(&path, &folder.state())?;
        Ok(state)
    }

    /// Maps the `state` of `folder`; None if there is none of this layout.
    pub(crate) fn open(folder: &FillFolder, writable: bool) -> Result<Option<Self>, Failure> {
        let path = folder.state();
        let file = if writable { fs::open_writable(&path)? } else { fs::open(&path)? };
        let Some(file) = file else {
            return Ok(None);
        };
        if fs::size(&file, &path)? != FILE_SIZE as u64 {
            return Ok(None);
        }
        let state = Self::map(&file, &path, writable)?;
        Ok((state.load(0) == MAGIC).then_some(state))
    }

    fn map(file: &File, path: &Path, writable: bool) -> Result<Self, Failure> {
        let mut options = MmapOptions::new();
        options.len(FILE_SIZE);
        let map = if writable { options.map_raw(file) } else { options.map_raw_read_only(file) };
        Ok(Self { map: map.map_err(|error| Failure::io(path, &error))? })
    }

    /// Whether it was made since the machine started: else it may be torn.
    pub(crate) fn is_of(&self, boot: BootId) -> bool {
        let mut stored = [0; 16];
        stored[..8].copy_from_slice(&self.load(BOOT).to_le_bytes());
        stored[8..].copy_from_slice(&self.load(BOOT + 8).to_le_bytes());
        stored == boot
    }

    pub(crate) fn data(&self) -> u64 {
        self.load(DATA)
    }

    pub(crate) fn size(&self) -> Option<u64> {
        Some(self.load(SIZE)).filter(|size| *size != NONE)
    }

    pub(crate) fn set_size(&self, size: Option<u64>) {
        self.store(BLOCK, block_size(size));
        self.store(SIZE, size.unwrap_or(NONE));
    }

    /// Bytes of a block.
    pub(crate) fn block(&self) -> u64 {
        self.load(BLOCK).max(1)
    }

    pub(crate) fn frontier(&self) -> u64 {
        self.load(FRONTIER)
    }

    pub(crate) fn set_frontier(&self, frontier: u64) {
        self.store(FRONTIER, frontier);
    }

    /// Whether the source has answered, so that an unknown size stays unknown until the end.
    pub(crate) fn answered(&self) -> bool {
        self.load(ANSWERED) != 0
    }

    pub(crate) fn set_answered(&self) {
        self.store(ANSWERED, 1);
    }

    /// A reader of some process waits.
    pub(crate) fn want(&self) {
        self.store(LAST_WANTED, clock::millis());
    }

    /// How long ago a reader of another process waited.
    pub(crate) fn last_wanted(&self) -> Duration {
        Duration::from_millis(clock::millis().saturating_sub(self.load(LAST_WANTED)))
    }

    /// A reader of a whole body waits.
    pub(crate) fn want_whole(&self) {
        self.store(LAST_WHOLE, clock::millis());
        self.ring();
    }

    /// How long ago a reader of a whole body waited in another process.
    pub(crate) fn last_whole(&self) -> Duration {
        Duration::from_millis(clock::millis().saturating_sub(self.load(LAST_WHOLE)))
    }

    /// How often blocks became present.
    pub(crate) fn placed(&self) -> u64 {
        self.load(PLACED)
    }

    /// Blocks became present.
    pub(crate) fn set_placed(&self) {
        self.word(PLACED).fetch_add(1_u64.to_le(), Ordering::Release);
    }

    /// How often blocks became wanted.
    pub(crate) fn bell(&self) -> u64 {
        self.load(BELL)
    }

    pub(super) fn ring(&self) {
        self.word(BELL).fetch_add(1_u64.to_le(), Ordering::Release);
    }

    /// Stores how the generation ended; a failure answers for `lasting`.
    pub(crate) fn record(&self, outcome: &Outcome, lasting: Duration) {
        let kind = match outcome {
            Outcome::Committed => 1,
            Outcome::Failed(failure) => {
                let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(NONE - 1);
                let message = shorten(&failure.message);
                self.copy_in(MESSAGE, message.as_bytes());
                self.store(RETRY_AFTER, failure.retry_after.map_or(NONE, millis));
                self.store(
                    CAUSE,
                    u64::from(failure.cause.code())
                        | u64::from(failure.status.unwrap_or(0)) << 8
                        | (message.len() as u64) << 32,
                );
                self.store(UNTIL, millis(clock::since_boot().saturating_add(lasting)));
                2
            }
        };
        self.store(OUTCOME, kind);
    }

    /// How the generation ended, if it did.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        match self.load(OUTCOME) {
            0 => None,
            1 => Some(Outcome::Committed),
            _ => Some(Outcome::Failed(self.failure())),
        }
    }

    fn failure(&self) -> Failure {
        let packed = self.load(CAUSE).to_le_bytes();
        let status = u16::from_le_bytes([packed[1], packed[2]]);
        let length = usize::from(u16::from_le_bytes([packed[4], packed[5]])).min(MESSAGE_MAX);
        let retry_after = self.load(RETRY_AFTER);
        Failure {
            cause: Cause::from_code(packed[0]).unwrap_or(Cause::Storage),
            message: String::from_utf8_lossy(&self.copy_out(MESSAGE, length)).into_owned(),
            status: (status != 0).then_some(status),
            retry_after: (retry_after != NONE).then(|| Duration::from_millis(retry_after)),
            challenge: None,
        }
    }

    /// How much longer the failure on record answers.
    pub(crate) fn lasting(&self) -> Duration {
        Duration::from_millis(self.load(UNTIL).saturating_sub(clock::millis()))
    }

    /// Stores a midstate for the bytes before `offset`. The older mark stays whole until this one is.
    pub(crate) fn mark(&self, sequence: u64, offset: u64, midstate: &[u8]) {
        let mut bytes = Vec::with_capacity(32 + midstate.len());
        for word in [sequence, offset, midstate.len() as u64] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(midstate);
        bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
        self.copy_in(MARKS[usize::from(sequence % 2 == 1)], &bytes);
    }

    /// The newest whole mark: sequence, offset and midstate.
    pub(crate) fn newest_mark(&self) -> Option<(u64, u64, Vec<u8>)> {
        let read = |at: usize| {
            let length =
                usize::try_from(self.load(at + 16)).ok().filter(|length| (1..=MIDSTATE_MAX).contains(length))?;
            let bytes = self.copy_out(at, 24 + length);
            (self.load_unaligned(at + 24 + length) == xxh3_64(&bytes))
                .then(|| (self.load(at), self.load(at + 8), bytes[24..].to_vec()))
        };
        MARKS.into_iter().filter_map(read).max_by_key(|mark| mark.0)
    }

    pub(super) fn word(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at.is_multiple_of(8) && at + 8 <= FILE_SIZE);
        // SAFETY: `at` is one of the constants above, so aligned and inside the mapping, which lives as long as `self` and is never
        // truncated. Other processes access these words atomically, too.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(at).cast()) }
    }

    pub(super) fn load(&self, at: usize) -> u64 {
        u64::from_le(self.word(at).load(Ordering::Acquire))
    }

    pub(super) fn store(&self, at: usize, value: u64) {
        self.word(at).store(value.to_le(), Ordering::Release);
    }

    fn load_unaligned(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.copy_out(at, 8));
        u64::from_le_bytes(bytes)
    }

    fn copy_in(&self, at: usize, bytes: &[u8]) {
        debug_assert!(at + bytes.len() <= 4096);
        // SAFETY: inside the mapping. Only the lock's holder writes here, and readers look only once the outcome was released after it;
        // a mark is read by the next holder of the lock alone.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.map.as_mut_ptr().add(at), bytes.len()) }
    }

    fn copy_out(&self, at: usize, length: usize) -> Vec<u8> {
        debug_assert!(at + length <= 4096);
        let mut bytes = vec![0; length];
        // SAFETY: inside the mapping; see `copy_in` for who writes.
        unsafe { std::ptr::copy_nonoverlapping(self.map.as_ptr().add(at), bytes.as_mut_ptr(), length) }
        bytes
    }
}

/// As much of a message as there is room for.
fn shorten(message: &str) -> &str {
    let mut end = message.len().min(MESSAGE_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    fn folder() -> (tempfile::TempDir, FillFolder) {
        let root = tempfile::tempdir().unwrap();
        let digest = crate::Digest::parse(&format!("sha256:{}", "00".repeat(32))).unwrap();
        let folder = Layout::new(root.path()).fill(&digest);
        fs::make_folder(folder.path()).unwrap();
        (root, folder)
    }

    fn start() -> Mark {
        Mark { data: 3, offset: 0, size: None }
    }

    #[test]
    fn another_process_sees_what_the_owner_stores() {
        let (_root, folder) = folder();
        let owner = State::create(&folder, start(), &[6; 105]).unwrap();
        let other = State::open(&folder, true).unwrap().unwrap();
        assert!(other.is_of(clock::boot_id().unwrap()));
        assert!(!other.is_of([0; 16]));
        assert_eq!((other.data(), other.size(), other.frontier(), other.answered()), (3, None, 0, false));
        owner.set_size(Some(1 << 40));
        owner.set_answered();
        owner.set_frontier(17);
        assert_eq!((other.size(), other.frontier(), other.answered()), (Some(1 << 40), 17, true));
        assert!(owner.last_wanted() > Duration::from_secs(3) || clock::millis() < 4000);
        other.want();
        assert!(owner.last_wanted() < Duration::from_secs(3));
    }

    #[test]
    fn a_failure_is_read_as_it_was_recorded() {
        let (_root, folder) = folder();
        let owner = State::create(&folder, start(), &[6; 105]).unwrap();
        let other = State::open(&folder, false).unwrap().unwrap();
        assert_eq!(other.outcome(), None);
        let mut failure = Failure {
            status: Some(429),
            retry_after: Some(Duration::from_millis(2500)),
            ..Failure::new(Cause::RateLimited, "é".repeat(200))
        };
        owner.record(&Outcome::Failed(failure.clone()), Duration::from_secs(60));
        failure.message = "é".repeat(128);
        assert_eq!(other.outcome(), Some(Outcome::Failed(failure)));
        assert!(other.lasting() > Duration::from_secs(50));
    }

    #[test]
    fn a_torn_mark_leaves_the_older_one() {
        let (_root, folder) = folder();
        let state = State::create(&folder, start(), &[6; 105]).unwrap();
        assert_eq!(state.newest_mark(), Some((0, 0, vec![6; 105])));
        state.mark(1, 100, &[7; 105]);
        state.mark(2, 200, &[8; 209]);
        assert_eq!(state.newest_mark(), Some((2, 200, vec![8; 209])));
        state.copy_in(MARKS[0] + 30, &[0]);
        assert_eq!(state.newest_mark(), Some((1, 100, vec![7; 105])));
    }

    #[test]
    fn bitmaps_have_room_for_every_block() {
        for size in [0, 1, 16 << 30, (16 << 30) + 1, 1 << 45] {
            assert!(size / block_size(Some(size)) < 262_144 + 1);
        }
        assert_eq!(block_size(Some((8 << 30) - 1)), 32 << 10);
        assert_eq!(block_size(Some(8 << 30)), 64 << 10);
        assert_eq!(block_size(None), 32 << 10);
    }
}
