//! URLs of upstreams.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use crate::error::FetchError;

/// An http or https URL. Prints without user information, query and fragment: a signed URL is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamUrl(Url);

impl UpstreamUrl {
    /// Takes an absolute http or https URL with a host.
    pub fn parse(text: &str) -> Result<Self, FetchError> {
        let url = Url::parse(text).map_err(|reason| FetchError::Input {
            // The text itself is not repeated: it may hold a password.
            reason: format!("not a URL: {reason}; it must look like https://registry.example/v2/"),
        })?;
        Self::checked(url).map_err(|reason| FetchError::Input { reason })
    }

    /// The URL that `location`, absolute or relative, means when it was answered from here.
    pub(crate) fn join(&self, location: &str) -> Result<Self, String> {
        let url =
            self.0.join(location).map_err(|reason| format!("a redirect to something that is no URL ({reason})"))?;
        Self::checked(url)
    }

    fn checked(url: Url) -> Result<Self, String> {
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(format!("{}: is neither http nor https with a host", Self(url)));
        }
        Ok(Self(url))
    }

    /// Whether scheme, host and port are the same, so that credentials for one may go to the other.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        self.0.scheme() == other.0.scheme()
            && self.0.host_str() == other.0.host_str()
            && self.0.port_or_known_default() == other.0.port_or_known_default()
    }

    /// A number of the origin, the same in every process that runs this program.
    pub(crate) fn origin_number(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.0.scheme(), self.0.host_str(), self.0.port_or_known_default()).hash(&mut hasher);
        hasher.finish()
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether the host, as it is written, is this machine or what only it reaches: loopback and link-local addresses.
    /// Private networks are not among them: registries at home keep their blobs there.
    pub(crate) fn is_of_this_machine(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        // Addresses are in one form here, however they were written.
        if let Ok(address) = host.parse() {
            return is_near(address);
        }
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<Ipv6Addr>() {
            address.is_unspecified()
                || address.is_loopback()
                || address.is_unicast_link_local()
                || address == AWS_METADATA
                || address.to_ipv4().is_some_and(is_near)
        } else {
            let name = host.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
    }

    /// The whole URL, secrets included, to send a request to.
    pub(crate) fn whole(&self) -> &Url {
        &self.0
    }
}

/// Where EC2 gives out credentials over IPv6: unique local, not link-local.
const AWS_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

fn is_near(address: Ipv4Addr) -> bool {
    // All of 0.0.0.0/8 is this host to Linux.
    address.is_loopback() || address.is_link_local() || address.octets()[0] == 0
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())?;
        if let Some(port) = self.0.port() {
            write!(out, ":{port}")?;
        }
        out.write_str(self.0.path())
    }
}

impl fmt::Debug for UpstreamUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "UpstreamUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_no_secret() {
        let url = UpstreamUrl::parse("https://bob:hunter2@cdn.example:8443/v2/a?X-Amz-Signature=s3cr3t#f").unwrap();
        assert_eq!(url.to_string(), "https://cdn.example:8443/v2/a");
        assert_eq!(format!("{url:?}"), "UpstreamUrl(https://cdn.example:8443/v2/a)");
    }

    #[test]
    fn refuses_what_is_no_http_url() {
        for text in ["", "nginx", "ftp://host/x", "file:///etc/passwd", "https://"] {
            let error = UpstreamUrl::parse(text).unwrap_err();
            assert!(matches!(error, FetchError::Input { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn origin_is_scheme_host_and_port() {
        let origin = |text: &str| UpstreamUrl::parse(text).unwrap();
        let base = origin("https://registry.example/v2/");
        assert!(base.same_origin(&origin("https://REGISTRY.example:443/other")));
        assert_eq!(base.origin_number(), origin("https://registry.example/else").origin_number());
        for other in ["http://registry.example/", "https://registry.example:444/", "https://cdn.registry.example/"] {
            assert!(!base.same_origin(&origin(other)), "{other}");
            assert_ne!(base.origin_number(), origin(other).origin_number(), "{other}");
        }
    }
}
