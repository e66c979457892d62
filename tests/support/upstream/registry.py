"""From a request to its answer: doors, contents, then faults."""

import threading
from collections.abc import Callable
from urllib.parse import urlencode

from tests.support.blobs import Blob
from tests.support.upstream.answers import Answer, document, error
from tests.support.upstream.contents import Repository, referrers_document
from tests.support.upstream.faults import Fault
from tests.support.upstream.requests import Kind, Place, Request
from tests.support.upstream.settings import Quota, Settings
from tests.support.upstream.tokens import Doors


class Registry:
    def __init__(self, settings: Settings, base_of: Callable[[Place], str]) -> None:
        self.settings = settings
        self.doors = Doors()
        self.repositories: dict[str, Repository] = {}
        self._base_of = base_of
        self._lock = threading.Lock()
        self._faults: dict[int, Fault] = {}
        self._spent: dict[int, int] = {}
        self._numbered = 0
        self._counted = 0

    def add_fault(self, fault: Fault) -> int:
        with self._lock:
            self._numbered += 1
            self._faults[self._numbered] = fault
            self._spent[self._numbered] = 0
            return self._numbered

    def remove_fault(self, number: int | None) -> None:
        with self._lock:
            for known in list(self._faults) if number is None else [number]:
                self._faults.pop(known, None)

    def spent(self, number: int) -> int:
        with self._lock:
            return self._spent[number]

    def reset_quota(self) -> None:
        with self._lock:
            self._counted = 0

    def repository(self, name: str) -> Repository:
        with self._lock:
            return self.repositories.setdefault(name, Repository())

    def answer(self, request: Request) -> Answer:
        settings = self.settings
        answer = self._answer(request, settings)
        answer.delay += settings.latency
        with self._lock:
            chosen = self._choose(request, answer)
        for fault in chosen:
            for action in fault.actions:
                action.apply(answer)
        return answer

    def _choose(self, request: Request, answer: Answer) -> list[Fault]:
        chosen, limited = [], False
        for number, fault in self._faults.items():
            if fault.times is not None and (limited or self._spent[number] >= fault.times):
                continue
            if fault.covers(request, answer):
                limited = limited or fault.times is not None
                self._spent[number] += 1
                chosen.append(fault)
        return chosen

    def _answer(self, request: Request, settings: Settings) -> Answer:
        if request.kind is Kind.UNKNOWN:
            return error(404, "NAME_UNKNOWN", "no such path")
        if request.kind is Kind.TOKEN:
            return self.doors.issue(request, settings.auth)
        if request.method not in ("GET", "HEAD"):
            return error(405, "UNSUPPORTED", "this upstream is read only")
        if request.target.startswith("/cdn/"):
            return self.doors.refuse_address(request) or self._blob(request)
        realm_place = getattr(settings.auth, "place", Place.REGISTRY)
        refusal = self.doors.challenge(request, settings, self._base_of(realm_place))
        if refusal is not None:
            return refusal
        if request.kind is Kind.PING:
            return document({})
        if request.kind is Kind.CATALOG:
            return document({"repositories": sorted(self.repositories)})
        if request.kind is Kind.BLOB:
            return self._blob_or_redirect(request, settings)
        return self._of_repository(request, settings)

    def _of_repository(self, request: Request, settings: Settings) -> Answer:
        repository = self.repositories.get(request.repository)
        if request.kind is Kind.REFERRERS:
            if not settings.referrers:
                return error(404, "UNSUPPORTED", "no referrers API")
            return _referrers(request, repository or Repository(), settings)
        if repository is None:
            return error(404, "NAME_UNKNOWN", request.repository)
        if request.kind is Kind.TAGS:
            return _tags(request, repository, settings)
        return self._manifest(request, repository, settings)

    def _manifest(self, request: Request, repository: Repository, settings: Settings) -> Answer:
        found = repository.manifest(request.reference, tag_schema=not settings.referrers)
        if found is None:
            return error(404, "MANIFEST_UNKNOWN", request.reference)
        headers = [("Content-Type", found.media_type), ("Docker-Content-Digest", found.digest)]
        if settings.quota is not None:
            left, limits = self._count(request, settings.quota)
            if left < 0:
                retry = settings.quota.retry_after
                hint = (("Retry-After", str(retry)),) if retry is not None else ()
                return error(429, "TOOMANYREQUESTS", "pull rate limit", (*limits, *hint))
            headers += limits
        return Answer(200, headers, found.manifest, found.digest)

    def _count(self, request: Request, quota: Quota) -> tuple[int, tuple[tuple[str, str], ...]]:
        with self._lock:
            self._counted += request.method == "GET"
            left = (quota.limit if quota.remaining is None else quota.remaining) - self._counted
        return left, (
            ("ratelimit-limit", f"{quota.limit};w={quota.window}"),
            ("ratelimit-remaining", f"{max(0, left)};w={quota.window}"),
            ("docker-ratelimit-source", "127.0.0.1"),
        )

    def _blob_or_redirect(self, request: Request, settings: Settings) -> Answer:
        redirect = settings.redirect
        if redirect is None or (request.method == "HEAD" and not redirect.heads):
            return self._blob(request)
        if self._find(request) is None:
            return error(404, "BLOB_UNKNOWN", request.reference)
        return self.doors.sign(request, settings, self._base_of(redirect.place))

    def _find(self, request: Request) -> Blob | None:
        repository = self.repositories.get(request.repository)
        return repository.blobs.get(request.reference) if repository else None

    def _blob(self, request: Request) -> Answer:
        found = self._find(request)
        if found is None:
            return error(404, "BLOB_UNKNOWN", request.reference)
        headers = [("Content-Type", "application/octet-stream"), ("ETag", f'"{found.digest}"')]
        if request.place is Place.REGISTRY:
            headers.append(("Docker-Content-Digest", found.digest))
        answer = Answer(200, headers, found.data, found.digest)
        answer.choose(request)
        return answer


def _tags(request: Request, repository: Repository, settings: Settings) -> Answer:
    query = request.parameters
    tags = sorted(tag for tag in repository.tags if tag > query.get("last", ""))
    limit = int(query["n"]) if "n" in query else settings.tags_page
    page = tags if limit is None else tags[:limit]
    answer = document({"name": request.repository, "tags": page})
    if page and len(page) < len(tags):
        rest = urlencode({"n": limit, "last": page[-1]})
        answer.headers.append(("Link", f'</v2/{request.repository}/tags/list?{rest}>; rel="next"'))
    return answer


def _referrers(request: Request, repository: Repository, settings: Settings) -> Answer:
    query = request.parameters
    wanted = query.get("artifactType")
    found = repository.referrers(request.reference, wanted)
    begin = int(query.get("offset", "0"))
    end = begin + (settings.referrers_page or len(found))
    answer = document(referrers_document(found[begin:end]), "application/vnd.oci.image.index.v1+json")
    if wanted is not None:
        answer.headers.append(("OCI-Filters-Applied", "artifactType"))
    if end < len(found):
        rest = urlencode({**query, "offset": end})
        path = f"/v2/{request.repository}/referrers/{request.reference}"
        answer.headers.append(("Link", f'<{path}?{rest}>; rel="next"'))
    return answer
