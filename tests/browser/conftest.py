"""A real browser, and where its screenshots are kept."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from infra.chromium import FLAGS, chromium
from infra.kafka import Missing
from tests.kafka_server import REQUIRED
from tests.mlflow_server import mlflow_uri

__all__ = ["mlflow_uri"]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of a browser that runs; skipped where there is none, unless servers are required."""
    try:
        path = chromium()
    except Missing as missing:
        if os.environ.get(REQUIRED):
            raise
        pytest.skip(str(missing))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1700, "height": 1000})
        page.set_default_timeout(90_000)
        yield page
        browser.close()


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures go: `$MILLSTREAM_SCREENSHOTS`, or a temporary folder."""
    named = os.environ.get("MILLSTREAM_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
