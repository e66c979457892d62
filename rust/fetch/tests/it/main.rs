//! The client against a scripted upstream.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod bodies;
mod breaks;
mod limits;
mod ranges;
mod redirects;
mod requests;
mod upstream;
