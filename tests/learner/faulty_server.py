"""A real HTTP proxy before a real MLflow server, which can be told to fail."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["none", "down", "500", "slow"]
_OF_A_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


@dataclass
class Proxy:
    """Passes requests on, as its `fault` allows."""

    server: str
    uri: str = ""
    fault: Fault = "none"
    slow_s: float = 0.0
    slow_path: str = ""
    """With `slow`: only requests whose path ends like this."""
    refused: int = 0
    seen: list[str] = field(default_factory=list)


@contextmanager
def proxied(server: str) -> Iterator[Proxy]:
    """With a proxy before the server at that address."""
    proxy = Proxy(server)
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    listening.daemon_threads = True
    proxy.uri = f"http://127.0.0.1:{listening.server_address[1]}"
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        listening.shutdown()
        listening.server_close()


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        proxy = self.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        proxy.seen.append(self.path)
        if proxy.fault == "down":
            proxy.refused += 1
            self.close_connection = True
            return
        if proxy.fault == "500":
            proxy.refused += 1
            self._answer(500, [], b"Internal Server Error")
            return
        if proxy.fault == "slow" and self.path.endswith(proxy.slow_path):
            time.sleep(proxy.slow_s)
        status, headers, answer = self._asked(body)
        self._answer(status, headers, answer)

    def _asked(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = http.client.HTTPConnection(urlsplit(self.proxy.server).netloc, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _OF_A_HOP}
        upstream.request(self.command, self.path, body or None, headers)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        return answer.status, answer.getheaders(), content

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        try:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in _OF_A_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # who asked has given up

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Nothing: the tests look at what was seen."""


for _method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"):
    setattr(_Handler, f"do_{_method}", _Handler._pass_on)
