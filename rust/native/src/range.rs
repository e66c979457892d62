//! Range headers.

use pyo3::pyfunction;
use pyregistry_store::range;

/// Byte ranges of a Range header for a body of `size` bytes (RFC 9110 section 14.1.2).
#[pyfunction]
pub(crate) fn parse_range(header: &str, size: u64) -> Option<Vec<(u64, u64)>> {
    range::parse(header, size)
}
