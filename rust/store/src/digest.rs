//! Digests: `algorithm:hex`, the name of a blob (OCI image spec, descriptor.md).

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;

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

    /// The key of the digest's lock, 63 bits.
    ///
    /// Not the digest's own first bits: whoever can name digests could make two that share them, and hold up the fill of
    /// another's content by a slow one of his own.
    pub fn lock_key(&self) -> u64 {
        let hash = sha2::Sha256::digest(format!("fill {self}"));
        hash.iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte)) >> 1
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
    fn lock_keys_do_not_follow_the_digest() {
        let keys: Vec<u64> = ["00", "01"]
            .map(|end| Digest::parse(&format!("sha256:{}{end}", "ff".repeat(31))).unwrap().lock_key())
            .to_vec();
        assert_ne!(keys[0], keys[1]);
        assert!(keys.iter().all(|key| *key <= u64::MAX >> 1));
    }
}
