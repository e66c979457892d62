//! URLs of upstreams.

use std::fmt;

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

    pub(crate) fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The whole URL, secrets included, to send a request to.
    pub(crate) fn whole(&self) -> &Url {
        &self.0
    }
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
        for other in ["http://registry.example/", "https://registry.example:444/", "https://cdn.registry.example/"] {
            assert!(!base.same_origin(&origin(other)), "{other}");
        }
    }
}
