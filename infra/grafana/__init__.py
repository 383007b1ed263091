"""The dashboard, as Grafana imports it."""

from pathlib import Path

DASHBOARD = Path(__file__).resolve().with_name("millstream.json")
