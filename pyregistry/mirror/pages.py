"""Paged lists of an upstream: tags, and referrers by API or tag schema (distribution spec: Content Discovery)."""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import TYPE_CHECKING

import orjson

from pyregistry.errors import Cause, Failure
from pyregistry.mirror.answers import refusal
from pyregistry.mirror.links import next_page
from pyregistry.oci.descriptors import InvalidDescriptor, parse_descriptor
from pyregistry.oci.media_types import OCI_INDEX
from pyregistry.oci.references import is_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyregistry._native import Answer
    from pyregistry.mirror.endpoint import Endpoint, RequestKind
    from pyregistry.oci.descriptors import Descriptor

#: Tags asked for at once: what distribution allows at most by default.
_PAGE = 1000
_MOST_PAGES = 10_000
_MOST_TAGS = 500_000
_MOST_REFERRERS = 20_000
#: Bytes of all pages: a descriptor's annotations may be as long as upstream likes, and are kept.
_MOST_BYTES: Mapping[RequestKind, int] = MappingProxyType({"tags": 128 << 20, "referrers": 16 << 20})
_ACCEPT = (("accept", OCI_INDEX),)
#: Above it JSON is parsed off the loop.
_LARGE = 256 << 10


async def list_tags(endpoint: Endpoint, path: str) -> list[str]:
    """Every tag of a repository, in the order upstream tells them. Raises Failure."""
    what = f"the tag list of {path} at {endpoint.where}"
    tags: dict[str, None] = {}
    url = endpoint.url(path, "tags/list") + f"?n={_PAGE}"
    first = await endpoint.request("tags", "GET", url, path)
    if first.status == 400:
        # More than it allows; its own choice will do.
        url = endpoint.url(path, "tags/list")
        first = await endpoint.request("tags", "GET", url, path)

    def take(document: Mapping[str, object]) -> None:
        listed = document.get("tags")
        # null in place of an empty list: Go's encoders.
        for tag in listed if isinstance(listed, list) else ():
            if isinstance(tag, str) and is_tag(tag):
                tags[tag] = None
        if len(tags) > _MOST_TAGS:
            raise Failure(Cause.TOO_LARGE, f"{what} has more than {_MOST_TAGS} tags")

    await _walk(endpoint, "tags", path, url, first, what=what, take=take)
    return list(tags)


async def list_referrers(endpoint: Endpoint, path: str, digest: str) -> list[Descriptor]:
    """Descriptors of the manifests whose subject is `digest`; none for a repository or subject unknown. Raises Failure.

    An upstream without the referrers API answers 404, or something else that is no index; then the tag schema counts.
    """
    what = f"the referrers of {digest} in {path} at {endpoint.where}"
    url = endpoint.url(path, f"referrers/{digest}")
    first = await endpoint.request("referrers", "GET", url, path, _ACCEPT)
    if first.status in {401, 403, 429} or first.status >= 500:
        raise refusal(first, what)
    if first.status != 200 or "html" in (first.header("content-type") or ""):
        algorithm, _, encoded = digest.partition(":")
        # The lengths are those of a tag (distribution spec, section Referrers Tag Schema).
        url = endpoint.url(path, f"manifests/{algorithm[:32]}-{encoded[:64]}")
        first = await endpoint.request("referrers", "GET", url, path, _ACCEPT)
        if first.status == 404:
            return []
    found: dict[str, Descriptor] = {}

    def take(document: Mapping[str, object]) -> None:
        listed = document.get("manifests")
        for entry in listed if isinstance(listed, list) else ():
            try:
                descriptor = parse_descriptor(entry)
            except InvalidDescriptor:
                continue
            found.setdefault(descriptor.digest, descriptor)
        if len(found) > _MOST_REFERRERS:
            raise Failure(Cause.TOO_LARGE, f"{what} are more than {_MOST_REFERRERS}")

    await _walk(endpoint, "referrers", path, url, first, what=what, take=take)
    return list(found.values())


async def _walk(
    endpoint: Endpoint,
    kind: RequestKind,
    path: str,
    url: str,
    answer: Answer,
    *,
    what: str,
    take: Callable[[Mapping[str, object]], None],
) -> None:
    """Gives `take` the page that `url` answered and those its Link leads to, until there is none or one seen before."""
    seen = {url}
    size = 0
    while True:
        if answer.status != 200:
            raise refusal(answer, what)
        size += len(answer.body)
        if size > _MOST_BYTES[kind]:
            raise Failure(Cause.TOO_LARGE, f"{what} takes more than {_MOST_BYTES[kind]} bytes")
        take(await _document(answer, what))
        following = next_page([value for name, value in answer.headers if name == "link"], url)
        if following is None or following in seen:
            return
        if len(seen) >= _MOST_PAGES:
            raise Failure(Cause.TOO_LARGE, f"{what} has more than {_MOST_PAGES} pages")
        url = following
        seen.add(url)
        answer = await endpoint.request(kind, "GET", url, path, _ACCEPT if kind == "referrers" else ())


async def _document(answer: Answer, what: str) -> dict[str, object]:
    try:
        if len(answer.body) > _LARGE:
            document = await asyncio.to_thread(orjson.loads, answer.body)
        else:
            document = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise Failure(Cause.PROTOCOL, f"{what} is no JSON object", status=answer.status)
    return document
