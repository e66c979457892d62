//! Removing left-overs that nobody owns.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::fill::{Recorded, State, keeps_partial};
use crate::layout::{FillFolder, Layout};
use crate::store::Inner;
use crate::{Digest, Failure, clock, fs};

/// A temporary file that lives longer than this was left by a killed process.
const TEMPORARY: Duration = Duration::from_secs(3600);

/// Removes what is left over; answers the digests whose partials went.
pub(crate) fn clean(store: &Inner, older_than: Duration) -> Result<Vec<Digest>, Failure> {
    let tmp = store.layout.tmp();
    for name in fs::list(&tmp)? {
        let path = tmp.join(name);
        if is_older(&path, TEMPORARY)? {
            fs::unlink(&path)?;
        }
    }
    let mut gone = Vec::new();
    for digest in fs::list(&store.layout.fills())?.iter().filter_map(|name| Layout::digest_of(name)) {
        // Whoever owns the fill, or is about to, has the lock.
        let Some(_lock) = store.locks.try_lock(digest.lock_key())? else {
            continue;
        };
        let folder = store.layout.fill(&digest);
        let committed = fs::open(&store.layout.blob(&digest))?.is_some();
        match left_over(&folder, older_than)? {
            _ if committed => {}
            None => continue,
            Some(Kind::Record) => {}
            Some(Kind::Partial) => gone.push(digest),
        }
        fs::remove_folder(folder.path())?;
    }
    Ok(gone)
}

enum Kind {
    /// A failure that had its time, and no bytes worth keeping.
    Record,
    /// Bytes that nobody asked for any more.
    Partial,
}

/// What may go of a fill that nobody owns; None: nothing.
fn left_over(folder: &FillFolder, older_than: Duration) -> Result<Option<Kind>, Failure> {
    let boot = clock::boot_id()?;
    if let Some(state) = State::open(folder, false)?.filter(|state| state.is_of(boot)) {
        match state.outcome() {
            Some(Recorded::Failed(_)) if !state.lasting().is_zero() => return Ok(None),
            Some(Recorded::Failed(failure)) => {
                let nothing = state.frontier() == 0 && state.next_present(0).is_none();
                if nothing || !keeps_partial(failure.cause) {
                    return Ok(Some(Kind::Record));
                }
            }
            Some(Recorded::Committed) => return Ok(Some(Kind::Record)),
            _ => {}
        }
    }
    for number in folder.data_numbers()? {
        if !is_older(&folder.data(number), older_than)? {
            return Ok(None);
        }
    }
    // A folder alone is as old as its last entry.
    Ok(is_older(folder.path(), older_than)?.then_some(Kind::Partial))
}

/// Whether a file was last written so long ago; a file that is gone is not.
fn is_older(path: &Path, than: Duration) -> Result<bool, Failure> {
    let modified = fs::modified(path)?;
    Ok(modified.is_some_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age >= than)))
}
