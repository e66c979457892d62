//! The client: its settings and its pool of connections.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;

use crate::body::BodySource;
use crate::error::FetchError;
use crate::exchange::Question;
use crate::tls;

/// Kept connections per host. A pull of one image opens about this many.
const IDLE_PER_HOST: usize = 32;

/// What a client can be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `User-Agent` of every request.
    pub user_agent: String,
    /// PEM file of authorities, beside the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client certificate and its chain.
    pub client_cert: Option<PathBuf>,
    /// PEM file of its key.
    pub client_key: Option<PathBuf>,
    /// Whether certificates are checked.
    pub verify: bool,
    /// Longest wait for a connection, TLS included.
    pub connect_timeout: Duration,
    /// Longest wait for a status line, and between two pieces of a body.
    pub progress_timeout: Duration,
    /// First pause before a broken body is asked for again; doubles up to fifty times as much.
    pub first_pause: Duration,
}

impl Settings {
    /// Defaults for everything but the name we go by.
    pub fn new(user_agent: impl Into<String>) -> Self {
        Self {
            user_agent: user_agent.into(),
            ca_file: None,
            client_cert: None,
            client_key: None,
            verify: true,
            connect_timeout: Duration::from_secs(5),
            progress_timeout: Duration::from_secs(30),
            first_pause: Duration::from_millis(100),
        }
    }
}

/// HTTP to upstreams. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    settings: Arc<Settings>,
}

impl Client {
    /// Reads the files that `settings` names; the proxy variables of the environment count.
    pub fn new(settings: Settings) -> Result<Self, FetchError> {
        // An error says that another client of this process did it before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .user_agent(settings.user_agent.as_str())
            .redirect(Policy::none())
            .referer(false)
            .http1_only()
            // Rate limiters have been seen to answer 429 with malformed headers.
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .connect_timeout(settings.connect_timeout)
            .tls_certs_only(tls::authorities(settings.ca_file.as_deref())?)
            .tls_danger_accept_invalid_certs(!settings.verify);
        http = match (&settings.client_cert, &settings.client_key) {
            (Some(cert), Some(key)) => http.identity(tls::identity(cert, key)?),
            (None, None) => http,
            _ => {
                let reason = "client_cert and client_key go together: give both or none".to_owned();
                return Err(FetchError::Input { reason });
            }
        };
        let http = http.build().map_err(|error| FetchError::Input {
            reason: format!("no client can be made with these settings: {error}"),
        })?;
        Ok(Self { http, settings: Arc::new(settings) })
    }

    /// A blob's body at `url`; nothing is sent before it is begun.
    pub fn source(&self, url: &str, headers: &[(String, String)]) -> Result<BodySource, FetchError> {
        Ok(BodySource::new(self.clone(), Question::new("GET", url, headers, None)?))
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.settings.connect_timeout
    }

    pub(crate) fn progress_timeout(&self) -> Duration {
        self.settings.progress_timeout
    }

    /// How long to wait before attempt `attempt` (from 1) to go on.
    pub(crate) fn pause(&self, attempt: u32) -> Duration {
        self.settings.first_pause.saturating_mul((1 << attempt.saturating_sub(1).min(8)).min(50))
    }
}
