//! Every way in which an upstream can fail us.

use std::fmt;
use std::time::Duration;

use crate::url::UpstreamUrl;

/// Why there is no answer, no body, or no more of it. Messages say what, where and what to try, and hold no secret.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FetchError {
    /// 404.
    #[error("upstream has no {url} (404); check the name")]
    NotFound {
        /// Who answered.
        url: UpstreamUrl,
    },
    /// 401 or 403 from the URL itself.
    #[error("upstream refused {url} ({status}); check the credentials configured for it")]
    Denied {
        /// Who answered.
        url: UpstreamUrl,
        /// 401 or 403.
        status: u16,
        /// `WWW-Authenticate` of a 401.
        challenge: Option<String>,
    },
    /// 429.
    #[error("upstream limits the rate of requests for {url} (429); wait{}, or configure an account", seconds(*.retry_after))]
    RateLimited {
        /// Who answered.
        url: UpstreamUrl,
        /// `Retry-After` in seconds.
        retry_after: Option<f64>,
    },
    /// Any other status that is no body: 5xx, or one that makes no sense.
    #[error("upstream answered {status} to {url}; try again later{}", seconds(*.retry_after))]
    Upstream {
        /// Who answered.
        url: UpstreamUrl,
        /// The status.
        status: u16,
        /// `Retry-After` in seconds.
        retry_after: Option<f64>,
    },
    /// No connection, or one that broke.
    #[error("no connection to {url}: {reason}; check the network, the proxy variables and the address")]
    Unreachable {
        /// Who was asked.
        url: UpstreamUrl,
        /// What the network said.
        reason: String,
    },
    /// Nothing came for too long.
    #[error("{url}: waited {} s for {wait}; check the network, or raise the time-out", .after.as_secs_f64())]
    Timeout {
        /// Who was asked.
        url: UpstreamUrl,
        /// What did not come.
        wait: Wait,
        /// For how long.
        after: Duration,
    },
    /// A body that is not the one announced.
    #[error("{url}: {reason}; try again, and check any proxy between")]
    SizeMismatch {
        /// Who answered.
        url: UpstreamUrl,
        /// What contradicts what.
        reason: String,
    },
    /// A small answer that is not small.
    #[error("the answer of {url} is over {limit} bytes; nothing asked for here is that large")]
    TooLarge {
        /// Who answered.
        url: UpstreamUrl,
        /// The limit in bytes.
        limit: u64,
    },
    /// An answer that cannot be understood or must not be followed.
    #[error("{url}: {reason}; check that a registry answers there")]
    Protocol {
        /// Who answered.
        url: UpstreamUrl,
        /// What is wrong with it.
        reason: String,
    },
    /// The caller's own mistake: a bad URL, header, method, or file.
    #[error("{reason}")]
    Input {
        /// What is wrong and what to try.
        reason: String,
    },
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// An upstream, or the way to it.
    Upstream,
    /// Whoever called this crate.
    Client,
}

/// What was waited for when time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// A connection.
    Connection,
    /// The status line.
    Answer,
    /// The next piece of a body.
    Body,
}

impl fmt::Display for Wait {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Connection => "a connection",
            Self::Answer => "an answer",
            Self::Body => "more of the body",
        })
    }
}

impl FetchError {
    /// Whose fault it is.
    pub fn origin(&self) -> Origin {
        match self {
            Self::Input { .. } => Origin::Client,
            _ => Origin::Upstream,
        }
    }

    /// Whether the same question may succeed soon.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Upstream { .. } | Self::Unreachable { .. } | Self::Timeout { .. } | Self::SizeMismatch { .. } => true,
            Self::NotFound { .. }
            | Self::Denied { .. }
            | Self::RateLimited { .. }
            | Self::TooLarge { .. }
            | Self::Protocol { .. }
            | Self::Input { .. } => false,
        }
    }

    /// Upstream's status, where it is one that failed us.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::NotFound { .. } => Some(404),
            Self::RateLimited { .. } => Some(429),
            Self::Denied { status, .. } | Self::Upstream { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Upstream's wish in seconds.
    pub fn retry_after(&self) -> Option<f64> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Upstream { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// `WWW-Authenticate` of a 401.
    pub fn challenge(&self) -> Option<&str> {
        match self {
            Self::Denied { challenge, .. } => challenge.as_deref(),
            _ => None,
        }
    }
}

fn seconds(wish: Option<f64>) -> String {
    wish.map_or_else(String::new, |wish| format!(" {wish:.0} s"))
}
