"""A page of plots about a window store: how labels came, on what samples, and what was refused."""

from millstream.report.report import Written, write_report

__all__ = ["Written", "write_report"]
