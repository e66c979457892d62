//! How much may be had of an upstream in a second.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyregistry_fetch as fetch;
use pyregistry_store as store;

use crate::errors::Raise;

/// So many requests, or bytes, a second, over all processes that name the same file.
#[pyclass(frozen, module = "pyregistry._native")]
pub(crate) struct Budget(store::Budget);

#[pymethods]
impl Budget {
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 hands over owned values")]
    fn new(py: Python<'_>, path: PathBuf, per_second: f64) -> PyResult<Self> {
        if !(per_second.is_finite() && per_second > 0.0) {
            return Err(PyValueError::new_err(format!("per_second is {per_second}: more than 0 is needed")));
        }
        py.detach(|| store::Budget::open(&path, per_second)).map(Self).map_err(|failure| failure.raise(py))
    }

    fn take(&self, amount: u64) -> f64 {
        self.0.take(amount).as_secs_f64()
    }
}

/// What a body's requests and bytes are taken from.
#[derive(Default)]
pub(crate) struct Budgets {
    requests: Option<store::Budget>,
    bandwidth: Option<store::Budget>,
    background_bandwidth: Option<store::Budget>,
    /// Whether no client waits for the body.
    pub background: Arc<AtomicBool>,
}

impl Budgets {
    pub(crate) fn new(
        requests: Option<&Budget>,
        bandwidth: Option<&Budget>,
        background_bandwidth: Option<&Budget>,
    ) -> Self {
        let own = |budget: Option<&Budget>| budget.map(|budget| budget.0.clone());
        let (requests, bandwidth, background_bandwidth) = (own(requests), own(bandwidth), own(background_bandwidth));
        Self { requests, bandwidth, background_bandwidth, background: Arc::default() }
    }
}

impl std::fmt::Debug for Budgets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Budgets").field("background", &self.background).finish_non_exhaustive()
    }
}

impl fetch::Limits for Budgets {
    fn ask(&self) -> Duration {
        self.requests.as_ref().map_or(Duration::ZERO, |budget| budget.take(1))
    }

    fn receive(&self, bytes: usize) -> Duration {
        let take =
            |budget: &Option<store::Budget>| budget.as_ref().map_or(Duration::ZERO, |budget| budget.take(bytes as u64));
        let wait = take(&self.bandwidth);
        if self.background.load(Ordering::Relaxed) { wait.max(take(&self.background_bandwidth)) } else { wait }
    }
}
