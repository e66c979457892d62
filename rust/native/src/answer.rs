//! Small answers.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyregistry_fetch as fetch;

/// A small answer, held whole.
#[pyclass(frozen, module = "pyregistry._native")]
pub(crate) struct Answer(pub(crate) fetch::Answer);

#[pymethods]
impl Answer {
    #[getter]
    fn status(&self) -> u16 {
        self.0.status
    }

    #[getter]
    fn headers(&self) -> Vec<(&str, String)> {
        self.0.headers.iter().map(|(name, value)| (name.as_str(), text(value.as_bytes()))).collect()
    }

    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.body)
    }

    #[getter]
    fn url(&self) -> String {
        self.0.url.to_string()
    }

    fn header(&self, name: &str) -> Option<String> {
        self.0.headers.get(name).map(|value| text(value.as_bytes()))
    }
}

/// Header values are bytes; Latin-1 loses none of them.
fn text(value: &[u8]) -> String {
    value.iter().copied().map(char::from).collect()
}
