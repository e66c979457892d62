//! How finished work gets back to an event loop.
//!
//! A tokio thread never waits for the interpreter: it leaves the outcome in the loop's mailbox and rings an eventfd that
//! the loop watches; the loop empties the mailbox, one ring for all that came meanwhile. A loop that is closed just does
//! not look any more: nothing fails, nothing is printed.

use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::eventfd::{EfdFlags, EventFd};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyAny;

/// What an asyncio future is completed with, made while attached.
pub(crate) type Outcome = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// Outcomes that wait for one event loop.
pub(crate) struct Mailbox {
    bell: EventFd,
    letters: Mutex<Vec<(Py<PyAny>, Outcome)>>,
}

/// The loops that have a mailbox. Closed ones are dropped when the next loop comes, so there is one too many at most.
static MAILBOXES: Mutex<Vec<(Py<PyAny>, Arc<Mailbox>)>> = Mutex::new(Vec::new());

/// The running event loop and its mailbox.
pub(crate) fn of_running_loop(py: Python<'_>) -> PyResult<(Bound<'_, PyAny>, Arc<Mailbox>)> {
    static GET_RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let event_loop = GET_RUNNING_LOOP.import(py, "asyncio", "get_running_loop")?.call0()?;
    let known = lock(&MAILBOXES).iter().find(|(owner, _)| owner.is(&event_loop)).map(|(_, mailbox)| mailbox.clone());
    if let Some(mailbox) = known {
        return Ok((event_loop, mailbox));
    }
    let mailbox = Arc::new(Mailbox {
        bell: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|errno| PyErr::from(std::io::Error::from(errno)))?,
        letters: Mutex::default(),
    });
    let postman = Postman(mailbox.clone()).into_pyobject(py)?;
    event_loop.call_method1(intern!(py, "add_reader"), (mailbox.bell.as_raw_fd(), postman))?;
    forget_closed(py)?;
    lock(&MAILBOXES).push((event_loop.clone().unbind(), mailbox.clone()));
    Ok((event_loop, mailbox))
}

/// Drops the mailboxes of loops that are closed, and the letters in them: they hold futures, which hold the loop.
fn forget_closed(py: Python<'_>) -> PyResult<()> {
    // Asked outside the lock: `is_closed` is Python, and may let other threads run.
    let known: Vec<_> =
        lock(&MAILBOXES).iter().map(|(owner, mailbox)| (owner.clone_ref(py), mailbox.clone())).collect();
    let mut closed = Vec::new();
    for (owner, mailbox) in known {
        if owner.call_method0(py, intern!(py, "is_closed"))?.is_truthy(py)? {
            drop(std::mem::take(&mut *lock(&mailbox.letters)));
            closed.push(owner);
        }
    }
    lock(&MAILBOXES).retain(|(owner, _)| !closed.iter().any(|gone| gone.is(owner)));
    Ok(())
}

impl Mailbox {
    /// Leaves the outcome of `future`. Needs no interpreter.
    pub(crate) fn post(&self, future: Py<PyAny>, outcome: Outcome) {
        let mut letters = lock(&self.letters);
        letters.push((future, outcome));
        if letters.len() == 1 {
            drop(letters);
            // Fails only where the counter is full, and then the bell rings already.
            let _ = self.bell.write(1);
        }
    }

    fn deliver(&self, py: Python<'_>) {
        // Answered before the letters are taken: a later letter rings again. Fails only where nobody rang.
        let _ = self.bell.read();
        let letters = std::mem::take(&mut *lock(&self.letters));
        for (future, outcome) in letters {
            if let Err(error) = complete(future.bind(py), outcome) {
                // One future's trouble must not keep the others waiting.
                error.write_unraisable(py, Some(future.bind(py)));
            }
        }
    }
}

/// Completes an asyncio future, unless it was cancelled meanwhile. Runs on the loop's own thread.
pub(crate) fn complete(future: &Bound<'_, PyAny>, outcome: Outcome) -> PyResult<()> {
    let py = future.py();
    if future.call_method0(intern!(py, "done"))?.is_truthy()? {
        return Ok(());
    }
    match outcome(py) {
        Ok(value) => future.call_method1(intern!(py, "set_result"), (value,))?,
        Err(error) => future.call_method1(intern!(py, "set_exception"), (error,))?,
    };
    Ok(())
}

/// The callable that the loop runs when the bell rang.
#[pyclass(frozen)]
struct Postman(Arc<Mailbox>);

#[pymethods]
impl Postman {
    fn __call__(&self, py: Python<'_>) {
        self.0.deliver(py);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
