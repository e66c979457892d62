"""How values are written: what is read, what is refused, and that what is shown reads back."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pyregistry.config.values import (
    Address,
    Duration,
    OptionalAddress,
    RegistryName,
    Size,
    Timeout,
    Url,
    Workers,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
    split_address,
)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("60s", 60),
        ("250ms", 0.25),
        ("1h30m", 5400),
        ("30d", 2592000),
        ("1.5", 1.5),
        (90, 90),
        (0.5, 0.5),
        (" 5m ", 300),
    ],
)
def test_durations(written: object, seconds: float) -> None:
    assert TypeAdapter(Duration).validate_python(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize("written", [-5, "-5", -0.1])
def test_a_negative_duration(written: object) -> None:
    with pytest.raises(ValidationError, match="it is negative"):
        TypeAdapter(Duration).validate_python(written)


def test_no_time_to_wait() -> None:
    """`stall_timeout: 0` would drop every client, and look for them without a pause."""
    assert TypeAdapter(Duration).validate_python(0) == timedelta(0)
    with pytest.raises(ValidationError, match="in no time"):
        TypeAdapter(Timeout).validate_python("0s")


@pytest.mark.parametrize("written", ["soon", "5 m", "5x", "", "-5s", -5, True, "1e400", "nan", 1e300])
def test_no_durations(written: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Duration).validate_python(written)


@given(st.integers(0, 10**12))
def test_a_duration_reads_back(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("written", "count"),
    [("2GiB", 2 << 30), ("500MB", 500_000_000), ("64k", 64_000), ("1.5KiB", 1536), ("7", 7), (7, 7), ("0", 0)],
)
def test_sizes(written: object, count: int) -> None:
    assert TypeAdapter(Size).validate_python(written) == count


@pytest.mark.parametrize("written", ["much", "-1", -1, "5 apples", ""])
def test_no_sizes(written: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Size).validate_python(written)


@given(st.integers(0, 1 << 50))
def test_a_size_reads_back(count: int) -> None:
    assert parse_size(format_size(count)) == count


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:5000", ("127.0.0.1", 5000)),
        ("[::1]:5000", ("::1", 5000)),
        (":5000", ("0.0.0.0", 5000)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_addresses(address: str, parts: tuple[str, int]) -> None:
    assert split_address(TypeAdapter(Address).validate_python(address)) == parts


@pytest.mark.parametrize("address", ["127.0.0.1", "::1:5000", "host:", "host:port", "host:70000", "host:٣"])
def test_no_addresses(address: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Address).validate_python(address)


@pytest.mark.parametrize("written", ["off", "", False, None])
def test_an_address_can_be_off(written: object) -> None:
    assert TypeAdapter(OptionalAddress).validate_python(written) is None


@pytest.mark.parametrize(
    "url", ["ftp://host", "ghcr.io", "https://", "https://u:p@host", "https://host?x", "https://host#x"]
)
def test_no_base_urls(url: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Url).validate_python(url)


def test_registry_names_have_no_case() -> None:
    assert TypeAdapter(RegistryName).validate_python("GHCR.io") == "ghcr.io"


@pytest.mark.parametrize("name", ["", "a b", "a/b", ".a", "a:port", "a:123456", "ü.de"])
def test_no_registry_names(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(RegistryName).validate_python(name)


@pytest.mark.parametrize(("written", "workers"), [("auto", "auto"), ("4", 4), (1, 1)])
def test_workers(written: object, workers: object) -> None:
    assert TypeAdapter(Workers).validate_python(written) == workers


@pytest.mark.parametrize("written", [0, 257, "many", "", True, 1.5])
def test_no_workers(written: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Workers).validate_python(written)
