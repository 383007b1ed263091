"""A page of plots about a window store: how labels came, on what samples, and what was refused."""

from millstream.report.report import Written, write_page, write_report
from millstream.report.tabulate import tabulate

__all__ = ["Written", "tabulate", "write_page", "write_report"]
