//! Response bodies.

use std::sync::Arc;

use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyregistry_store::{self as store, Failure};
use tokio::sync::Mutex;

use crate::awaitable::{awaitable, awaitable_at_once};
use crate::errors::Raise;

/// Reads larger than this are made without the interpreter; below, letting go of it costs more than the read.
const ATTACHED: usize = 64 << 10;

/// A response body, read in order. Not for two tasks at once.
#[pyclass(frozen, module = "pyregistry._native")]
pub(crate) struct Plan(Arc<Mutex<Body>>);

/// A store's plan, and what was waited for and not yet handed out: an awaitable that is cancelled leaves it here.
struct Body {
    plan: store::Plan,
    waited: Option<Vec<u8>>,
}

impl Plan {
    pub(crate) fn new(plan: store::Plan) -> Self {
        Self(Arc::new(Mutex::new(Body { plan, waited: None })))
    }

    fn take_now<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Taken<'py>> {
        let Ok(mut body) = self.0.try_lock() else { return Ok(Taken::NotYet) };
        if let Some(mut waited) = body.waited.take() {
            if waited.len() > limit {
                body.waited = Some(waited.split_off(limit));
            }
            return Ok(Taken::Bytes(PyBytes::new(py, &waited)));
        }
        let raise = |failure: Failure| failure.raise(py);
        let Some(length) = body.plan.available(limit).map_err(raise)? else { return Ok(Taken::NotYet) };
        if length == 0 {
            return Ok(Taken::Bytes(PyBytes::new(py, &[])));
        }
        let mut taken = None;
        let bytes = PyBytes::new_with(py, length, |buffer| {
            let plan = &mut body.plan;
            taken =
                if length > ATTACHED { py.detach(|| plan.take(buffer)) } else { plan.take(buffer) }.map_err(raise)?;
            Ok(())
        })?;
        Ok(match taken {
            Some(count) if count < length => Taken::Bytes(PyBytes::new(py, &bytes.as_bytes()[..count])),
            Some(_) => Taken::Bytes(bytes),
            None => Taken::OnDisk,
        })
    }

    /// Waits for what `take_now` did not give; what the disk gives is kept for the next `take_now`.
    fn wait<'py>(&self, py: Python<'py>, limit: usize, on_disk: bool) -> PyResult<Bound<'py, PyAny>> {
        let body = self.0.clone();
        awaitable(py, async move {
            let mut body = body.lock().await;
            if !on_disk {
                body.plan.wait().await?;
            } else if body.waited.is_none() {
                body.waited = Some(body.plan.next(limit).await?);
            }
            Ok::<(), Failure>(())
        })
    }
}

/// The next bytes, if they can be had at once.
enum Taken<'py> {
    Bytes(Bound<'py, PyBytes>),
    /// The fill is not so far.
    NotYet,
    /// They are not in the page cache.
    OnDisk,
}

#[pymethods]
impl Plan {
    #[getter]
    fn length(&self) -> PyResult<Option<u64>> {
        let Ok(body) = self.0.try_lock() else {
            return Err(PyRuntimeError::new_err("another task waits for this plan; only one may"));
        };
        Ok(body.plan.length())
    }

    fn begin<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let body = self.0.clone();
        awaitable_at_once(py, async move { body.lock().await.plan.begin().await })
    }

    fn take<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(match self.take_now(py, limit)? {
            Taken::Bytes(bytes) => Some(bytes),
            Taken::NotYet | Taken::OnDisk => None,
        })
    }

    fn next(slf: Py<Self>, limit: usize) -> Next {
        Next { plan: slf, limit }
    }
}

/// Awaits `Plan.next`. Bytes leave the plan only in the step that hands them to the awaiting task, so none is lost
/// when that task is cancelled, not even between the wait's end and its waking.
#[pyclass(frozen)]
struct Next {
    plan: Py<Plan>,
    limit: usize,
}

#[pymethods]
impl Next {
    fn __await__(&self, py: Python<'_>) -> Steps {
        Steps { plan: self.plan.clone_ref(py), limit: self.limit, wait: std::sync::Mutex::new(None) }
    }
}

/// The iterator behind `await`: yields the future to sleep on, ends with the bytes.
#[pyclass(frozen)]
struct Steps {
    plan: Py<Plan>,
    limit: usize,
    /// The iterator of the future that is slept on.
    wait: std::sync::Mutex<Option<Py<PyAny>>>,
}

#[pymethods]
impl Steps {
    /// A task that awaits is reached from the future that it sleeps on: a cycle, when both are forgotten.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(wait) = self.wait.try_lock()
            && let Some(wait) = &*wait
        {
            visit.call(wait)?;
        }
        visit.call(&self.plan)
    }

    fn __clear__(&self) {
        drop(self.slot().take());
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut slept = self.slot().take();
        loop {
            if let Some(wait) = slept.take() {
                // The future yields itself once more if it is not done, raises the failure, or stops.
                match wait.call_method0(py, intern!(py, "__next__")) {
                    Ok(future) => {
                        *self.slot() = Some(wait);
                        return Ok(future.into_bound(py));
                    }
                    Err(stop) if stop.is_instance_of::<PyStopIteration>(py) => {}
                    Err(error) => return Err(error),
                }
            }
            let plan = self.plan.get();
            let on_disk = match plan.take_now(py, self.limit)? {
                Taken::Bytes(bytes) => return Err(PyStopIteration::new_err((bytes.unbind(),))),
                Taken::NotYet => false,
                Taken::OnDisk => true,
            };
            slept = Some(plan.wait(py, self.limit, on_disk)?.call_method0(intern!(py, "__await__"))?.unbind());
        }
    }
}

impl Steps {
    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Py<PyAny>>> {
        self.wait.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
