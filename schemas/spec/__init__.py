"""The stream spec: one TOML file that describes a product."""

from schemas.spec.digest import spec_digest, spec_values
from schemas.spec.growth import Growth, growth
from schemas.spec.model import (
    FEEDBACK_KINDS,
    Domain,
    Feature,
    FeatureOwner,
    FeatureType,
    LabelValue,
    Recipe,
    Searchify,
    Sequences,
    Spec,
    Stream,
    StreamKind,
    Target,
    Task,
    Time,
    Window,
)
from schemas.spec.parse import load, parse
from schemas.spec.source import Kafka, Source

__all__ = [
    "FEEDBACK_KINDS",
    "Domain",
    "Feature",
    "FeatureOwner",
    "FeatureType",
    "Growth",
    "Kafka",
    "LabelValue",
    "Recipe",
    "Searchify",
    "Sequences",
    "Source",
    "Spec",
    "Stream",
    "StreamKind",
    "Target",
    "Task",
    "Time",
    "Window",
    "growth",
    "load",
    "parse",
    "spec_digest",
    "spec_values",
]
