//! The content store.

use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyregistry_store::{self as store, Abandon, Config, Digest, Failure, FillOnRange};

use crate::awaitable::{awaitable, awaitable_at_once};
use crate::errors::Raise;
use crate::fill::Fill;
use crate::lock::Lock;
use crate::plan::Plan;
use crate::reader::Reader;
use crate::runtime;
use crate::seconds::duration;
use crate::source::Source;
use crate::upload::{self, Upload};

/// One process's view of a storage root. Content only: facts live in the metadata database.
#[pyclass(frozen, module = "pyregistry._native")]
pub(crate) struct Store(store::Store);

#[pymethods]
impl Store {
    #[new]
    #[pyo3(signature = (root, *, reserve=2_147_483_648, abandon_min_sent=1_048_576, abandon_fraction=0.5, abandon_remaining=67_108_864, fill_on_range=0.5, connections=8, failure_seconds=1.0))]
    #[expect(clippy::too_many_arguments, reason = "keyword-only in Python")]
    fn new(
        py: Python<'_>,
        root: PathBuf,
        reserve: u64,
        abandon_min_sent: u64,
        abandon_fraction: f64,
        abandon_remaining: u64,
        fill_on_range: Option<f64>,
        connections: usize,
        failure_seconds: f64,
    ) -> PyResult<Self> {
        let config = Config {
            root,
            reserve,
            abandon: Abandon { min_sent: abandon_min_sent, fraction: abandon_fraction, remaining: abandon_remaining },
            fill_on_range: fill_on_range.map_or(FillOnRange::Never, FillOnRange::After),
            connections,
            failure_ttl: duration("failure_seconds", failure_seconds)?,
        };
        let runtime = runtime::handle()?.clone();
        py.detach(|| store::Store::open(config, runtime)).map(Self).map_err(|failure| failure.raise(py))
    }

    #[pyo3(signature = (digest, size=None))]
    fn committed(&self, py: Python<'_>, digest: &str, size: Option<u64>) -> PyResult<Option<Reader>> {
        let found = self.0.committed(&parse(digest)?, size).map_err(|failure| failure.raise(py))?;
        Ok(found.map(Reader::new))
    }

    fn in_flight(&self, py: Python<'_>, digest: &str) -> PyResult<bool> {
        self.0.in_flight(&parse(digest)?).map_err(|failure| failure.raise(py))
    }

    #[pyo3(signature = (digest, first=None, *, background=false))]
    fn attach(&self, py: Python<'_>, digest: &str, first: Option<(u64, u64)>, background: bool) -> PyResult<Reader> {
        let digest = parse(digest)?;
        let attached = match first {
            Some((start, end)) => self.0.attach_range(&digest, start..end),
            None if background => self.0.attach_background(&digest),
            None => self.0.attach(&digest),
        };
        attached.map(Reader::new).map_err(|failure| failure.raise(py))
    }

    fn wanted(&self, digest: &str) -> PyResult<bool> {
        Ok(self.0.wanted(&parse(digest)?))
    }

    fn own_or_follow<'py>(&self, py: Python<'py>, digest: &str) -> PyResult<Bound<'py, PyAny>> {
        let owned = self.0.own_or_follow(&parse(digest)?).map_err(|busy| busy.raise(py))?;
        awaitable(py, async move { Ok::<_, Failure>(owned.await?.map(Fill::new)) })
    }

    fn pass_through(&self, source: &Source, digest: &str) -> PyResult<Plan> {
        Ok(Plan::new(self.0.pass_through(source.body(), &parse(digest)?)))
    }

    fn lock<'py>(&self, py: Python<'py>, key: u64) -> PyResult<Bound<'py, PyAny>> {
        let held = self.0.lock(key);
        awaitable_at_once(py, async move { held.await.map(Lock::new) })
    }

    fn try_lock(&self, py: Python<'_>, key: u64) -> PyResult<Option<Lock>> {
        Ok(self.0.try_lock(key).map_err(|failure| failure.raise(py))?.map(Lock::new))
    }

    fn remove(&self, py: Python<'_>, digest: &str) -> PyResult<bool> {
        let digest = parse(digest)?;
        py.detach(|| self.0.remove(&digest)).map_err(|failure| failure.raise(py))
    }

    fn clean<'py>(&self, py: Python<'py>, older_than: f64) -> PyResult<Bound<'py, PyAny>> {
        let (store, older_than) = (self.0.clone(), duration("older_than", older_than)?);
        awaitable(py, async move {
            let gone = store.clean(older_than).await?;
            Ok::<_, Failure>(gone.iter().map(ToString::to_string).collect::<Vec<_>>())
        })
    }

    #[pyo3(signature = (session, algorithm="sha256"))]
    fn begin_upload(&self, py: Python<'_>, session: &str, algorithm: &str) -> PyResult<Upload> {
        let (session, algorithm) = (upload::session(session)?, upload::algorithm(algorithm)?);
        let begun = py.detach(|| self.0.begin_upload(&session, algorithm)).map_err(|failure| failure.raise(py))?;
        Ok(Upload::new(begun))
    }

    fn open_upload(&self, py: Python<'_>, session: &str) -> PyResult<Option<Upload>> {
        let session = upload::session(session)?;
        let opened = py.detach(|| self.0.open_upload(&session)).map_err(|failure| failure.raise(py))?;
        Ok(opened.map(Upload::new))
    }

    fn upload_offset(&self, py: Python<'_>, session: &str) -> PyResult<Option<u64>> {
        let session = upload::session(session)?;
        py.detach(|| self.0.upload_offset(&session)).map_err(|failure| failure.raise(py))
    }

    fn remove_upload(&self, py: Python<'_>, session: &str) -> PyResult<bool> {
        let session = upload::session(session)?;
        py.detach(|| self.0.remove_upload(&session)).map_err(|failure| failure.raise(py))
    }

    fn uploads(&self, py: Python<'_>) -> PyResult<Vec<(String, f64)>> {
        let uploads = py.detach(|| self.0.uploads()).map_err(|failure| failure.raise(py))?;
        Ok(uploads.into_iter().map(|(session, age)| (session.to_string(), age.as_secs_f64())).collect())
    }

    #[pyo3(signature = (after="", limit=1000))]
    fn blobs(&self, py: Python<'_>, after: &str, limit: usize) -> PyResult<Vec<(String, f64)>> {
        let after = (!after.is_empty()).then(|| parse(after)).transpose()?;
        let blobs = py.detach(|| self.0.blobs(after.as_ref(), limit)).map_err(|failure| failure.raise(py))?;
        Ok(blobs.into_iter().map(|(digest, age)| (digest.to_string(), age.as_secs_f64())).collect())
    }

    fn free_bytes(&self, py: Python<'_>) -> PyResult<u64> {
        self.0.free_bytes().map_err(|failure| failure.raise(py))
    }

    fn owned(&self) -> usize {
        self.0.owned()
    }

    fn close<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let store = self.0.clone();
        awaitable(py, async move {
            store.close().await;
            // `()` would be an empty tuple.
            Ok::<_, Failure>(None::<()>)
        })
    }
}

fn parse(digest: &str) -> PyResult<Digest> {
    Digest::parse(digest).map_err(|malformed| PyValueError::new_err(malformed.to_string()))
}
