"""The page: one HTML file with everything in it, that a browser shows and a printer prints."""

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape

from millstream.report.plots import Plot
from millstream.report.summary import Rows

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 56rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-bottom: .3rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0;
  border-bottom: 1px solid #ddd; }
th { font-weight: 600; white-space: nowrap; }
figure { margin: 1.6rem 0; break-inside: avoid; }
figure img { width: 100%; height: auto; }
figcaption { color: #444; }
code { font-size: .92em; }
@media print { body { max-width: none; margin: 0; font-size: 11pt; } }
"""


def page(
    title: str, rows: Rows, shown: Sequence[tuple[Plot, bytes]], left_out: Mapping[str, str]
) -> str:
    """The page as text: summary, plots as PNG, and what was left out and why."""
    body = [
        f"<h1>{escape(title)}</h1>",
        _table(rows),
        *(_figure(plot, image) for plot, image in shown),
        _left_out(left_out),
    ]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            *body,
            "</body>",
            "</html>",
            "",
        ]
    )


def _table(rows: Rows) -> str:
    lines = [f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows]
    return "\n".join(["<table>", *lines, "</table>"])


def _figure(plot: Plot, image: bytes) -> str:
    data = base64.b64encode(image).decode()
    return "\n".join(
        [
            f'<figure id="{plot.name}">',
            f"<h2>{escape(plot.title)}</h2>",
            f'<img alt="{escape(plot.title)}" src="data:image/png;base64,{data}"/>',
            f"<figcaption>{_code(plot.how_to_read)}</figcaption>",
            "</figure>",
        ]
    )


def _left_out(left_out: Mapping[str, str]) -> str:
    if not left_out:
        return "<p>No plot was left out.</p>"
    lines = [f"<li>{escape(title)}: {escape(why)}.</li>" for title, why in left_out.items()]
    return "\n".join(["<h2>Left out, for there is nothing to show</h2>", "<ul>", *lines, "</ul>"])


def _code(text: str) -> str:
    """Escaped; what stands in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
