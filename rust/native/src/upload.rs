//! Uploads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use pyregistry_store::{self as store, Algorithm, Digest, Session};

use crate::awaitable::{awaitable, awaitable_at_once};
use crate::errors::Raise;

/// An upload that this process holds. Dropping it lets go at the last checkpoint.
#[pyclass(frozen, module = "pyregistry._native")]
pub(crate) struct Upload {
    session: Session,
    /// None once released.
    held: Mutex<Option<Arc<store::Upload>>>,
}

impl Upload {
    pub(crate) fn new(held: store::Upload) -> Self {
        Self { session: held.session().clone(), held: Mutex::new(Some(Arc::new(held))) }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<store::Upload>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> PyResult<Arc<store::Upload>> {
        self.slot().clone().ok_or_else(|| PyRuntimeError::new_err(format!("upload {} was released", self.session)))
    }
}

#[pymethods]
impl Upload {
    #[getter]
    fn session(&self) -> &str {
        self.session.as_str()
    }

    #[getter]
    fn offset(&self) -> PyResult<u64> {
        Ok(self.held()?.offset())
    }

    fn write<'py>(&self, py: Python<'py>, data: &Bound<'py, PyBytes>) -> PyResult<Option<Bound<'py, PyAny>>> {
        // By reference: the bytes object lives until it is on disk.
        let bytes = Bytes::from_owner(PyBackedBytes::from(data.clone()));
        let room = self.held()?.write(bytes).map_err(|failure| failure.raise(py))?;
        // `()` would be an empty tuple.
        room.map(|room| awaitable_at_once(py, async { room.await.map(|()| None::<()>) })).transpose()
    }

    fn flush<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.held()?.flush())
    }

    fn commit<'py>(&self, py: Python<'py>, digest: &str) -> PyResult<Bound<'py, PyAny>> {
        let digest = Digest::parse(digest).map_err(|malformed| PyValueError::new_err(malformed.to_string()))?;
        awaitable(py, self.held()?.commit(&digest))
    }

    fn release(&self) {
        let held = self.slot().take();
        drop(held);
    }
}

/// The name of an upload, or a `ValueError`.
pub(crate) fn session(name: &str) -> PyResult<Session> {
    Session::parse(name).map_err(|bad| PyValueError::new_err(bad.to_string()))
}

/// The name of a hash function, or a `ValueError`.
pub(crate) fn algorithm(name: &str) -> PyResult<Algorithm> {
    [Algorithm::Sha256, Algorithm::Sha512]
        .into_iter()
        .find(|algorithm| algorithm.name() == name)
        .ok_or_else(|| PyValueError::new_err(format!("algorithm is {name:?}: expected sha256 or sha512")))
}
