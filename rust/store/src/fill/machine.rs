//! The heart of a fill: what to do next, as a state machine without I/O.
//!
//! One machine leads one process from "this digest is wanted" to an outcome. [`Machine::next`] takes what the last step saw and
//! answers the next step. `fill/disk.rs` executes the steps on a real disk and `fill/run.rs` those that wait for the network; the
//! simulation in `fill/simulation.rs` executes the same steps on a simulated disk and kills between them.

use crate::{Cause, Failure};

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Do {
    /// Look whether the blob is committed: [`Saw::Blob`].
    Look,
    /// Try the digest's lock: [`Saw::Lock`].
    Lock,
    /// Read what the fill's folder says: [`Saw::Past`].
    Recall,
    /// Make the files of the generation, if there is room.
    Prepare(Start),
    /// Store the size that the source told, and that its answer came.
    Size(Option<u64>),
    /// Write the batch at the frontier, and hash it.
    Write,
    /// Write a batch ahead of the frontier, where it belongs, and show which blocks are whole.
    Place,
    /// Hash so many bytes at the frontier that were placed before.
    Gather(u64),
    /// Store the new frontier and the hash's midstate for an heir.
    Mark(u64),
    /// Show the new frontier to readers.
    Publish(u64),
    /// Cut the file to this size and close its write descriptor; nobody writes after it (I1).
    Close(u64),
    /// Compare the hash with the digest: [`Saw::Right`].
    Verify,
    /// Make the bytes durable.
    Sync,
    /// Give the file its name under `blobs/`.
    Rename,
    /// Make the name durable.
    SyncFolder,
    /// Store the outcome, and show it to readers.
    Record(Outcome),
    /// Cut the partial to the frontier: the disk is full.
    Trim(u64),
    /// Remove the partial and its checkpoint, durably: its bytes may be wrong, and are never served again (I4).
    Discard,
    /// Remove the fill's folder.
    Clear,
    /// Let go of the lock.
    Unlock,
    /// Wait for the owner's outcome or death: [`Saw::Outcome`] or [`Saw::Lock`].
    Follow,
    /// Ask the source for the bytes from this offset on: [`Saw::Begun`]. The fill is owned from here on.
    Ask(u64),
    /// Wait for a batch: [`Saw::Received`], [`Saw::Ahead`], [`Saw::Contiguous`] or [`Saw::Ended`].
    Receive,
    /// The source failed. The fill is still owned; [`Saw::Again`] asks again.
    Break(Failure),
    /// Nothing more to do.
    End(End),
}

/// What a step saw.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Saw {
    /// It is done; there is nothing to tell.
    Done,
    /// Whether the blob is there.
    Blob(bool),
    /// Whether this process has the lock now.
    Lock(bool),
    /// What the fill's folder says.
    Past(Past),
    /// Whether the hash is the digest's.
    Right(bool),
    /// What the owner recorded.
    Outcome(Outcome),
    /// The source answered.
    Begun(Option<u64>),
    /// That many bytes are in the batch.
    Received(u64),
    /// There is a batch for places ahead of the frontier.
    Ahead,
    /// That many bytes were placed where the frontier stands now.
    Contiguous(u64),
    /// The source has no more bytes.
    Ended,
    /// The source failed.
    Broke(Failure),
    /// After a break: the caller wants to go on, with the same source or another.
    Again,
    /// Nobody waits for the fill, or the store closes: the partial is kept for later.
    Stop,
    /// The step failed, or the caller gave up.
    Failed(Failure),
}

/// How a generation ended, as every process sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The blob is under `blobs/`.
    Committed,
    /// It failed.
    Failed(Failure),
}

/// How one process's part ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    /// The blob is under `blobs/`.
    Committed,
    /// The generation failed; all processes know.
    Failed(Failure),
    /// This process failed before there was a generation; only its own readers are concerned.
    Refused(Failure),
    /// Stopped without an outcome: whoever gets the lock goes on.
    Stopped,
}

