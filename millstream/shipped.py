"""What is shipped with the packages."""

from pathlib import Path

import schemas


def spec_file(name: str) -> Path:
    """The stream spec of a shipped data set. Raises FileNotFoundError if there is none."""
    file = Path(schemas.__file__).with_name("specs") / f"{name}.toml"
    if not file.is_file():
        raise FileNotFoundError(file)
    return file
