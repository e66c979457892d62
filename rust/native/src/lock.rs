//! Held locks.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyregistry_store as store;

/// A held lock. Also goes with its process.
#[pyclass(frozen, module = "pyregistry._native")]
pub(crate) struct Lock(Mutex<Option<store::Lock>>);

impl Lock {
    pub(crate) fn new(held: store::Lock) -> Self {
        Self(Mutex::new(Some(held)))
    }
}

#[pymethods]
impl Lock {
    fn release(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*exc))]
    fn __exit__(&self, exc: &Bound<'_, PyTuple>) {
        let _ = exc;
        self.release();
    }
}
