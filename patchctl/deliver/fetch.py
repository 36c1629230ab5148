"""Brings artefacts into the controller's cache: by HTTP from where the plan says, else from a host that has them."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from patchctl.deliver.cache import CHUNK, ArtefactCache, ArtefactError
from patchctl.model.facts import Artefact
from patchctl.model.text import one_line

FromHost = Callable[[Artefact], Iterable[bytes]]
"""Reads an artefact back from a host that has it. Raise ArtefactError or HostError."""


class DownloadLimits(Struct, frozen=True):
    """Bounds of one download. Its size is bounded by the plan."""

    silence: float = 15.0
    """Seconds to connect, and without a byte."""
    total: float = 900.0
    """Seconds for one file."""


class Fetcher:
    """Fetches each artefact once, however many hosts ask at the same time. A source that did not answer is not
    asked again by this object.
    """

    def __init__(self, cache: ArtefactCache, limits: DownloadLimits = DownloadLimits()) -> None:
        self.cache = cache
        self.limits = limits
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._silent: dict[str, str] = {}

    def fetch(self, artefact: Artefact, from_host: FromHost | None = None) -> None:
        """Have the artefact in the cache afterwards. Raise ArtefactError saying what every source answered."""
        with self._guard:
            lock = self._locks.setdefault(artefact.sha256, threading.Lock())
        with lock:
            if self.cache.has(artefact.sha256):
                return
            try:
                self._download(artefact)
            except ArtefactError as error:
                if from_host is None:
                    raise
                try:
                    self.cache.add(artefact.sha256, from_host(artefact), artefact.size)
                except ArtefactError as second:
                    message = f"{error.message}; from the host: {second.message}"
                    raise ArtefactError(second.code, message, second.hint) from second
            self.cache.note(artefact)

    def _download(self, artefact: Artefact) -> None:
        place = urlsplit(artefact.uri)
        if place.scheme not in ("http", "https") or not place.hostname:
            raise ArtefactError("artefact-download", f"{artefact.filename}: no http or https address in the plan")
        server = place.netloc.rpartition("@")[2]
        if server in self._silent:
            raise ArtefactError("artefact-download", f"{server}: {self._silent[server]}")
        try:
            self.cache.add(artefact.sha256, read_http(artefact.uri, self.limits), artefact.size)
        except ArtefactError as error:
            if error.code == "artefact-unreachable":
                self._silent[server] = error.message
            message = f"{artefact.filename} from {server}: {error.message}"
            raise ArtefactError(error.code, message, error.hint) from error


def fetch_artefacts(
    artefacts: Iterable[Artefact], fetcher: Fetcher, from_host: FromHost | None = None
) -> Mapping[str, ArtefactError]:
    """Fetch what is not in the cache yet; return the errors by SHA-256 (none = all are there)."""
    errors: dict[str, ArtefactError] = {}
    for artefact in artefacts:
        try:
            fetcher.fetch(artefact, from_host)
        except ArtefactError as error:
            errors[artefact.sha256] = error
    return errors


class _Redirects(urllib.request.HTTPRedirectHandler):
    """The standard one, with fewer steps; it follows http, https and ftp only."""

    max_redirections = 5
    max_repeats = 2


def read_http(uri: str, limits: DownloadLimits) -> Iterator[bytes]:
    """Yield the body of an http or https address; proxies as the environment says (http_proxy, no_proxy).

    Raise ArtefactError: artefact-unreachable when no answer came, artefact-download when it was not the file.
    """
    deadline = time.monotonic() + limits.total
    opener = urllib.request.build_opener(_Redirects)
    try:
        headers = {"User-Agent": "patchctl", "Accept-Encoding": "identity"}
        request = urllib.request.Request(uri, headers=headers)  # noqa: S310 - the caller admits http and https only
        with opener.open(request, timeout=limits.silence) as answer:
            expected = answer.headers.get("Content-Length", "")
            total = 0
            # read1: what is there now, so that a trickle of single bytes meets the deadline and not a full chunk
            while chunk := answer.read1(CHUNK):
                total += len(chunk)
                yield chunk
                if time.monotonic() > deadline:
                    raise ArtefactError("artefact-download", f"not done after {limits.total:.0f} s ({total} bytes)")
            if expected.isdigit() and total != int(expected):
                raise ArtefactError("artefact-download", f"cut after {total} of {expected} bytes")
    except urllib.error.HTTPError as error:
        error.close()
        raise ArtefactError("artefact-download", one_line(f"HTTP {error.code} {error.reason}")) from error
    except (OSError, http.client.HTTPException) as error:  # URLError, timeouts and TLS errors are OSErrors
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise ArtefactError("artefact-unreachable", one_line(str(reason))) from error
