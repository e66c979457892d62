//! Python bindings: conversion only. One file per noun of `pyregistry/_native.pyi`; `awaitable` and `mailbox` are how
//! work on tokio is awaited from asyncio.

mod answer;
mod awaitable;
mod budget;
mod client;
mod errors;
mod fill;
mod lock;
mod mailbox;
mod plan;
mod range;
mod reader;
mod runtime;
mod seconds;
mod source;
mod store;
mod upload;

/// The module `pyregistry._native`.
#[pyo3::pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::answer::Answer;
    #[pymodule_export]
    use crate::budget::Budget;
    #[pymodule_export]
    use crate::client::Client;
    #[pymodule_export]
    use crate::fill::{Fill, FillStatus, fills};
    #[pymodule_export]
    use crate::lock::Lock;
    #[pymodule_export]
    use crate::plan::Plan;
    #[pymodule_export]
    use crate::range::parse_range;
    #[pymodule_export]
    use crate::reader::Reader;
    #[pymodule_export]
    use crate::source::Source;
    #[pymodule_export]
    use crate::store::Store;
    #[pymodule_export]
    use crate::upload::Upload;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("DEBUG_BUILD", cfg!(debug_assertions))?;
        module.add("MAX_RANGES", pyregistry_store::range::MAX_RANGES)
    }
}
