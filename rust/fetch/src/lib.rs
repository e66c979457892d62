//! HTTP client to upstream registries: small answers held whole, and bodies that go on by Range after a break.
//! Knows no store and no Python.

mod answer;
mod body;
mod client;
mod content_range;
mod error;
mod exchange;
mod limits;
mod redirect;
mod retry_after;
mod tally;
mod tls;
mod url;

pub use answer::Answer;
pub use body::BodySource;
pub use client::{Client, Settings};
pub use error::{FetchError, Origin, Wait};
pub use limits::Limits;
pub use tally::Tally;
pub use url::UpstreamUrl;
