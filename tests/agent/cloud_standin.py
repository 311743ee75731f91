"""A stand-in for three clouds' services, on loopback: it answers as they publish that they do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "a-token"  # noqa: S105 - Of nobody.


class CloudStandIn(ThreadingHTTPServer):
    """`pages`: path → body; what is not there is 404. Headers are demanded as they demand them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.pages: dict[str, str] = {}
        self.asked: list[str] = []
        self.tokens = [TOKEN]  # Those that count.

    @property
    def at(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: CloudStandIn

    def do_PUT(self) -> None:
        is_token = self.path == "/latest/api/token"
        has_life = self.headers["X-aws-ec2-metadata-token-ttl-seconds"] is not None
        self._answer(200 if is_token and has_life else 400, self.server.tokens[-1])

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self._refusal:
            self._answer(self._refusal, "")
        elif self.path in self.server.pages:
            self._answer(200, self.server.pages[self.path])
        else:
            self._answer(404, "no such page")

    @property
    def _refusal(self) -> int:
        headers = self.headers
        if self.path.startswith("/latest/"):
            return 0 if headers["X-aws-ec2-metadata-token"] == self.server.tokens[-1] else 401
        wanted = "Metadata-Flavor" if self.path.startswith("/computeMetadata/") else "Metadata"
        return 0 if headers[wanted] in ("Google", "true") else 403

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - Its name there.
        pass


@contextmanager
def cloud() -> Iterator[CloudStandIn]:
    with CloudStandIn() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
