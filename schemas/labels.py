"""The codes that records carry for tiers and origins, and their names."""

from typing import Final

TIERS: Final = (
    "direct",
    "in_domain",
    "clicked",
    "exposed",
    "unexposed",
    "searchified",
)
"""How a credit was placed; a record stores the index, null where no event was credited."""

ORIGINS: Final = ("exposed", "unexposed", "searchified_positive", "searchified_negative")
"""Where a sample comes from; a record stores the index."""

QUERY_PATHS: Final = ("own", "co_occurrence", "nearest", "none")
"""How a searchified request came by its query; a record stores the index."""

QUERY_PATH_CODES: Final = {name: code for code, name in enumerate(QUERY_PATHS)}
TIER_CODES: Final = {name: code for code, name in enumerate(TIERS)}
ORIGIN_CODES: Final = {name: code for code, name in enumerate(ORIGINS)}
