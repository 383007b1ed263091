"""The world whose events hurry through a broker, the spec of its windows, and both as files.

It is the small shipped world, but nothing in it is late: what is read late changes windows, and
these must be those of a run over files. Events wait for no longer than some hours, so that the
stream ends soon after the last request.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from millstream import shipped
from pipelines.simulate import world_file

TAIL_HOURS = 6
"""So long after its last day the world's last events come."""

TINY = Path(world_file.__file__).with_name("worlds") / "tiny.toml"

SHORTER = {
    'length = "6h"': 'length = "3h"',
    # Disorder of 2 minutes, and seven times what goes out at once at the greatest speed used.
    'slack = "2m"': 'slack = "90m"',
    # By the clock: some partitions have an event every few hours of the world's time only.
    'idle = "1m"': 'idle = "2s"',
}


@dataclass(frozen=True)
class World:
    """So many days of the world, told as files in a folder."""

    folder: Path
    days: int

    @property
    def file(self) -> Path:
        """What is simulated."""
        return self.folder / "world.toml"

    @property
    def spec(self) -> Path:
        """What windows are made by."""
        return self.folder / "spec.toml"

    def write(self) -> None:
        """Write both files."""
        text = TINY.read_text(encoding="utf-8")
        text = re.sub(r"^days = \d+", f"days = {self.days}", text, flags=re.M)
        text = re.sub(r'longest = "(12h|1d|3d)"', f'longest = "{TAIL_HOURS}h"', text)
        text = re.sub(r'median = "[68]h"', 'median = "2h"', text)
        text = re.sub(r"^late = 0\.002", "late = 0.0", text, flags=re.M)
        self.file.write_text(text, encoding="utf-8")
        spec = shipped.spec_file("simulated").read_text(encoding="utf-8")
        for shipped_line, line in SHORTER.items():
            assert shipped_line in spec
            spec = spec.replace(shipped_line, line)
        self.spec.write_text(spec, encoding="utf-8")

    def speed(self, seconds: float) -> int:
        """How much faster than life it must go to be over after so many seconds."""
        return round((self.days * 24 + TAIL_HOURS) * 3_600 / seconds)
