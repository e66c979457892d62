//! A running hash whose midstate can be stored, so that a partial goes on without its bytes being read again (I5).

use sha2::digest::Digest as _;
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Sha256, Sha512};

use crate::Digest;
use crate::digest::Algorithm;

/// Most bytes of a midstate.
pub(crate) const MIDSTATE_MAX: usize = 256;

/// The hash of the bytes so far.
#[derive(Clone)]
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// The hash of no bytes.
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    /// Goes on from a stored midstate; None if it is none.
    pub(crate) fn resume(algorithm: Algorithm, midstate: &[u8]) -> Option<Self> {
        fn state<H: SerializableState>(bytes: &[u8]) -> Option<H> {
            H::deserialize(&SerializedState::<H>::try_from(bytes).ok()?).ok()
        }
        match algorithm {
            Algorithm::Sha256 => state(midstate).map(Self::Sha256),
            Algorithm::Sha512 => state(midstate).map(Self::Sha512),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    /// What [`Hasher::resume`] goes on from: 105 bytes for SHA-256, 209 for SHA-512.
    pub(crate) fn midstate(&self) -> Vec<u8> {
        match self {
            Self::Sha256(hash) => hash.serialize().to_vec(),
            Self::Sha512(hash) => hash.serialize().to_vec(),
        }
    }

    /// Whether the bytes so far are those that `digest` names.
    pub(crate) fn matches(&self, digest: &Digest) -> bool {
        let hash = match self {
            Self::Sha256(hash) => hash.clone().finalize().to_vec(),
            Self::Sha512(hash) => hash.clone().finalize().to_vec(),
        };
        let hex = digest.hex().as_bytes().chunks_exact(2);
        let bytes = hex.map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()));
        bytes.eq(hash.into_iter().map(Some))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_from_a_midstate() {
        for (algorithm, abc) in [
            (Algorithm::Sha256, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                Algorithm::Sha512,
                "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ] {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(b"ab");
            let midstate = hasher.midstate();
            assert!(midstate.len() <= MIDSTATE_MAX);
            let mut heir = Hasher::resume(algorithm, &midstate).unwrap();
            heir.update(b"c");
            assert!(heir.matches(&Digest::parse(abc).unwrap()));
            assert!(!hasher.matches(&Digest::parse(abc).unwrap()));
            assert!(Hasher::resume(algorithm, &midstate[1..]).is_none());
        }
    }
}