/// What a fill's folder says, read under the lock.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Past {
    /// From the mapped `state`, if it is of this boot.
    pub state: Option<PastState>,
    /// From the durable `checkpoint`, if its data is there.
    pub checkpoint: Option<Mark>,
    /// A number that no data file has.
    pub unused: u64,
}

/// What `state` says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PastState {
    /// What readers were shown.
    pub frontier: u64,
    /// The newest whole mark, if its data is there; at 0 for a generation that has none yet.
    pub mark: Option<Mark>,
    /// How the generation ended; None if its owner was killed or stopped.
    pub outcome: Option<Outcome>,
    /// Whether a failure still answers every request.
    pub recent: bool,
}

/// A point from which a fill can go on: bytes present and a midstate for them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mark {
    /// The data file's number.
    pub data: u64,
    /// Bytes present and hashed from 0.
    pub offset: u64,
    /// Bytes of the whole, where known.
    pub size: Option<u64>,
}

/// How a generation begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Start {
    /// Where it goes on.
    pub mark: Mark,
    /// Where the midstate comes from.
    pub origin: Origin,
    /// Whether the generation under way goes on in its own `state`, followers and all; else `state` is a new inode.
    pub takeover: bool,
    /// Whether the old `state` must be given an outcome first, because followers may still map it.
    pub supersede: bool,
}

/// Where a midstate comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Origin {
    Nothing,
    State,
    Checkpoint,
}

/// What the lock's holder does about the past.
enum Decision {
    /// The failure on record answers.
    Answer(Failure),
    Begin(Start),
}

/// The frontier never goes back within a file that readers may hold: then it is a new file (I4).
fn decide(past: Past) -> Decision {
    let anew = |supersede| {
        Decision::Begin(Start {
            mark: Mark { data: past.unused, offset: 0, size: None },
            origin: Origin::Nothing,
            takeover: false,
            supersede,
        })
    };
    let Some(state) = past.state else {
        return match past.checkpoint {
            Some(mark) => {
                Decision::Begin(Start { mark, origin: Origin::Checkpoint, takeover: false, supersede: false })
            }
            None => anew(false),
        };
    };
    let carried = match &state.outcome {
        Some(Outcome::Failed(failure)) if state.recent => return Decision::Answer(failure.clone()),
        // The blob was committed and is gone again: the data went with it.
        Some(Outcome::Committed) => false,
        Some(Outcome::Failed(failure)) => keeps_partial(failure.cause),
        None => true,
    };
    match state.mark {
        Some(mark) if carried && mark.offset >= state.frontier => {
            Decision::Begin(Start { mark, origin: Origin::State, takeover: state.outcome.is_none(), supersede: false })
        }
        _ => anew(state.outcome.is_none()),
    }
}

/// Whether the bytes of a generation that failed so are good for the next: not if they may be wrong, or may not be on the disk.
pub(crate) fn keeps_partial(cause: Cause) -> bool {
    !matches!(cause, Cause::DigestMismatch | Cause::SizeMismatch | Cause::Storage)
}

/// One process's way to an outcome of one digest.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The digest, for messages.
    name: String,
    at: Do,
    locked: bool,
    frontier: u64,
    size: Option<u64>,
    batch: u64,
    /// Where the way leads once the lock is free.
    end: End,
}

impl Machine {
    /// A machine and its first step.
    pub(crate) fn start(name: String) -> (Self, Do) {
        let machine = Self { name, at: Do::Look, locked: false, frontier: 0, size: None, batch: 0, end: End::Stopped };
        (machine, Do::Look)
    }

    /// The step after the one under way.
    pub(crate) fn next(&mut self, saw: Saw) -> Do {
        self.at = self.after(saw);
        self.at.clone()
    }

