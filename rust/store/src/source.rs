//! Where a fill's bytes come from.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;

use crate::Failure;

/// The first answer of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Bytes of the whole blob; None where the source told none.
    pub size: Option<u64>,
    /// Whether a range was asked for and the whole blob comes, from byte 0: the source knows no ranges.
    pub whole: bool,
}

/// Where a source's connections go.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// The host: what is learned of it holds for all sources that have the same number.
    pub host: u64,
    /// Lock keys: every connection of a fill beside its first holds one of these. None: there is no limit.
    pub places: Option<Arc<[u64]>>,
    /// Set by a fill for as long as no client waits for it: clients' fills go before it.
    pub background: Arc<AtomicBool>,
}

/// One upstream body that can be asked for from any offset.
pub trait Source: Send {
    /// What [`Source::fork`] makes.
    type Fork: Source<Fork = Self::Fork> + 'static;

    /// Asks for the bytes from `offset` on, dropping whatever was under way; may be called again with another offset.
    fn begin(&mut self, offset: u64) -> impl Future<Output = Result<Begun, Failure>> + Send;

    /// As [`Source::begin`], for the bytes before `end` alone; `end` may be past the blob's. Only what [`Source::fork`] made is asked so.
    fn begin_range(&mut self, offset: u64, end: u64) -> impl Future<Output = Result<Begun, Failure>> + Send;

    /// The next piece; None at the end of what was asked for. Never dropped half-way, unless the fetch is stopped.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Failure>> + Send;

    /// Drops whatever is under way.
    fn stop(&mut self);

    /// Another source of the same body, on a connection of its own; None if ranges cannot be had.
    fn fork(&self) -> Option<Self::Fork>;

    /// Where its connections go.
    fn route(&self) -> Route {
        Route::default()
    }
}
