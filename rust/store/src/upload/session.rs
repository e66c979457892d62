//! Names of uploads.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

/// The name of an upload: 1 to 64 characters of a-z, 0-9 and `-`. It is a folder's name, too.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Session(Box<str>);

/// Text that names no upload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an upload: {0:?}; expected 1 to 64 characters of a-z, 0-9 and -")]
pub struct BadSession(String);

impl Session {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, BadSession> {
        let right =
            (1..=64).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if right { Ok(Self(text.into())) } else { Err(BadSession(text.chars().take(80).collect())) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of the upload's lock.
    pub(crate) fn lock_key(&self) -> u64 {
        xxh3_64(format!("upload {}", self.0).as_bytes())
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_always_one_folder() {
        let longest = "a".repeat(64);
        for right in ["0", "a-b", "--", "0189c6f5-5d7c-7a31-9f0e-c34d1c2f1b7a", &longest] {
            assert_eq!(Session::parse(right).unwrap().as_str(), right);
        }
        let longer = "a".repeat(65);
        for wrong in ["", ".", "..", "a/b", "A", "a b", "a\0", "é", "a.b", &longer] {
            assert!(Session::parse(wrong).is_err(), "{wrong}");
        }
    }
}
