"""The spec of the benchmark's world."""

from schemas.spec import Spec, parse

SPEC_TOML = """
name = "speed"

[source]
ordered = true

[window]
length = "1h"
maturity = "10m"

[streams.exposure]
kind = "exposure"
[streams.click]
kind = "click"
[streams.buy]
kind = "conversion"
[streams.refund]
kind = "retraction"

[domains.feed]
scenarios = ["home"]
[domains.search]
scenarios = ["results"]

[tasks.click]
stream = "click"
horizon = "10m"
retraction_horizon = "10m"
[tasks.buy]
stream = "buy"
horizon = "30m"
retraction_horizon = "30m"

[features.gender]
owner = "user"
type = "id"
[features.city]
owner = "user"
type = "id"
[features.device]
owner = "context"
type = "id"
[features.category]
owner = "item"
type = "id"
[features.brand]
owner = "item"
type = "id"
[features.seller]
owner = "item"
type = "id"
[features.price]
owner = "item"
type = "number"

[sequences]
streams = ["click", "buy"]
history = 50
recent = 30
features = ["category"]
"""


def speed_spec() -> Spec:
    """The spec of the benchmark's world."""
    return parse(SPEC_TOML, "speed.toml")
