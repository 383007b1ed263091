"""How long the long tests are: `MILLSTREAM_SOAK_SHARE=0.05 make soak` runs a twentieth of each."""

import os

SHARE = "MILLSTREAM_SOAK_SHARE"


def share_of(whole: int, least: int = 1) -> int:
    """So many of what the long form has, `least` at the least; all of it without a share."""
    return max(least, round(whole * float(os.environ.get(SHARE, "1"))))
