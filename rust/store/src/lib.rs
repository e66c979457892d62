//! Content store: blobs by digest, fills that bring them, readers that follow. No Python here.
//!
//! A request takes a [`Reader`] of a digest, committed or in flight alike, and turns it into a [`Plan`], the body of its response.
//! Bytes come in through a [`Fill`], of which there is one for a digest and storage root, over all processes.

mod digest;
mod error;
pub mod range;

mod budget;
mod clock;
mod fs;
mod hasher;
mod hosts;
mod layout;
mod lock;
mod words;

mod blobs;
mod clean;
mod fill;
mod plan;
mod quarantine;
mod reader;
mod source;
mod store;
mod table;
mod through;
mod upload;

#[cfg(test)]
mod power_loss;

pub use budget::Budget;
pub use digest::{Algorithm, Digest, Malformed};
pub use error::{Cause, Failure};
pub use fill::{Fill, FillStatus, Outcome, fills};
pub use lock::Lock;
pub use plan::Plan;
pub use reader::Reader;
pub use source::{Begun, Route, Source};
pub use store::{Abandon, Config, FillOnRange, Store};
pub use table::Busy;
pub use upload::{BadSession, Session, Upload};
