//! Whom to trust, and who we are.

use std::fs;
use std::path::Path;

use reqwest::{Certificate, Identity};
use rustls::RootCertStore;

use crate::error::FetchError;

/// The system's authorities and those of `ca_file`.
///
/// A system that has none (a small container) is no failure here: plain http and `ca_file` still work, and a handshake
/// tells the rest.
pub(crate) fn authorities(ca_file: Option<&Path>) -> Result<Vec<Certificate>, FetchError> {
    let mut roots = Vec::new();
    for der in rustls_native_certs::load_native_certs().certs {
        // Systems ship certificates that no verifier can use; reqwest would refuse them all for one.
        if RootCertStore::empty().add(der.clone()).is_ok()
            && let Ok(root) = Certificate::from_der(&der)
        {
            roots.push(root);
        }
    }
    if let Some(path) = ca_file {
        let added = Certificate::from_pem_bundle(&read("ca_file", path)?)
            .map_err(|_| bad_file("ca_file", path, "holds something that is no PEM certificate"))?;
        if added.is_empty() {
            return Err(bad_file("ca_file", path, "holds no PEM certificate"));
        }
        roots.extend(added);
    }
    Ok(roots)
}

/// The client certificate, its chain and its key.
pub(crate) fn identity(cert: &Path, key: &Path) -> Result<Identity, FetchError> {
    let mut pem = read("client_cert", cert)?;
    pem.push(b'\n');
    pem.extend(read("client_key", key)?);
    Identity::from_pem(&pem).map_err(|_| {
        bad_file("client_cert", cert, &format!("and client_key {} are no PEM certificate and key", key.display()))
    })
}

fn read(setting: &str, path: &Path) -> Result<Vec<u8>, FetchError> {
    fs::read(path).map_err(|error| bad_file(setting, path, &format!("cannot be read: {error}")))
}

fn bad_file(setting: &str, path: &Path, reason: &str) -> FetchError {
    FetchError::Input { reason: format!("{setting} {} {reason}", path.display()) }
}
