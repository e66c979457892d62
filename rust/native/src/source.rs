//! Upstream bodies, and the one place where fetch meets store.

use std::sync::Arc;

use bytes::Bytes;
use pyo3::prelude::*;
use pyregistry_fetch::{BodySource, Tally};
use pyregistry_store::{self as store, Begun, Failure};
use tokio::sync::Mutex;

use crate::errors::failure;

/// One upstream body that can be asked for from any offset.
#[pyclass(frozen, module = "pyregistry._native")]
pub(crate) struct Source {
    body: Arc<Mutex<BodySource>>,
    tally: Arc<Tally>,
}

impl Source {
    pub(crate) fn new(body: BodySource) -> Self {
        let tally = body.tally();
        Self { body: Arc::new(Mutex::new(body)), tally }
    }

    /// The body as the store wants it.
    pub(crate) fn body(&self) -> Body {
        Body(self.body.clone())
    }
}

#[pymethods]
impl Source {
    #[getter]
    fn received(&self) -> u64 {
        self.tally.received()
    }

    #[getter]
    fn statuses(&self) -> Vec<u16> {
        self.tally.statuses()
    }
}

/// A fetched body as a store's source. Taken for one piece at a time: a run that was cancelled leaves it free at once.
pub(crate) struct Body(Arc<Mutex<BodySource>>);

impl store::Source for Body {
    async fn begin(&mut self, offset: u64) -> Result<Begun, Failure> {
        let size = self.0.lock().await.begin(offset).await.map_err(|error| failure(&error))?;
        Ok(Begun { size })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        self.0.lock().await.next().await.map_err(|error| failure(&error))
    }
}
