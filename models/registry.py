"""Ranking models by name."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch

from models.base import ModelError, RankingModel
from models.layout import Layout
from schemas.spec.table import near_match

_MODELS: dict[str, type[RankingModel]] = {}


def register(name: str, model: type[RankingModel]) -> None:
    """Make a model known under a name. Raises ModelError if the name is taken."""
    if name in _MODELS:
        raise ModelError(f"models: expected a new name, received {name!r}, which is registered")
    _MODELS[name] = model


def names() -> tuple[str, ...]:
    """All registered names, in alphabetical order."""
    return tuple(sorted(_MODELS))


def create(
    name: str,
    layout: Layout,
    preset: str = "demo",
    overrides: Mapping[str, object] | None = None,
    seed: int = 0,
) -> RankingModel:
    """A freshly initialised model: the preset's configuration with some values overridden.

    The same seed gives the same weights; the caller's random state is left as it was.

    Raises:
        ModelError: unknown name, preset or key, or a value of the wrong type.
    """
    model = _choose("models", "the name of a model", name, _MODELS)
    config = _choose(f"models.{name}", "the name of a preset", preset, model.presets)
    config = _overridden(f"models.{name}", config, overrides or {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built: RankingModel = model(layout, config)
    return built


def _choose(where: str, expected: str, word: str, known: Mapping[str, Any]) -> Any:
    if word not in known:
        hint = near_match(word, known)
        raise ModelError(f"{where}: expected {expected}, received {word!r}{hint}")
    return known[word]


def _overridden(where: str, config: Any, overrides: Mapping[str, object]) -> Any:
    """The configuration with some values replaced; a table of values goes into a part of it."""
    known = {field.name: getattr(config, field.name) for field in fields(config)}
    checked = {}
    for key, value in overrides.items():
        default = _choose(where, "a configuration key", key, known)
        checked[key] = _of_kind(f"{where}.{key}", value, default)
    return replace(config, **checked)


def _of_kind(where: str, value: object, default: object) -> object:
    """The value if it has the default's type; a list, as TOML has it, stands for a tuple."""
    if is_dataclass(default) and isinstance(value, Mapping):
        return _overridden(where, default, value)
    if isinstance(default, tuple) and isinstance(value, list):
        value = tuple(value)
    if type(value) is not type(default):
        raise ModelError(f"{where}: expected a value like {default!r}, received {value!r}")
    return value
