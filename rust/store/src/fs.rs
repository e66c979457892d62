//! The only module that calls `std::fs`: every error names its path, and there is one place to record operations from.
#![allow(clippy::disallowed_methods)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::SystemTime;

use nix::libc;
use nix::sys::statfs;

use crate::Failure;

#[cfg(test)]
pub(crate) mod record;
#[cfg(test)]
use record::{Emptied, Op, inode};

type Result<T> = std::result::Result<T, Failure>;

/// Does an operation; in tests, and nowhere else, it goes on the record if it succeeds: as `$op`, made of what makes paths relative to
/// the root, and of the result.
macro_rules! recorded {
    ($call:expr, $path:expr, |$under:pat_param, $done:pat_param| $op:expr) => {{
        #[cfg(test)]
        let mut records = record::records();
        let result = $call;
        #[cfg(test)]
        if let Ok($done) = &result {
            records.add($path, |$under| $op);
        }
        result
    }};
}

/// Adds the path to an I/O error.
fn at<T>(path: &Path, result: io::Result<T>) -> Result<T> {
    result.map_err(|error| Failure::io(path, &error))
}

/// As [`at`], with None for a path that is not there.
fn found<T>(path: &Path, result: io::Result<T>) -> Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => at(path, other).map(Some),
    }
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    at(path, recorded!(std::fs::create_dir_all(path), path, |under, ()| Op::MakeFolder(under(path))))
}

/// Opens for reading; None if it is not there.
pub(crate) fn open(path: &Path) -> Result<Option<File>> {
    found(path, File::open(path))
}

/// Opens for reading and writing; None if it is not there.
pub(crate) fn open_writable(path: &Path) -> Result<Option<File>> {
    found(path, OpenOptions::new().read(true).write(true).open(path))
}

/// Opens for reading and writing, made if need be, never truncated.
pub(crate) fn open_or_create(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    at(path, recorded!(options.open(path), path, |under, file| Op::Create(under(path), inode(file), Emptied::No)))
}

/// Makes an empty file for reading and writing, in place of any that was there.
pub(crate) fn create(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    at(path, recorded!(options.open(path), path, |under, file| Op::Create(under(path), inode(file), Emptied::Yes)))
}

/// The whole of a small file; None if it is not there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    found(path, std::fs::read(path))
}

/// Renames within the file system, over any file at `to`.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    at(from, recorded!(std::fs::rename(from, to), from, |under, ()| Op::Rename(under(from), under(to))))
}

/// As [`rename`]; false if there was nothing to rename.
pub(crate) fn rename_if_there(from: &Path, to: &Path) -> Result<bool> {
    found(from, recorded!(std::fs::rename(from, to), from, |under, ()| Op::Rename(under(from), under(to))))
        .map(|done| done.is_some())
}

/// Gives a file a second name. Nothing happens where `to` is there.
pub(crate) fn link(from: &Path, to: &Path) -> Result<()> {
    match recorded!(std::fs::hard_link(from, to), from, |under, ()| Op::Link(under(from), under(to))) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => at(from, result),
    }
}

/// Unlinks a file; false if it was not there.
pub(crate) fn unlink(path: &Path) -> Result<bool> {
    found(path, recorded!(std::fs::remove_file(path), path, |under, ()| Op::Unlink(under(path))))
        .map(|done| done.is_some())
}

/// Removes a folder and all in it; false if it was not there.
pub(crate) fn remove_folder(path: &Path) -> Result<bool> {
    found(path, recorded!(std::fs::remove_dir_all(path), path, |under, ()| Op::RemoveFolder(under(path))))
        .map(|done| done.is_some())
}

/// Makes a folder's entries durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    let synced =
        File::open(path).and_then(|folder| recorded!(folder.sync_all(), path, |under, ()| Op::SyncFolder(under(path))));
    at(path, synced)
}

