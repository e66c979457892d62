"""Upstreams that mean harm: answers without an end, and larger than they need be."""

import json
import time
from collections.abc import Callable

import pytest

from pyregistry.errors import Cause, Failure
from pyregistry.mirror import endpoint, token_realm
from pyregistry.mirror.upstream import Upstream
from tests.support.images import Image, image
from tests.support.upstream import Kind, Match, Reply, Slow, Tokens
from tests.support.upstream import Upstream as Scripted

Make = Callable[..., Upstream]
SUBJECT = "sha256:" + "5" * 64


async def test_a_manifest_that_drips_ends(make: Make, upstream: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte is progress; yet others wait for this answer, for the same digest in other repositories, too."""
    monkeypatch.setattr(endpoint, "DEADLINE", 0.5)
    upstream.add("app", image([1] * 200), "v1")
    upstream.always(Match("GET", Kind.MANIFEST), Slow(2000))
    began = time.monotonic()
    with pytest.raises(Failure) as caught:
        await make(progress_timeout="30s").get_manifest("app", "v1")
    assert caught.value.cause is Cause.TIMEOUT
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("size", [1000, 100_000])
async def test_a_token_fits_in_a_header(make: Make, upstream: Scripted, small_image: Image, size: int) -> None:
    upstream.add("app", small_image, "v1")
    upstream.configure(auth=Tokens())
    upstream.always(Match(kind=Kind.TOKEN), Reply(200, body=json.dumps({"token": "t" * size}).encode()))
    with pytest.raises(Failure) as caught:
        await make().get_manifest("app", "v1")
    assert caught.value.cause is (Cause.DENIED if size < token_realm._LONGEST else Cause.PROTOCOL)


async def test_referrers_have_an_end(make: Make, upstream: Scripted) -> None:
    """Pages that each lead to another, a few descriptors of some megabytes on each."""
    fat = {"mediaType": "a/b", "digest": SUBJECT, "size": 1, "annotations": {"x": "y" * (5 << 20)}}
    page = json.dumps({"schemaVersion": 2, "manifests": [fat]}).encode()
    for number in range(4):
        link = ("Link", f'</v2/app/referrers/{SUBJECT}?page={number}>; rel="next"')
        upstream.once(Match("GET", Kind.REFERRERS), Reply(200, headers=(link,), body=page))
    with pytest.raises(Failure) as caught:
        await make().referrers("app", SUBJECT)
    assert caught.value.cause is Cause.TOO_LARGE
