"""Chromium, for tests of what a person sees: found on the PATH, or installed from Debian."""

import shutil
import sys

from infra import debian
from infra.jars import Missing
from schemas.errors import UserError

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
)


def chromium() -> str:
    """The path of a browser. Raises Missing with what to install."""
    for name in NAMES:
        found = shutil.which(name)
        if found is not None:
            return found
    raise Missing(
        f"a browser: expected one of {', '.join(NAMES)} on the PATH, received nothing. Install "
        "Chromium, on Debian with `apt-get install chromium` or `python -m infra.chromium`."
    )


def install() -> str:
    """The path of a browser, installed by apt-get if there is none.

    Raises UserError if that is not possible here.
    """
    try:
        return chromium()
    except Missing:
        debian.install(["chromium"])
    return chromium()


if __name__ == "__main__":
    try:
        print(install())
    except UserError as error:
        sys.exit(str(error))
