"""Validation: raw rows in, trusted events and dead letters out."""

from pipelines.validate.judge import Validated, events_schema, validate

__all__ = ["Validated", "events_schema", "validate"]
