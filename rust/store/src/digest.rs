//! Digests: `algorithm:hex`, the name of a blob (OCI image spec, descriptor.md).

use std::fmt;
use std::str::FromStr;

/// The hash functions that a digest may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The name in a digest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Hex digits of a digest.
    const fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// The name of a blob: an algorithm and the hash in lower-case hex.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    hex: Box<str>,
}

/// Text that is no digest we know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: {0:?}; expected sha256: and 64, or sha512: and 128 lower-case hex digits")]
pub struct Malformed(String);

impl Digest {
    /// Reads `sha256:<64 hex>` or `sha512:<128 hex>`, hex in lower case.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let malformed = || Malformed(text.chars().take(160).collect());
        let (name, hex) = text.split_once(':').ok_or_else(malformed)?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(malformed()),
        };
        let right =
            hex.len() == algorithm.digits() && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !right {
            return Err(malformed());
        }
        Ok(Self { algorithm, hex: hex.into() })
    }

    /// The hash function.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hash in lower-case hex.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// The hash's first 63 bits: the key of the digest's lock.
    pub fn lock_key(&self) -> u64 {
        // The first 16 of at least 64 checked hex digits: cannot fail.
        u64::from_str_radix(&self.hex[..16], 16).unwrap_or_default() >> 1
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_algorithms() {
        for text in [format!("sha256:{}", "0a".repeat(32)), format!("sha512:{}", "f9".repeat(64))] {
            assert_eq!(Digest::parse(&text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_digest() {
        let right = "0a".repeat(32);
        for text in [
            String::new(),
            right.clone(),
            format!("md5:{right}"),
            format!("sha256:{}", right.to_uppercase()),
            format!("sha256:{right}0"),
            format!("sha512:{right}"),
            format!("sha256:{}/", &right[1..]),
            format!("sha256:{}..", &right[2..]),
            format!("sha256:{}é", &right[2..]),
        ] {
            assert!(Digest::parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn lock_key_is_the_first_63_bits() {
        let digest = Digest::parse(&format!("sha256:{}", "ff".repeat(32))).unwrap();
        assert_eq!(digest.lock_key(), u64::MAX >> 1);
    }
}
