"""Where tests skip for the lack of a server, and where they may not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infra.jars import Missing

REQUIRED = "MILLSTREAM_REQUIRE_SERVERS"
"""Set where nothing may be skipped."""


@contextmanager
def skipped_without(what: str) -> Iterator[None]:
    """Skip where it is not installed, saying what to install, unless servers are required."""
    try:
        yield
    except Missing as missing:
        if os.environ.get(REQUIRED):
            raise
        pytest.skip(f"needs {what}. {missing}")