/// Makes a file's bytes and length durable.
pub(crate) fn sync_data(file: &File, path: &Path) -> Result<()> {
    at(path, recorded!(file.sync_data(), path, |_, ()| Op::SyncData(inode(file))))
}

/// Names in a folder, those that are UTF-8 (ours all are); empty if it is not there.
pub(crate) fn list(path: &Path) -> Result<Vec<String>> {
    let Some(entries) = found(path, std::fs::read_dir(path))? else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(at(path, entry)?.file_name().into_string());
    }
    Ok(names)
}

/// When a file was last written; None if it is not there.
pub(crate) fn modified(path: &Path) -> Result<Option<SystemTime>> {
    found(path, std::fs::metadata(path).and_then(|meta| meta.modified()))
}

/// Bytes in an open file.
pub(crate) fn size(file: &File, path: &Path) -> Result<u64> {
    at(path, file.metadata()).map(|meta| meta.len())
}

/// What tells an open file from every other one that is open: device and inode.
pub(crate) fn identity(file: &File, path: &Path) -> Result<(u64, u64)> {
    at(path, file.metadata()).map(|meta| (meta.dev(), meta.ino()))
}

/// Cuts or extends an open file.
pub(crate) fn set_size(file: &File, path: &Path, size: u64) -> Result<()> {
    at(path, recorded!(file.set_len(size), path, |_, ()| Op::SetSize(inode(file), size)))
}

/// Gives the first `size` bytes of a file their blocks, so that a store to its mapping cannot meet a full disk (SIGBUS).
pub(crate) fn allocate(file: &File, path: &Path, size: u64) -> Result<()> {
    let size = libc::off_t::try_from(size).unwrap_or(libc::off_t::MAX);
    at(path, nix::fcntl::posix_fallocate(file, 0, size).map_err(Into::into))
}

/// Writes all of `bytes` at `offset`.
pub(crate) fn write_at(file: &File, path: &Path, bytes: &[u8], offset: u64) -> Result<()> {
    at(path, recorded!(file.write_all_at(bytes, offset), path, |_, ()| Op::Write(inode(file), offset, bytes.to_vec())))
}

/// Reads up to `buffer`'s length at `offset`: fewer bytes only at the file's end.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Reads at `offset` what the page cache holds; None if the first byte would have to wait for the disk. 0 at the file's end.
#[allow(unsafe_code)]
pub(crate) fn read_cached(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
    let offset = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    let target = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    loop {
        // SAFETY: the one iovec names `buffer`, which is ours alone for the length of the call.
        let count = unsafe { libc::preadv2(file.as_raw_fd(), &raw const target, 1, offset, libc::RWF_NOWAIT) };
        if let Ok(count) = usize::try_from(count) {
            return Ok(Some(count));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            // EOPNOTSUPP: this file system knows no RWF_NOWAIT, so every read goes to the blocking pool.
            Some(libc::EAGAIN | libc::EOPNOTSUPP) => return Ok(None),
            _ => return Err(error),
        }
    }
}

/// Bytes that an unprivileged process can still write on the file system of `path`.
pub(crate) fn free_bytes(path: &Path) -> Result<u64> {
    let stat = at(path, statfs::statfs(path).map_err(Into::into))?;
    let block = u64::try_from(stat.block_size()).unwrap_or_default();
    Ok(stat.blocks_available().saturating_mul(block))
}

/// The name of a file system on which our locks or shared mappings do not work between machines or processes, if `path` is on one.
pub(crate) fn unfit_file_system(path: &Path) -> Result<Option<&'static str>> {
    let stat = at(path, statfs::statfs(path).map_err(Into::into))?;
    // The magic numbers of statfs(2); the kernel's field is wider than they are.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let magic = stat.filesystem_type().0 as u32;
    Ok(match magic {
        0x6969 => Some("NFS"),
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => Some("SMB"),
        0x6573_5546 => Some("FUSE"),
        _ => None,
    })
}
