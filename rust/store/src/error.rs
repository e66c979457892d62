//! Why content could not be had: one closed list of causes, the same in every process and in Python (`pyregistry/errors.py`).

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Why content could not be had. The number is what a fill records on disk, so it never changes meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cause {
    /// Upstream answered 404.
    NotFound = 1,
    /// Upstream answered 401 or 403, or its token realm refused.
    Denied = 2,
    /// Upstream answered 429.
    RateLimited = 3,
    /// Upstream answered 5xx, or a status that makes no sense here.
    Upstream = 4,
    /// No connection: DNS, refused, TLS.
    Unreachable = 5,
    /// No connection or no progress in time.
    Timeout = 6,
    /// All bytes came and hash to something else.
    DigestMismatch = 7,
    /// A body shorter or longer than announced.
    SizeMismatch = 8,
    /// ENOSPC, or less than the reserve free.
    StorageFull = 9,
    /// Any other I/O error of ours.
    Storage = 10,
    /// Whoever drove the work stopped without an outcome.
    Interrupted = 11,
    /// An answer over its limit.
    TooLarge = 12,
    /// An answer that cannot be understood.
    Protocol = 13,
}

impl Cause {
    /// Every cause, in the order of its code.
    pub const ALL: [Self; 13] = [
        Self::NotFound,
        Self::Denied,
        Self::RateLimited,
        Self::Upstream,
        Self::Unreachable,
        Self::Timeout,
        Self::DigestMismatch,
        Self::SizeMismatch,
        Self::StorageFull,
        Self::Storage,
        Self::Interrupted,
        Self::TooLarge,
        Self::Protocol,
    ];

    /// The number on disk and in Python.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The cause with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.code() == code)
    }
}

/// Content could not be had, or not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Why, from the closed list.
    pub cause: Cause,
    /// What, where and what to try. Never a secret.
    pub message: String,
    /// Upstream's HTTP status, where one was received.
    pub status: Option<u16>,
    /// How long upstream wants to be left alone.
    pub retry_after: Option<Duration>,
    /// Upstream's WWW-Authenticate (401 only). Not recorded on disk: it is for the process that asked.
    pub challenge: Option<String>,
}

impl Failure {
    /// A failure without an upstream's answer.
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self { cause, message: message.into(), status: None, retry_after: None, challenge: None }
    }

    /// An I/O error at `path`.
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        Self::io_of(&path.display(), error)
    }

    /// An I/O error of what goes by `name`.
    pub(crate) fn io_of(name: &dyn Display, error: &io::Error) -> Self {
        let cause = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Cause::StorageFull,
            _ => Cause::Storage,
        };
        Self::new(cause, format!("{name}: {error}"))
    }

    /// Whoever should have gone on with the work did not.
    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self::new(Cause::Interrupted, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_ones_of_the_python_enum() {
        let text = crate::fs::read(Path::new("../../pyregistry/errors.py")).unwrap().unwrap();
        let text = String::from_utf8(text).unwrap();
        let python: Vec<(String, u8)> = text
            .lines()
            .filter_map(|line| line.split("#:").next()?.trim().split_once(" = "))
            .filter_map(|(name, code)| Some((name.to_owned(), code.trim().parse().ok()?)))
            .filter(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
            .collect();
        let rust: Vec<(String, u8)> = Cause::ALL
            .iter()
            .map(|cause| {
                let mut name = String::new();
                for (index, letter) in format!("{cause:?}").chars().enumerate() {
                    if letter.is_uppercase() && index > 0 {
                        name.push('_');
                    }
                    name.push(letter.to_ascii_uppercase());
                }
                (name, cause.code())
            })
            .collect();
        assert_eq!(rust, python);
    }

    #[test]
    fn an_io_error_carries_its_path() {
        let full = Failure::io(Path::new("/x/y"), &io::Error::from_raw_os_error(28));
        assert_eq!(full.cause, Cause::StorageFull);
        assert!(full.message.starts_with("/x/y: "), "{full}");
    }
}
