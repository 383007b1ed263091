"""`/metrics` for Prometheus, the same as JSON at `/metrics.json`, and `/healthz`."""

import json
import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from schemas.errors import UserError

Json = dict[str, Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Health:
    """Whether a process works; `facts` say what that was judged by."""

    well: bool
    facts: Json = field(default_factory=dict)


@contextmanager
def serving(
    registry: CollectorRegistry, health: Callable[[], Health], host: str, port: int
) -> Iterator[str]:
    """Serve until the block ends; gives the address. Port 0 takes a free one. Raises UserError."""
    handler = type("Handler", (_Handler,), {"registry": registry, "health": staticmethod(health)})
    try:
        server = ThreadingHTTPServer((host, port), handler)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"--metrics-port: expected an address to listen on, received {host}:{port}: "
            f"{getattr(error, 'strerror', None) or error}. Name another port, or 0 for any that "
            "is free."
        ) from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    address = f"http://{host}:{server.server_address[1]}"
    _log.info("metrics at %s/metrics", address)
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()


def as_json(registry: CollectorRegistry) -> Json:
    """Every metric by name: its help, its kind, and its samples with their labels."""
    return {
        family.name: {
            "help": family.documentation,
            "type": family.type,
            "samples": [
                {"name": one.name, "labels": one.labels, "value": _number(one.value)}
                for one in family.samples
            ],
        }
        for family in registry.collect()
    }


def _number(value: float) -> float | None:
    """JSON has no word for what is no finite number."""
    return value if math.isfinite(value) else None


class _Handler(BaseHTTPRequestHandler):
    """Answers GET; its registry and its health are those of a subclass."""

    registry: CollectorRegistry
    health: Callable[[], Health]
    timeout = 10.0

    def do_GET(self) -> None:
        """One page a path."""
        pages = {"/metrics": self._metrics, "/metrics.json": self._json, "/healthz": self._healthz}
        page = pages.get(self.path.partition("?")[0])
        if page is None:
            known = ", ".join(pages)
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", f"{known}\n".encode())
            return
        self._answer(*page())

    def _metrics(self) -> tuple[HTTPStatus, str, bytes]:
        encode, kind = choose_encoder(self.headers.get("Accept", ""))
        return HTTPStatus.OK, kind, encode(self.registry)

    def _json(self) -> tuple[HTTPStatus, str, bytes]:
        text = json.dumps(as_json(self.registry), indent=1)
        return HTTPStatus.OK, "application/json", text.encode()

    def _healthz(self) -> tuple[HTTPStatus, str, bytes]:
        health = self.health()
        status = HTTPStatus.OK if health.well else HTTPStatus.SERVICE_UNAVAILABLE
        text = json.dumps({"well": health.well, **health.facts})
        return status, "application/json", f"{text}\n".encode()

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Scrapes come every few seconds: only for who asked for more."""
        _log.debug(format, *args)
