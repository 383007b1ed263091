"""The plots of the page, in its order: what each shows, how to read it, when it has nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from millstream.report import plot_credits, plot_delays, plot_refused, plot_volume
from millstream.report.tables import StoreTables


@dataclass(frozen=True)
class Plot:
    """One plot of the page; `name` is its file and its anchor."""

    name: str
    title: str
    how_to_read: str
    missing: str
    """Why a store may have nothing to show here."""
    draw: Callable[[StoreTables], Figure | None]
    """None if there is nothing to show."""


PLOTS = (
    Plot(
        "volume",
        "What the windows hold",
        "How much there is in each stretch of time, one window or several. A user record is one "
        "user's window. A gap is time without requests; the last columns often hold only what was "
        "still on its way.",
        "no window holds a request",
        plot_volume.volume,
    ),
    Plot(
        "origins",
        "Where samples come from",
        "Exposed candidates were shown. Unexposed ones were ranked and not shown, and are kept by "
        "a hash, never by label. Searchified ones are of requests that were made of clicks in "
        "other domains.",
        "no window holds a sample",
        plot_volume.origins,
    ),
    Plot(
        "tiers",
        "How labels were credited",
        "Of all labels with feedback, the share that each tier placed, as all revisions so far "
        "leave them. Direct: the event named its request. In domain: the latest fitting sample of "
        "its own domain. Clicked, exposed, unexposed: feedback from another domain. Searchified: "
        "on requests made of foreign clicks. The newest columns still gain labels.",
        "no label has feedback",
        plot_credits.tiers,
    ),
    Plot(
        "delays",
        "How long feedback takes",
        "For each task, the share of its credited labels whose event came within a delay of their "
        "request; those that were withdrawn later count too. The solid line takes in labels that "
        "became known after their window's cut, as revisions; the dashed one stops at what the "
        "window itself showed, and the gap between the two at the right is what only revisions "
        "brought. A line begins where what was known at once leaves off; a dotted line is the "
        "task's horizon.",
        "no label has feedback",
        plot_delays.delays,
    ),
    Plot(
        "unexposed",
        "Labels on samples that were not shown",
        "Positives that exist only because unexposed candidates are kept: their number, and their "
        "share of all credited labels of the task, both as all revisions so far leave them.",
        "no label is on an unexposed sample",
        plot_credits.unexposed,
    ),
    Plot(
        "queries",
        "Where the queries of searchified requests come from",
        "Own: the user had asked it and was shown the item. Co-occurrence: the query that most "
        "often showed the item to anyone. Nearest: the most similar to its title. None: no query "
        "was found and the request stands without. At the beginning little is remembered, so "
        "little is found.",
        "no request was made of a foreign click",
        plot_volume.queries,
    ),
    Plot(
        "revisions",
        "Labels that changed after their cut",
        "Left: how many revisions the windows carry, and why the label changed. Right: the share "
        "of them that had come by so long after the cut of the sample's own window.",
        "no window carries a revision",
        plot_refused.revisions,
    ),
    Plot(
        "dead_letters",
        "Events that were refused",
        "How many events of each stream could not be used, and why. They wait in the store's "
        "`dead_letters` with their raw bytes.",
        "no event was refused",
        plot_refused.dead_letters,
    ),
)
