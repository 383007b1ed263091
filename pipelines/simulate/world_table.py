"""One table of a world file: a spec's table that also reads rates and other numbers."""

import math
from collections.abc import Collection

from schemas.spec.table import REQUIRED, Table


class WorldTable(Table):
    """A table of a world file: also reads rates and other numbers."""

    def number(self, key: str, least: float = 0.0) -> float:
        """A finite number."""
        value = self.take(key, (int, float), f"a number of {least:g} or more", REQUIRED)
        if not (math.isfinite(value) and value >= least):
            raise self.fail(key, f"a number of {least:g} or more", value)
        return float(value)

    def weight(self, key: str) -> float:
        """A finite number above zero."""
        value = self.number(key)
        if value == 0:
            raise self.fail(key, "a number above zero", value)
        return value

    def rate(self, key: str) -> float:
        """A probability."""
        value = self.take(key, (int, float), "a rate from 0 to 1", REQUIRED)
        if not 0 <= value <= 1:
            raise self.fail(key, "a rate from 0 to 1", value)
        return float(value)

    def part(self, key: str) -> "WorldTable":
        """A table in this one."""
        found = self.table(key)
        return WorldTable(found.file, found.path, found.values)

    def rates(self, key: str, names: Collection[str]) -> dict[str, float]:
        """A table with a rate for each of these names."""
        part = self.part(key)
        rates = {name: part.rate(name) for name in names}
        part.finish()
        return rates
