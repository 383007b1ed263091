"""What stays in this process while Beam copies the functions of its stages and their elements."""

from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

import pyarrow as pa

from pipelines.steps.step import Tables


class InProcess:
    """An object whose pickle leads back to it: every copy that Beam makes is the object itself."""

    def __init__(self) -> None:
        self._name = uuid4().hex
        _LIVING[self._name] = self

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return _living, (self._name,)


class Shelf(InProcess):
    """The direct driver's carrier: tables stay here while their numbers travel.

    Nothing is encoded, nothing copied; what is unpacked leaves the shelf and is free after use.
    """

    def __init__(self) -> None:
        super().__init__()
        self._tables: dict[bytes, Tables] = {}
        self._packed = 0

    def pack(self, tables: Tables) -> bytes:
        """A number for the tables."""
        number = self._packed.to_bytes(8, "little")
        self._packed += 1
        self._tables[number] = tables
        return number

    def unpack(self, data: bytes) -> dict[str, pa.Table]:
        """The tables of a number. Raises KeyError if they were taken before."""
        return dict(self._tables.pop(data))

    def clear(self) -> None:
        """Drop what an epoch that failed has left."""
        self._tables.clear()

    def __len__(self) -> int:
        return len(self._tables)


_LIVING: WeakValueDictionary[str, InProcess] = WeakValueDictionary()


def _living(name: str) -> InProcess:
    return _LIVING[name]
