//! Seconds, as Python has them.

use std::time::Duration;

use pyo3::PyResult;
use pyo3::exceptions::PyValueError;

/// A duration, or a `ValueError` that names the argument.
pub(crate) fn duration(name: &str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|error| PyValueError::new_err(format!("{name} is {seconds} seconds: {error}")))
}
