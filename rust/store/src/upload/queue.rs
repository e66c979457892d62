//! Bytes on their way to the disk.

use bytes::{Bytes, BytesMut};

use crate::Failure;

/// Bytes that are collected while a batch is being written.
pub(super) const BATCH: usize = 1 << 20;
/// Smaller pieces are copied together: they cost less so, in memory and in calls.
const SMALL: usize = 16 << 10;

/// What was taken and waits to be written.
#[derive(Default)]
pub(super) struct Queue {
    pieces: Vec<Bytes>,
    /// Small pieces behind the others.
    small: BytesMut,
    /// Bytes in both.
    length: usize,
    /// Bytes taken since the upload began.
    pub offset: u64,
    /// A blocking thread works on it, or is about to.
    pub writing: bool,
    /// Why nothing more is taken.
    ended: Option<Failure>,
}

impl Queue {
    /// Of an upload that has so many bytes.
    pub(super) fn at(offset: u64) -> Self {
        Self { offset, ..Self::default() }
    }

    pub(super) fn push(&mut self, bytes: Bytes) -> Result<(), Failure> {
        self.check()?;
        self.offset += bytes.len() as u64;
        self.length += bytes.len();
        if bytes.len() < SMALL {
            self.small.extend_from_slice(&bytes);
        } else {
            self.join();
            self.pieces.push(bytes);
        }
        Ok(())
    }

    /// Whether there is a batch, so that no more should come until it is being written.
    pub(super) fn is_full(&self) -> Result<bool, Failure> {
        self.check()?;
        Ok(self.length >= BATCH)
    }

    /// What waits, in order.
    pub(super) fn take(&mut self) -> Result<Vec<Bytes>, Failure> {
        self.check()?;
        self.join();
        self.length = 0;
        Ok(std::mem::take(&mut self.pieces))
    }

    /// Nothing more is taken, what waits is dropped, and every call fails.
    pub(super) fn end(&mut self, why: Failure) {
        self.ended.get_or_insert(why);
        self.pieces = Vec::new();
        self.small = BytesMut::new();
        self.length = 0;
    }

    fn check(&self) -> Result<(), Failure> {
        self.ended.clone().map_or(Ok(()), Err)
    }

    fn join(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push(self.small.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_and_joins_what_is_small() {
        let mut queue = Queue::default();
        let mut sent = Vec::new();
        for (index, length) in [1, 2, SMALL, 3, 0, 4, BATCH, SMALL - 1].into_iter().enumerate() {
            let bytes = vec![u8::try_from(index).unwrap(); length];
            sent.extend_from_slice(&bytes);
            queue.push(bytes.into()).unwrap();
        }
        assert_eq!(queue.offset, sent.len() as u64);
        assert!(queue.is_full().unwrap());
        let taken = queue.take().unwrap();
        assert_eq!(taken.len(), 5);
        assert!(taken.concat() == sent);
        assert!(!queue.is_full().unwrap() && queue.take().unwrap().is_empty());
        let why = Failure::interrupted("enough");
        queue.end(why.clone());
        queue.end(Failure::interrupted("the first reason counts"));
        assert_eq!(queue.push(Bytes::new()), Err(why.clone()));
        assert_eq!((queue.is_full(), queue.take()), (Err(why.clone()), Err(why)));
    }
}
