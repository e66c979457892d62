//! The process's tokio runtime.

use std::process;
use std::sync::OnceLock;

use pyo3::PyResult;
use pyo3::exceptions::PyRuntimeError;
use tokio::runtime::{Builder, Handle, Runtime};

/// Network and timers only: hashing and files go to the blocking threads.
const WORKERS: usize = 2;
/// Blocking threads wait for disks (readers that miss the page cache, steps of fills) and for name servers, which can hang.
const BLOCKING: usize = 128;

static RUNTIME: OnceLock<(u32, Runtime)> = OnceLock::new();

/// The runtime, made at its first use: after a server forked its workers, not before. It ends with the process.
pub(crate) fn handle() -> PyResult<&'static Handle> {
    if RUNTIME.get().is_none() {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(BLOCKING)
            .thread_name("pyregistry")
            .enable_all()
            .build()
            .map_err(|error| PyRuntimeError::new_err(format!("cannot start the native threads: {error}")))?;
        // A second thread may have been quicker; then this runtime ends again at once.
        if let Err((_, surplus)) = RUNTIME.set((process::id(), runtime)) {
            surplus.shutdown_background();
        }
    }
    let (made_in, runtime) =
        RUNTIME.get().ok_or_else(|| PyRuntimeError::new_err("the native threads did not start"))?;
    if *made_in != process::id() {
        // Its threads stayed behind in the parent: every wait would be for ever.
        return Err(PyRuntimeError::new_err(
            "this process was forked after the native threads began; fork before, or spawn",
        ));
    }
    Ok(runtime.handle())
}
