"""Replayed letters as messages: the very bytes, into the topics of their streams."""

from dataclasses import dataclass

from pipelines.letters.replay import Values
from pipelines.letters.to_files import UNKNOWN_STREAM
from pipelines.publish.publisher import Publisher
from schemas.spec import Spec


@dataclass(frozen=True)
class ToKafka:
    """Sends with an open publisher. Nobody knows the user of damaged bytes: they have no key."""

    publisher: Publisher
    spec: Spec

    def refusal(self, stream: str, value: bytes) -> str | None:  # noqa: ARG002  see Target
        """See `Target.refusal`."""
        return None if stream in self.spec.streams else UNKNOWN_STREAM

    def send(self, epoch: int, values: Values) -> None:  # noqa: ARG002  see Target
        """See `Target.send`."""
        for stream, some in values.items():
            self.publisher.send_raw(stream, some)
