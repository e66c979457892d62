//! Where a fill's bytes come from.

use std::future::Future;

use bytes::Bytes;

use crate::Failure;

/// The first answer of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Bytes of the whole blob; None where the source told none.
    pub size: Option<u64>,
}

/// One upstream body that can be asked for from any offset.
pub trait Source: Send {
    /// Asks for the bytes from `offset` on, dropping whatever was under way; may be called again with another offset.
    fn begin(&mut self, offset: u64) -> impl Future<Output = Result<Begun, Failure>> + Send;

    /// The next piece; None at the end of the body. Never dropped half-way, unless the fill itself is stopped.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Failure>> + Send;
}
