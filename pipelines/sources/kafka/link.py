"""A consumer that outlasts its brokers: what fails is tried again, with growing pauses."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kafka import KafkaConsumer
from kafka.errors import (
    AuthorizationError,
    KafkaConfigurationError,
    KafkaError,
    SaslAuthenticationFailedError,
    UnsupportedCodecError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient

from pipelines.sources.source import Stopped
from schemas.errors import UserError

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0
SAID_EVERY_S = 30.0
RECONNECT_MS = 1_000
"""Pauses between a client's own tries to reach a broker; ours are those above."""

LOOK_MS = 20
"""Between two looks at which topics there are, of which each epoch takes two; a client's own rest
of 100 ms would be a fifth of a small epoch."""

FETCH_BYTES = 4 * 1024 * 1024
"""Of one partition at once; a larger message comes alone."""

_OURS = (
    AuthorizationError,
    KafkaConfigurationError,
    SaslAuthenticationFailedError,
    UnsupportedCodecError,
    UnsupportedSaslMechanismError,
)
"""No pause helps: somebody has to mend something."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass
class Link:
    """A connection to a cluster, made when it is needed and anew after every failure.

    `stopped` says that nobody waits any more. A first contact that fails for `patience_s` is an
    error; contact that was once made is waited for without end.
    """

    servers: list[str]
    settings: dict[str, Any] = field(repr=False)
    stopped: Callable[[], bool]
    patience_s: float | None = None
    request_s: float = 10.0
    restored_s: float = 0.0
    """When contact was made again after a failure, by the machine's clock of the day."""
    _consumer: KafkaConsumer | None = None
    _met: bool = False
    _waiting: "_Waiting | None" = field(default=None)

    @property
    def answers(self) -> bool:
        """Whether the last that was asked was answered."""
        return self._waiting is None

    def attempt(self, what: str, action: Callable[[KafkaConsumer], T]) -> T:
        """The action's result, however often it takes.

        Raises UserError where waiting does not help, Stopped if it is not wanted any more.
        """
        while True:
            begun_s = time.monotonic()
            try:
                if self._consumer is None:
                    self._consumer = self._connect()
                result = action(self._consumer)
            except _OURS as error:
                raise self._refused(what, error) from error
            except (KafkaError, OSError) as error:
                self._failed(what, error, begun_s)
            else:
                self._succeeded()
                return result

    def close(self) -> None:
        """End the connection."""
        if self._consumer is not None:
            with suppress(KafkaError, OSError):
                self._consumer.close(autocommit=False, timeout_ms=1_000)
            self._consumer = None

    def _connect(self) -> KafkaConsumer:
        """A consumer. One that cannot be made would leave its thread and sockets behind."""
        clients: list[KafkaNetClient] = []

        def client(*words: Any, **settings: Any) -> KafkaNetClient:
            clients.append(KafkaNetClient(*words, **settings))
            clients[-1].cluster.config["retry_backoff_ms"] = LOOK_MS  # none of its settings does
            return clients[-1]

        try:
            return KafkaConsumer(**self._settings(), kafka_client=client)
        except BaseException:
            for one in clients:
                one.close()
            raise

    def _settings(self) -> dict[str, Any]:
        request_ms = int(self.request_s * 1_000)
        return {
            "bootstrap_servers": self.servers,
            "client_id": "millstream",
            "group_id": None,
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "isolation_level": "read_committed",
            "allow_auto_create_topics": False,
            "bootstrap_timeout_ms": request_ms,
            "request_timeout_ms": request_ms,
            "max_partition_fetch_bytes": FETCH_BYTES,
            "reconnect_backoff_max_ms": RECONNECT_MS,
            "metrics_enabled": False,
            **self.settings,
        }

    def _failed(self, what: str, error: Exception, begun_s: float) -> None:
        """Pause, or give up. The consumer goes: a new one has no doubtful state."""
        self.close()
        waiting = self._waiting = self._waiting or _Waiting(begun_s)
        waited_s = time.monotonic() - waiting.since_s
        if not self._met and self.patience_s is not None and waited_s > self.patience_s:
            raise UserError(
                f"kafka://{','.join(self.servers)}: expected an answer within "
                f"{self.patience_s:.0f} s, received none while {what}: {_said(error)}. Check the "
                "address, that the broker runs, and the spec's source.kafka section."
            ) from error
        if waiting.is_time_to_speak():
            _log.warning(
                "kafka://%s does not answer while %s: %s. Trying again, nothing is skipped; "
                "%.0f s so far.", ",".join(self.servers), what, _said(error), waited_s,
            )  # fmt: skip
        self._sleep(waiting.next_pause_s())

    def _succeeded(self) -> None:
        self._met = True
        if self._waiting is not None:
            self.restored_s = time.time()
            _log.warning("kafka://%s answers again", ",".join(self.servers))
            self._waiting = None

    def _refused(self, what: str, error: Exception) -> UserError:
        return UserError(
            f"kafka://{','.join(self.servers)}: expected to be allowed, received a refusal while "
            f"{what}: {_said(error)}. Check the spec's source.kafka section, the name and "
            "password in the environment, and what the cluster grants them."
        )

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stopped():
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.2))
        raise Stopped("asked to end while the cluster was waited for")


@dataclass
class _Waiting:
    """How long an outage lasts and when it was last told of."""

    since_s: float
    _pause_s: float = FIRST_PAUSE_S / 2
    _said_s: float | None = None

    def next_pause_s(self) -> float:
        """Twice the last one."""
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        return self._pause_s

    def is_time_to_speak(self) -> bool:
        """At once, then now and again."""
        now = time.monotonic()
        if self._said_s is not None and now - self._said_s < SAID_EVERY_S:
            return False
        self._said_s = now
        return True


def _said(error: Exception) -> str:
    return (str(error) or type(error).__name__).rstrip(".")
