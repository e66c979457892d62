//! Readers.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyregistry_store as store;

use crate::awaitable::awaitable_at_once;
use crate::plan::Plan;

/// What a request holds to get bytes of one digest: committed, in flight, or about to be; the interface is the same.
#[pyclass(frozen, module = "pyregistry._native")]
pub(crate) struct Reader(Arc<store::Reader>);

impl Reader {
    pub(crate) fn new(reader: store::Reader) -> Self {
        Self(Arc::new(reader))
    }
}

#[pymethods]
impl Reader {
    #[getter]
    fn digest(&self) -> String {
        self.0.digest().to_string()
    }

    #[getter]
    fn size(&self) -> Option<u64> {
        self.0.size()
    }

    #[getter]
    fn is_committed(&self) -> bool {
        self.0.is_committed()
    }

    fn ready<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let reader = self.0.clone();
        awaitable_at_once(py, async move { reader.ready().await })
    }

    #[pyo3(signature = (ranges=None, boundary=None))]
    fn plan(&self, ranges: Option<Vec<(u64, u64)>>, boundary: Option<&str>) -> PyResult<Plan> {
        let ranges = ranges.unwrap_or_default();
        if ranges.len() > 1 && boundary.is_none() {
            return Err(PyValueError::new_err("several ranges need a boundary"));
        }
        Ok(Plan::new(self.0.plan(&ranges, boundary)))
    }
}
