"""Serve the folder of a lab repository over HTTP: `server.py FOLDER ADDRESS PORT`. Paths asked for go to access.log."""

from __future__ import annotations

import functools
import http.server
import sys
from pathlib import Path


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        with Path(self.directory, "access.log").open("a") as log:
            log.write(f"{int(code)} {self.path}\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name the base class gives it
        """Say nothing: log_request keeps what tests need."""


if __name__ == "__main__":
    folder, address, port = sys.argv[1:]
    handler = functools.partial(Handler, directory=folder)
    http.server.ThreadingHTTPServer((address, int(port)), handler).serve_forever()