    // The arms stand in the order of the way, so some that read alike are apart.
    #[allow(clippy::match_same_arms)]
    fn after(&mut self, saw: Saw) -> Do {
        match (self.at.clone(), saw) {
            (Do::End(end), _) => Do::End(end),
            (Do::Unlock, _) => {
                self.locked = false;
                Do::End(self.end.clone())
            }

            // Before there is a generation: nothing to record for others.
            (Do::Look, Saw::Blob(false)) if self.locked => Do::Recall,
            (Do::Look, Saw::Blob(false)) => Do::Lock,
            (Do::Look, Saw::Blob(true)) if self.locked => {
                self.end = End::Committed;
                Do::Clear
            }
            (Do::Look, Saw::Blob(true)) => Do::End(End::Committed),
            (Do::Lock, Saw::Lock(false)) => Do::Follow,
            (Do::Lock | Do::Follow, Saw::Lock(true)) => {
                self.locked = true;
                Do::Look
            }
            (Do::Follow, Saw::Outcome(Outcome::Committed)) => Do::Look,
            (Do::Follow, Saw::Outcome(Outcome::Failed(failure))) => Do::End(End::Failed(failure)),
            (Do::Recall, Saw::Past(past)) => match decide(past) {
                Decision::Answer(failure) => self.leave(End::Failed(failure)),
                Decision::Begin(start) => {
                    self.frontier = start.mark.offset;
                    self.size = start.mark.size;
                    Do::Prepare(start)
                }
            },
            (Do::Look | Do::Lock | Do::Follow | Do::Recall | Do::Prepare(_), Saw::Failed(failure)) => {
                self.leave(End::Refused(failure))
            }
            (Do::Look | Do::Lock | Do::Follow | Do::Recall, Saw::Stop) => self.leave(End::Stopped),

            // The generation is ours.
            (Do::Prepare(_), _) => self.ask(),
            (Do::Ask(_) | Do::Receive | Do::Break(_), Saw::Stop) => self.leave(End::Stopped),
            (Do::Ask(_) | Do::Receive | Do::Break(_), Saw::Again) => self.ask(),
            (Do::Ask(_) | Do::Receive, Saw::Broke(failure)) => Do::Break(failure),
            (Do::Ask(_), Saw::Begun(size)) => self.begun(size),
            (Do::Receive, Saw::Received(count)) => self.received(count),
            (Do::Receive, Saw::Ahead) => Do::Place,
            (Do::Place, Saw::Done) => self.receive(),
            (Do::Receive, Saw::Contiguous(count)) => match self.received(count) {
                Do::Write => Do::Gather(count),
                failed => failed,
            },
            (Do::Receive, Saw::Ended) => self.ended(),
            (Do::Size(_), Saw::Done) => self.receive(),
            (Do::Write | Do::Gather(_), Saw::Done) => {
                self.frontier += self.batch;
                Do::Mark(self.frontier)
            }
            (Do::Mark(frontier), Saw::Done) => Do::Publish(frontier),
            (Do::Publish(_), Saw::Done) => self.receive(),

            // Everything is there. Past the rename nothing can fail the commit: the blob is in its place.
            (Do::Close(_), Saw::Done) => Do::Verify,
            (Do::Verify, Saw::Right(true)) => Do::Sync,
            (Do::Verify, Saw::Right(false)) => self.fail(Failure::new(
                Cause::DigestMismatch,
                format!("{}: upstream's bytes hash to something else", self.name),
            )),
            (Do::Sync, Saw::Done) => Do::Rename,
            (Do::Rename, Saw::Done) => Do::SyncFolder,
            (Do::SyncFolder, _) => {
                self.end = End::Committed;
                Do::Record(Outcome::Committed)
            }
            (Do::Record(Outcome::Committed), _) => Do::Clear,

            (Do::Discard, _) => self.record(),
            (Do::Record(Outcome::Failed(failure)), _) if failure.cause == Cause::StorageFull => Do::Trim(self.frontier),
            (Do::Record(Outcome::Failed(_)) | Do::Clear | Do::Trim(_), _) => Do::Unlock,
            (_, Saw::Failed(failure)) => self.fail(failure),
            (at, saw) => self.fail(Failure::new(
                Cause::Storage,
                format!("{}: a fill cannot go on from {at:?} with {saw:?}; this is a bug", self.name),
            )),
        }
    }

