//! Fills.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use pyregistry_store::{self as store, Outcome};

use crate::awaitable::awaitable;
use crate::errors::{Raise, exception, from_exception};
use crate::source::Source;

/// A fill this process owns. Dropping it without an outcome records INTERRUPTED and keeps the partial.
#[pyclass(frozen, module = "pyregistry._native")]
pub(crate) struct Fill(Arc<store::Fill>);

impl Fill {
    pub(crate) fn new(owned: store::Fill) -> Self {
        Self(Arc::new(owned))
    }
}

#[pymethods]
impl Fill {
    #[getter]
    fn digest(&self) -> String {
        self.0.digest().to_string()
    }

    #[getter]
    fn had(&self) -> u64 {
        self.0.had()
    }

    fn run<'py>(&self, py: Python<'py>, source: &Source) -> PyResult<Bound<'py, PyAny>> {
        let (fill, mut body) = (self.0.clone(), source.body());
        awaitable(py, async move {
            fill.run(&mut body).await.map(|outcome| match outcome {
                Outcome::Committed => "committed",
                Outcome::Stopped => "stopped",
                Outcome::Idle => "idle",
            })
        })
    }

    fn rest<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let fill = self.0.clone();
        awaitable(py, async move { fill.rest().await })
    }

    fn fail(&self, py: Python<'_>, failure: &Bound<'_, PyAny>) -> PyResult<()> {
        let failure = from_exception(failure)?;
        py.detach(|| self.0.fail(failure));
        Ok(())
    }
}

/// One fill or partial as seen on disk.
#[pyclass(frozen, module = "pyregistry._native")]
pub(crate) struct FillStatus(store::FillStatus);

#[pymethods]
impl FillStatus {
    #[getter]
    fn digest(&self) -> String {
        self.0.digest.to_string()
    }

    #[getter]
    fn size(&self) -> Option<u64> {
        self.0.size
    }

    #[getter]
    fn frontier(&self) -> u64 {
        self.0.frontier
    }

    #[getter]
    fn had(&self) -> u64 {
        self.0.had
    }

    #[getter]
    fn owned(&self) -> bool {
        self.0.owned
    }

    #[getter]
    fn failure<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.failure.as_ref().map(|failure| exception(py, failure)).transpose()
    }
}

/// Fills and partials on the storage root `root`, read without opening the store (safe beside a running server).
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "PyO3 hands over owned values")]
pub(crate) fn fills(py: Python<'_>, root: PathBuf) -> PyResult<Vec<FillStatus>> {
    let found = py.detach(|| store::fills(&root)).map_err(|failure| failure.raise(py))?;
    Ok(found.into_iter().map(FillStatus).collect())
}
