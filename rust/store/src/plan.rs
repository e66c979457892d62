//! Plans: response bodies.

use crate::Failure;

/// A response body, read in order.
pub struct Plan {}

impl Plan {
    /// Bytes of the whole body, framing included; None where the size is unknown.
    pub fn length(&self) -> Option<u64> {
        None
    }
    /// Waits until the first byte can be had and answers `length`.
    pub async fn begin(&mut self) -> Result<Option<u64>, Failure> {
        Ok(None)
    }
    /// Most bytes, up to `limit`, that `take` can deliver now; None if there are none yet; 0 at the end.
    pub fn available(&mut self, _limit: usize) -> Result<Option<usize>, Failure> {
        Ok(None)
    }
    /// Fills `buffer` without waiting for network or disk; None if there is nothing yet; 0 at the end.
    pub fn take(&mut self, _buffer: &mut [u8]) -> Result<Option<usize>, Failure> {
        Ok(None)
    }
    /// Up to `limit` next bytes, waited for; empty at the end.
    pub async fn next(&mut self, _limit: usize) -> Result<Vec<u8>, Failure> {
        Ok(Vec::new())
    }
}
