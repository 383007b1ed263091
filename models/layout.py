"""What a model must know of the spec: names, owners, types and the order of scenarios and tasks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from schemas.errors import UserError
from schemas.hashing import hash_one
from schemas.spec import Feature, FeatureOwner, Spec
from schemas.spec.table import near_match


@dataclass(frozen=True)
class FeatureField:
    """One declared feature as the batch carries it."""

    name: str
    type: Literal["id", "ids", "number"]
    table: str
    owner: FeatureOwner


@dataclass(frozen=True)
class Layout:
    """The order in which batches and models index scenarios, domains, tasks and features.

    `request` holds features of user, context and query; `candidate` those of item and cross;
    `action` the item features that sequences carry. `task_actions` names for each task the
    action that is its label's stream, None if sequences do not carry it.
    """

    scenarios: tuple[str, ...]
    domains: tuple[str, ...]
    tasks: tuple[str, ...]
    actions: tuple[str, ...]
    task_actions: tuple[str | None, ...]
    request: tuple[FeatureField, ...]
    candidate: tuple[FeatureField, ...]
    action: tuple[FeatureField, ...]

    @classmethod
    def of(cls, spec: Spec) -> "Layout":
        """The layout that follows from a spec."""
        return cls(
            scenarios=spec.scenarios,
            domains=tuple(spec.domains),
            tasks=tuple(spec.tasks),
            actions=spec.sequences.streams,
            task_actions=tuple(_carried(task.stream, spec) for task in spec.tasks.values()),
            request=_fields(spec.owned_by("user", "context", "query")),
            candidate=_fields(spec.owned_by("item", "cross")),
            action=_fields(tuple(spec.features[name] for name in spec.sequences.features)),
        )

    def of_scenario(self, name: str) -> "Layout":
        """The layout that knows this scenario alone. Raises UserError for an unknown one."""
        if name not in self.scenarios:
            raise UserError(
                f"scenario: expected one of {', '.join(self.scenarios)}, received {name!r}"
                f"{near_match(name, self.scenarios)}."
            )
        return replace(self, scenarios=(name,))

    @classmethod
    def from_json(cls, values: Mapping[str, list[Any]]) -> "Layout":
        """What `dataclasses.asdict` made of a layout."""
        parts = {name: tuple(value) for name, value in values.items()}
        features = ("request", "candidate", "action")
        return cls(**parts | {n: tuple(FeatureField(**f) for f in parts[n]) for n in features})

    @property
    def action_ids(self) -> tuple[int, ...]:
        """The hashes of the action streams, in order."""
        return tuple(hash_one(name) for name in self.actions)

    @property
    def scenario_ids(self) -> tuple[int, ...]:
        """The hashes of the scenarios, in order."""
        return tuple(hash_one(name) for name in self.scenarios)


def _carried(stream: str, spec: Spec) -> str | None:
    return stream if stream in spec.sequences.streams else None


def _fields(features: tuple[Feature, ...]) -> tuple[FeatureField, ...]:
    return tuple(FeatureField(f.name, f.type, f.table, f.owner) for f in features)
