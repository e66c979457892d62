//! The HTTP client.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use pyo3::prelude::*;
use pyregistry_fetch as fetch;

use crate::answer::Answer;
use crate::awaitable::awaitable;
use crate::budget::{Budget, Budgets};
use crate::errors::Raise;
use crate::seconds::duration;
use crate::source::Source;

/// HTTP to upstreams: pooled connections, proxy variables, redirects that drop credentials across hosts.
#[pyclass(frozen, module = "pyregistry._native")]
pub(crate) struct Client(fetch::Client);

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (*, user_agent, ca_file=None, client_cert=None, client_key=None, verify=true, connect_timeout=5.0, progress_timeout=30.0))]
    #[expect(clippy::too_many_arguments, reason = "keyword-only in Python")]
    fn new(
        py: Python<'_>,
        user_agent: String,
        ca_file: Option<PathBuf>,
        client_cert: Option<PathBuf>,
        client_key: Option<PathBuf>,
        verify: bool,
        connect_timeout: f64,
        progress_timeout: f64,
    ) -> PyResult<Self> {
        let settings = fetch::Settings {
            ca_file,
            client_cert,
            client_key,
            verify,
            connect_timeout: duration("connect_timeout", connect_timeout)?,
            progress_timeout: duration("progress_timeout", progress_timeout)?,
            ..fetch::Settings::new(user_agent)
        };
        py.detach(|| fetch::Client::new(settings)).map(Self).map_err(|error| error.raise(py))
    }

    #[pyo3(signature = (method, url, headers, *, body=None, limit=8_388_608))]
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 hands over owned values")]
    fn request<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        url: &str,
        headers: Vec<(String, String)>,
        body: Option<Vec<u8>>,
        limit: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let asked =
            self.0.request(method, url, &headers, body.map(Bytes::from), limit).map_err(|error| error.raise(py))?;
        awaitable(py, async move { asked.await.map(Answer) })
    }

    #[expect(clippy::needless_pass_by_value, reason = "PyO3 hands over owned values")]
    #[pyo3(signature = (url, headers, *, places=None, requests=None, bandwidth=None, background_bandwidth=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword-only in Python")]
    fn source(
        &self,
        py: Python<'_>,
        url: &str,
        headers: Vec<(String, String)>,
        places: Option<Vec<u64>>,
        requests: Option<&Budget>,
        bandwidth: Option<&Budget>,
        background_bandwidth: Option<&Budget>,
    ) -> PyResult<Source> {
        let budgets = Arc::new(Budgets::new(requests, bandwidth, background_bandwidth));
        let background = Arc::clone(&budgets.background);
        let body = self.0.source(url, &headers).map_err(|error| error.raise(py))?;
        Ok(Source::new(body.within(budgets), places, background))
    }
}
