//! Errors on their way into Python, and back. The classes live in `pyregistry/errors.py`.

use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use pyregistry_fetch::FetchError;
use pyregistry_store::{Busy, Cause, Failure};

/// An error that has a Python exception.
pub(crate) trait Raise {
    fn raise(self, py: Python<'_>) -> PyErr;
}

impl Raise for PyErr {
    fn raise(self, _: Python<'_>) -> PyErr {
        self
    }
}

impl Raise for Failure {
    fn raise(self, py: Python<'_>) -> PyErr {
        exception(py, &self).map_or_else(|error| error, PyErr::from_value)
    }
}

impl Raise for FetchError {
    fn raise(self, py: Python<'_>) -> PyErr {
        match self {
            Self::Input { reason } => PyValueError::new_err(reason),
            answered => failure(&answered).raise(py),
        }
    }
}

impl Raise for Busy {
    fn raise(self, _: Python<'_>) -> PyErr {
        PyRuntimeError::new_err(self.to_string())
    }
}

/// What the store, and every reader, is told when upstream fails.
pub(crate) fn failure(error: &FetchError) -> Failure {
    let cause = match error {
        FetchError::NotFound { .. } => Cause::NotFound,
        FetchError::Denied { .. } => Cause::Denied,
        FetchError::RateLimited { .. } => Cause::RateLimited,
        FetchError::Upstream { .. } => Cause::Upstream,
        FetchError::Unreachable { .. } => Cause::Unreachable,
        FetchError::Timeout { .. } => Cause::Timeout,
        FetchError::SizeMismatch { .. } => Cause::SizeMismatch,
        FetchError::TooLarge { .. } => Cause::TooLarge,
        FetchError::Protocol { .. } | FetchError::Input { .. } => Cause::Protocol,
    };
    Failure {
        cause,
        message: error.to_string(),
        status: error.status(),
        retry_after: error.retry_after().and_then(|wish| Duration::try_from_secs_f64(wish).ok()),
        challenge: error.challenge().map(str::to_owned),
    }
}

/// A `pyregistry.errors.Failure`.
pub(crate) fn exception<'py>(py: Python<'py>, failure: &Failure) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let options = PyDict::new(py);
    options.set_item(intern!(py, "status"), failure.status)?;
    options.set_item(intern!(py, "retry_after"), failure.retry_after.map(|wish| wish.as_secs_f64()))?;
    options.set_item(intern!(py, "challenge"), failure.challenge.as_deref())?;
    let class = CLASS.import(py, "pyregistry.errors", "Failure")?;
    class.call((failure.cause.code(), failure.message.as_str()), Some(&options))
}

/// The failure in a `pyregistry.errors.Failure`.
pub(crate) fn from_exception(exception: &Bound<'_, PyAny>) -> PyResult<Failure> {
    let py = exception.py();
    let code: u8 = exception.getattr(intern!(py, "cause"))?.getattr(intern!(py, "value"))?.extract()?;
    let cause =
        Cause::from_code(code).ok_or_else(|| PyValueError::new_err(format!("{code} is the code of no cause")))?;
    let retry_after: Option<f64> = exception.getattr(intern!(py, "retry_after"))?.extract()?;
    Ok(Failure {
        cause,
        message: exception.getattr(intern!(py, "message"))?.extract()?,
        status: exception.getattr(intern!(py, "status"))?.extract()?,
        retry_after: retry_after.and_then(|wish| Duration::try_from_secs_f64(wish).ok()),
        challenge: exception.getattr(intern!(py, "challenge"))?.extract()?,
    })
}
