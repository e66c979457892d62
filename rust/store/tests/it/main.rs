//! What the store promises, through its public interface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

mod process;
mod support;

mod bodies;
mod connections;
mod fills;
mod idle;
mod kills;
mod outcomes;
mod ranged;
mod ranges;
mod upload;
mod upload_kills;
mod workers;
