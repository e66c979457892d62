//! A client of a simulated process.

use super::{CONTENT, Process, World};

impl World {
    /// A client of a range wants a block, of whoever owns the fill.
    pub(in crate::fill) fn want(&mut self, process: &mut Process, block: usize) {
        let state = process.owned.as_ref().map(|owned| owned.state).or(process.follows);
        if let Some(state) = state.filter(|_| process.end.is_none()) {
            self.states[state].wanted.insert(block);
        }
    }

    /// A client reads as far as it may; a body that ended well is the whole content.
    pub(in crate::fill) fn read(&mut self, process: &mut Process) {
        let limit = match (&process.end, process.size) {
            (Some(Err(_)), _) => return,
            (Some(Ok(())), _) => process.frontier,
            (None, Some(size)) => process.frontier.min(size.saturating_sub(1)),
            (None, None) => process.frontier.saturating_sub(1),
        };
        let Some(file) = process.file else { return };
        let (from, to) = (process.body.len(), usize::try_from(limit).unwrap());
        if from < to {
            process.body.extend_from_slice(&self.inodes[file].bytes[from..to]);
        }
        let whole = process.end.is_some() || Some(process.body.len() as u64) == process.size;
        self.require(!whole || process.body == CONTENT, "i4", "a body ended well with wrong bytes");
    }
}
