"""What a demo runs on: a stream spec, how its events come about, and how it is told about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from millstream.demo.place import Place
from schemas.spec import Spec

Versions = Mapping[str, str]
"""By registered model: the number of its challenger."""


@dataclass(frozen=True)
class Data:
    """A data set, real or simulated."""

    name: str
    spec: Path
    write: Callable[[Place, Spec], None]
    """Writes all event streams, in the place of what an interrupted run left."""
    report: Callable[[Place, Versions], str]
    """The closing report as text."""
