//! Readers: what a request holds to get bytes of one digest.

use crate::{Digest, Failure, Plan};

/// What a request holds to get bytes of one digest.
pub struct Reader {}

impl Reader {
    /// Whose bytes.
    pub fn digest(&self) -> &Digest {
        unimplemented!()
    }
    /// Bytes of the whole blob, once known.
    pub fn size(&self) -> Option<u64> {
        None
    }
    /// Whether the blob is committed.
    pub fn is_committed(&self) -> bool {
        false
    }
    /// Waits until a body can be begun and answers the size.
    pub async fn ready(&self) -> Result<Option<u64>, Failure> {
        Ok(None)
    }
    /// The body of a response. Several ranges need a `boundary`.
    pub fn plan(&self, _ranges: &[(u64, u64)], _boundary: Option<&str>) -> Plan {
        Plan {}
    }
}
