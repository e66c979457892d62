//! Upstream bodies, and the one place where fetch meets store.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use pyo3::prelude::*;
use pyregistry_fetch::{BodySource, Tally};
use pyregistry_store::{self as store, Begun, Failure, Route};
use tokio::sync::Mutex;

use crate::awaitable::awaitable;
use crate::errors::failure;

/// One upstream body that can be asked for from any offset.
#[pyclass(frozen, module = "pyregistry._native")]
pub(crate) struct Source {
    body: Arc<Mutex<BodySource>>,
    /// Never begun: what further connections are made from.
    rest: Arc<BodySource>,
    tally: Arc<Tally>,
    route: Route,
}

impl Source {
    pub(crate) fn new(body: BodySource, places: Option<Vec<u64>>, background: Arc<AtomicBool>) -> Self {
        let (tally, rest) = (body.tally(), Arc::new(body.fork()));
        let route = Route { host: body.host(), places: places.map(Arc::from), background };
        Self { body: Arc::new(Mutex::new(body)), rest, tally, route }
    }

    /// The body as the store wants it.
    pub(crate) fn body(&self) -> Body {
        Body { open: self.body.clone(), rest: self.rest.clone(), route: self.route.clone() }
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

    fn limited<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let tally = Arc::clone(&self.tally);
        awaitable(py, async move { Ok::<_, Failure>(tally.limited().await) })
    }
}

/// A fetched body as a store's source. Taken for one piece at a time: a run that was cancelled leaves it free at once.
pub(crate) struct Body {
    open: Arc<Mutex<BodySource>>,
    rest: Arc<BodySource>,
    route: Route,
}

impl store::Source for Body {
    type Fork = Self;

    async fn begin(&mut self, offset: u64) -> Result<Begun, Failure> {
        let size = self.open.lock().await.begin(offset).await.map_err(|error| failure(&error))?;
        Ok(Begun { size, whole: false })
    }

    async fn begin_range(&mut self, offset: u64, end: u64) -> Result<Begun, Failure> {
        let begun = self.open.lock().await.begin_range(offset, end).await;
        let (size, whole) = begun.map_err(|error| failure(&error))?;
        Ok(Begun { size, whole })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        self.open.lock().await.next().await.map_err(|error| failure(&error))
    }

    fn stop(&mut self) {
        // Nobody has it: a call under way was dropped.
        if let Ok(mut body) = self.open.try_lock() {
            body.stop();
        }
    }

    fn fork(&self) -> Option<Self> {
        let open = Arc::new(Mutex::new(self.rest.fork()));
        Some(Self { open, rest: self.rest.clone(), route: self.route.clone() })
    }

    fn route(&self) -> Route {
        self.route.clone()
    }
}
