"""Every example in a docstring runs and shows what it says."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "pipelines", "models", "learner", "millstream")


def modules_with_examples() -> list[str]:
    files = (file for package in PACKAGES for file in sorted(ROOT.glob(f"{package}/**/*.py")))
    shown = (file for file in files if ">>> " in file.read_text(encoding="utf-8"))
    return [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in shown]


@pytest.mark.parametrize("name", modules_with_examples())
def test_an_example_shows_what_happens(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0