    /// What a partial still needs: all of it may be there, and only the commit be missing.
    fn ask(&self) -> Do {
        if self.size == Some(self.frontier) { Do::Close(self.frontier) } else { Do::Ask(self.frontier) }
    }

    fn begun(&mut self, size: Option<u64>) -> Do {
        match (self.size, size) {
            (Some(known), Some(told)) if known != told => self.fail(Failure::new(
                Cause::SizeMismatch,
                format!("{}: upstream announces {told} bytes where {known} were announced before", self.name),
            )),
            (None, Some(told)) if told < self.frontier => self.fail(Failure::new(
                Cause::SizeMismatch,
                format!("{}: upstream announces {told} bytes where {} came before", self.name, self.frontier),
            )),
            _ => {
                self.size = self.size.or(size);
                Do::Size(self.size)
            }
        }
    }

    fn receive(&self) -> Do {
        if self.size == Some(self.frontier) { Do::Close(self.frontier) } else { Do::Receive }
    }

    fn received(&mut self, count: u64) -> Do {
        if let Some(size) = self.size
            && count > size.saturating_sub(self.frontier)
        {
            return self.fail(Failure::new(
                Cause::SizeMismatch,
                format!("{}: upstream sent more than the {size} bytes it announced", self.name),
            ));
        }
        self.batch = count;
        Do::Write
    }

    fn ended(&mut self) -> Do {
        match self.size {
            // The end of the body is the only word about its size.
            None => {
                self.size = Some(self.frontier);
                Do::Size(self.size)
            }
            Some(size) => Do::Break(Failure::new(
                Cause::Upstream,
                format!("{}: upstream's body ended after {} of {size} bytes", self.name, self.frontier),
            )),
        }
    }

    fn fail(&mut self, failure: Failure) -> Do {
        let discard = !keeps_partial(failure.cause);
        self.end = End::Failed(failure);
        // First, so that a power loss cannot bring back bytes whose generation is known to have failed.
        if discard { Do::Discard } else { self.record() }
    }

    fn record(&self) -> Do {
        match &self.end {
            End::Failed(failure) => Do::Record(Outcome::Failed(failure.clone())),
            _ => Do::Unlock,
        }
    }

    fn leave(&mut self, end: End) -> Do {
        if self.locked {
            self.end = end;
            Do::Unlock
        } else {
            Do::End(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The step after the lock, for a `state` that says this.
    fn begins(state: PastState) -> Do {
        let (mut machine, _) = Machine::start("blob".into());
        machine.next(Saw::Blob(false));
        machine.next(Saw::Lock(true));
        machine.next(Saw::Blob(false));
        machine.next(Saw::Past(Past { state: Some(state), checkpoint: None, unused: 9 }))
    }

    #[test]
    fn i4_a_frontier_never_goes_back_in_a_file() {
        let mark = Mark { data: 1, offset: 5, size: None };
        let left = |frontier, mark| begins(PastState { frontier, mark, outcome: None, recent: false });
        let Do::Prepare(start) = left(5, Some(mark)) else { panic!() };
        assert!(start.takeover && start.mark == mark);
        // Both marks torn, or the newer one lost: readers were shown more than there is a hash for.
        for lost in [left(6, Some(mark)), left(5, None)] {
            let Do::Prepare(start) = lost else { panic!() };
            assert_eq!((start.mark.data, start.mark.offset, start.takeover, start.supersede), (9, 0, false, true));
        }
    }

    #[test]
    fn a_step_that_makes_no_sense_fails_the_fill() {
        let (mut machine, _) = Machine::start("blob".into());
        machine.next(Saw::Blob(false));
        machine.next(Saw::Lock(true));
        machine.next(Saw::Received(3));
        assert_eq!(
            machine.next(Saw::Done),
            Do::Record(Outcome::Failed(match &machine.end {
                End::Failed(failure) => failure.clone(),
                end => panic!("{end:?}"),
            }))
        );
        assert_eq!(machine.next(Saw::Done), Do::Unlock);
    }
}
