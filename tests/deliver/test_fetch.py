"""Downloads from a server on loopback that behaves, lies, stalls and vanishes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from patchctl.deliver.cache import ArtefactCache, ArtefactError
from patchctl.deliver.fetch import DownloadLimits, Fetcher, fetch_artefacts
from patchctl.model.facts import Artefact

BODY = b"deb" * 100_000
SHA = hashlib.sha256(BODY).hexdigest()


class Mirror(ThreadingHTTPServer):
    """Counts requests per path; `release` lets stalled answers end."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.requests: list[str] = []
        self.release = threading.Event()

    def artefact(self, path: str, sha: str = SHA, size: int = len(BODY)) -> Artefact:
        uri = f"http://127.0.0.1:{self.server_address[1]}{path}"
        return Artefact("a", "1", "amd64", sha, size, "a_1_amd64.deb", uri)


class Answers(BaseHTTPRequestHandler):
    server: Mirror

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
        elif self.path.startswith("/moved"):
            self.send_response(302)
            step = int(self.path[6:])
            self.send_header("Location", f"/moved{step - 1}" if step else "/good")
            self.end_headers()
        elif self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
        elif self.path == "/hang":
            self.server.release.wait(20)
        else:
            body = {"/wrong": b"x" * len(BODY), "/longer": BODY + b"more"}.get(self.path, BODY)
            self.send_response(200)
            if self.path != "/endless":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.path == "/cut":
                body = body[:1000]
            self.wfile.write(body)
            if self.path == "/trickle":
                self.server.release.wait(20)
            while self.path == "/endless":
                self.wfile.write(body)


@pytest.fixture()
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Mirror()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture()
def cache(tmp_path: Path) -> ArtefactCache:
    return ArtefactCache(tmp_path / "cache")


def files(cache: ArtefactCache) -> list[str]:
    return [path.name for path in cache.folder.rglob("*") if path.is_file()]


def test_every_artefact_is_downloaded_once_however_many_ask(mirror: Mirror, cache: ArtefactCache) -> None:
    fetcher = Fetcher(cache)
    artefact = mirror.artefact("/good")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: fetcher.fetch(artefact), range(40)))
    assert mirror.requests == ["/good"]
    assert b"".join(cache.read(SHA)) == BODY


@pytest.mark.parametrize(("path", "code"), [
    ("/wrong", "artefact-damaged"), ("/cut", "artefact-download"), ("/missing", "artefact-download"),
    ("/longer", "artefact-size"), ("/endless", "artefact-size"), ("/moved9", "artefact-download"),
    ("/elsewhere", "artefact-download"),
])
def test_what_is_not_the_file_is_refused_and_leaves_nothing(
    mirror: Mirror, cache: ArtefactCache, path: str, code: str
) -> None:
    with pytest.raises(ArtefactError) as caught:
        Fetcher(cache).fetch(mirror.artefact(path))
    assert caught.value.code == code, caught.value.message
    assert "a_1_amd64.deb" in caught.value.message
    assert files(cache) == []


def test_a_few_redirects_are_followed(mirror: Mirror, cache: ArtefactCache) -> None:
    Fetcher(cache).fetch(mirror.artefact("/moved2"))
    assert cache.has(SHA)


def test_a_silent_server_is_given_up_and_not_asked_again(mirror: Mirror, cache: ArtefactCache) -> None:
    fetcher = Fetcher(cache, DownloadLimits(silence=0.3))
    other = hashlib.sha256(b"other").hexdigest()
    wanted = [mirror.artefact("/hang"), mirror.artefact("/good", other, 5)]
    errors = fetch_artefacts(wanted, fetcher)
    assert [error.code for error in errors.values()] == ["artefact-unreachable", "artefact-download"]
    assert mirror.requests == ["/hang"]


def test_a_trickle_meets_the_deadline(mirror: Mirror, cache: ArtefactCache) -> None:
    fetcher = Fetcher(cache, DownloadLimits(silence=0.3, total=0.0))
    with pytest.raises(ArtefactError):
        fetcher.fetch(mirror.artefact("/trickle", size=2 * len(BODY)))
    assert files(cache) == []


def test_a_host_stands_in_for_a_mirror_that_has_moved_on(mirror: Mirror, cache: ArtefactCache) -> None:
    asked: list[str] = []

    def from_host(artefact: Artefact) -> Iterator[bytes]:
        asked.append(artefact.package)
        yield BODY[:7]
        yield BODY[7:]

    fetcher = Fetcher(cache)
    fetcher.fetch(mirror.artefact("/missing"), from_host)
    fetcher.fetch(mirror.artefact("/missing"), from_host)
    assert asked == ["a"]
    with pytest.raises(ArtefactError, match=r"404.*from the host"):
        Fetcher(ArtefactCache(cache.folder / "other")).fetch(mirror.artefact("/missing"), lambda _: [b"wrong"])


def test_addresses_other_than_http_are_never_opened(cache: ArtefactCache, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(BODY)
    for uri in (f"file://{secret}", str(secret), "", "ftp://127.0.0.1/x", "http://"):
        with pytest.raises(ArtefactError, match="no http or https address"):
            Fetcher(cache).fetch(Artefact("a", "1", "all", SHA, len(BODY), "a.deb", uri))
