"""What Prometheus is to watch: recorded series, alerts, and hand-written series that test them."""

import shutil
from pathlib import Path

from infra.jars import Missing

FOLDER = Path(__file__).resolve().parent


def promtool() -> str:
    """The path of Prometheus's own checker. Raises Missing with what to install."""
    found = shutil.which("promtool")
    if found is None:
        raise Missing(
            "promtool: expected on the PATH, received nothing. Install Prometheus, on Debian with "
            "`python -m infra.debian prometheus`."
        )
    return found
