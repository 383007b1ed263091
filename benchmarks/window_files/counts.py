"""What a program counted, kept beside the windows that it wrote."""

import json
from collections.abc import Mapping
from pathlib import Path

COUNTS_FILE = "counts.json"


def keep_counts(windows: Path, counts: Mapping[str, int]) -> None:
    """Write the counts that are not zero."""
    told = {name: count for name, count in counts.items() if count}
    (windows / COUNTS_FILE).write_text(json.dumps(told, sort_keys=True))


def counts_of(windows: Path) -> dict[str, int]:
    """Back from `keep_counts`."""
    return json.loads((windows / COUNTS_FILE).read_text())
