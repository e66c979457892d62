//! HTTP client to upstream registries. Knows no store.
