"""The configuration: `model` says what can be set, `loading` where settings come from."""

from pyregistry.config.loading import load, upstream_flags
from pyregistry.config.model import (
    BreakerConfig,
    Config,
    FillConfig,
    FreshnessConfig,
    HttpConfig,
    LogConfig,
    MetricsConfig,
    MirrorConfig,
    PolicyConfig,
    StorageConfig,
    TagFreshness,
    TlsConfig,
    UpstreamConfig,
)
from pyregistry.config.problems import ConfigError
from pyregistry.config.values import split_address

__all__ = [
    "BreakerConfig",
    "Config",
    "ConfigError",
    "FillConfig",
    "FreshnessConfig",
    "HttpConfig",
    "LogConfig",
    "MetricsConfig",
    "MirrorConfig",
    "PolicyConfig",
    "StorageConfig",
    "TagFreshness",
    "TlsConfig",
    "UpstreamConfig",
    "load",
    "split_address",
    "upstream_flags",
]
