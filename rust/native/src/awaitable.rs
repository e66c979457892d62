//! Awaiting tokio from asyncio.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{IntoPyObjectExt, intern};

use crate::errors::Raise;
use crate::mailbox::{self, Mailbox, Outcome};
use crate::runtime;

/// An asyncio future of the running loop with the outcome of `work`.
///
/// Cancelling it drops `work` before the `CancelledError` is seen by whoever awaited.
pub(crate) fn awaitable<'py, F, T, E>(py: Python<'py>, work: F) -> PyResult<Bound<'py, PyAny>>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: for<'a> IntoPyObject<'a> + Send + 'static,
    E: Raise + Send + 'static,
{
    let (event_loop, mailbox) = mailbox::of_running_loop(py)?;
    let future = event_loop.call_method0(intern!(py, "create_future"))?;
    begin(&future, mailbox, Box::pin(work))?;
    Ok(future)
}

/// Like `awaitable`, but looks first whether `work` is ready, which saves a hop to another thread and back.
/// Only for work whose first step is short.
pub(crate) fn awaitable_at_once<'py, F, T, E>(py: Python<'py>, work: F) -> PyResult<Bound<'py, PyAny>>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: for<'a> IntoPyObject<'a> + Send + 'static,
    E: Raise + Send + 'static,
{
    let (event_loop, mailbox) = mailbox::of_running_loop(py)?;
    let future = event_loop.call_method0(intern!(py, "create_future"))?;
    let mut work = Box::pin(work);
    let entered = runtime::handle()?.enter();
    let polled = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    drop(entered);
    match polled {
        Poll::Ready(result) => mailbox::complete(&future, outcome(result))?,
        Poll::Pending => begin(&future, mailbox, work)?,
    }
    Ok(future)
}

fn begin<F, T, E>(future: &Bound<'_, PyAny>, mailbox: Arc<Mailbox>, work: Pin<Box<F>>) -> PyResult<()>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: for<'a> IntoPyObject<'a> + Send + 'static,
    E: Raise + Send + 'static,
{
    let mut promise = Promise { mailbox, future: Some(future.clone().unbind()) };
    let slot = Arc::new(Slot(Mutex::new(Some(work))));
    let polled = slot.clone();
    let task = runtime::handle()?.spawn(async move {
        if let Some(result) = poll_fn(|context| polled.poll(context)).await {
            promise.keep(outcome(result));
        }
    });
    let on_done = OnDone { work: slot, task: task.abort_handle() };
    future.call_method1(intern!(future.py(), "add_done_callback"), (on_done,))?;
    Ok(())
}

fn outcome<T, E>(result: Result<T, E>) -> Outcome
where
    T: for<'a> IntoPyObject<'a> + Send + 'static,
    E: Raise + Send + 'static,
{
    Box::new(move |py| match result {
        Ok(value) => value.into_py_any(py),
        Err(error) => Err(error.raise(py)),
    })
}

/// Work that its task polls and that a cancelled future takes away.
struct Slot<F>(Mutex<Option<Pin<Box<F>>>>);

impl<F: Future> Slot<F> {
    /// Ready(None): it was taken away.
    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(work) = slot.as_mut() else { return Poll::Ready(None) };
        let polled = work.as_mut().poll(context).map(Some);
        if polled.is_ready() {
            *slot = None;
        }
        polled
    }
}

/// Something to drop at once, whatever it is.
trait Discard: Send + Sync {
    fn discard(&self);
}

impl<F: Send> Discard for Slot<F> {
    fn discard(&self) {
        let work = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(work);
    }
}

/// An asyncio future that must be completed, come what may.
struct Promise {
    mailbox: Arc<Mailbox>,
    future: Option<Py<PyAny>>,
}

impl Promise {
    fn keep(&mut self, outcome: Outcome) {
        if let Some(future) = self.future.take() {
            self.mailbox.post(future, outcome);
        }
    }
}

impl Drop for Promise {
    /// A panic, or a cancelled future, for which it is too late.
    fn drop(&mut self) {
        self.keep(Box::new(|_| {
            Err(PyRuntimeError::new_err("native work ended without an outcome: a bug; see stderr"))
        }));
    }
}

/// Called by asyncio when the future is done: by us, or because it was cancelled.
#[pyclass(frozen)]
struct OnDone {
    work: Arc<dyn Discard>,
    task: tokio::task::AbortHandle,
}

#[pymethods]
impl OnDone {
    fn __call__(&self, py: Python<'_>, _future: &Bound<'_, PyAny>) -> PyResult<()> {
        if !self.task.is_finished() {
            let entered = runtime::handle()?.enter();
            // A step of the work may be under way on its thread; it is short, and is waited for.
            py.detach(|| self.work.discard());
            drop(entered);
            self.task.abort();
        }
        Ok(())
    }
}
