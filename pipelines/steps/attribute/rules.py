"""What the rules need of the spec, as numbers."""

from dataclasses import dataclass

import numpy as np

from pipelines.arrays import Bools, Ints
from schemas.hashing import hash_one
from schemas.spec import Spec, Task

NO_DOMAIN = -2
"""The index of a domain that no request is of, nor any feedback."""

KINDS = {"binary": 0, "sum": 1, "max": 2, "last": 3}


@dataclass(frozen=True)
class Rules:
    """A spec and the look-ups that follow from it."""

    spec: Spec
    tasks: tuple[Task, ...]
    task_ids: Ints
    scenario_ids: Ints
    scenario_domains: Ints
    target: int
    """The target domain's index; `NO_DOMAIN` without one."""

    @classmethod
    def of(cls, spec: Spec) -> "Rules":
        """The look-ups of a spec."""
        domains = list(spec.domains)
        scenarios = sorted((hash_one(s), domains.index(spec.domain_of(s))) for s in spec.scenarios)
        tasks = tuple(spec.tasks.values())
        return cls(
            spec=spec,
            tasks=tasks,
            task_ids=np.array([hash_one(task.name) for task in tasks], np.int64),
            scenario_ids=np.array([scenario for scenario, _ in scenarios], np.int64),
            scenario_domains=np.array([domain for _, domain in scenarios], np.int64),
            target=NO_DOMAIN if spec.target is None else domains.index(spec.target.domain),
        )

    @property
    def reach_ms(self) -> int:
        """At cut C what happened at or after `C - reach` is remembered."""
        return self.spec.window.length_ms + self.spec.memory_ms

    def domain_of(self, scenario: Ints) -> Ints:
        """The domain's index of each known scenario hash."""
        return self.scenario_domains[np.searchsorted(self.scenario_ids, scenario)]

    def domains_of(self, task: Task) -> list[int]:
        """The domains that a task names."""
        domains = list(self.spec.domains)
        return [domains.index(name) for name in task.domains]

    def is_conversion(self, task: Task) -> bool:
        """Whether a task's stream is of conversions."""
        return self.spec.streams[task.stream].kind == "conversion"

    def names_target(self, task: Task) -> bool:
        """Whether a task is one of the target domain."""
        return self.spec.target is not None and self.spec.target.domain in task.domains

    def is_hierarchical(self, task: Task) -> bool:
        """Whether rule 3 acts on a task: it credits the target's samples with foreign events."""
        target = self.spec.target
        return target is not None and target.hierarchical and self.names_target(task)

    @property
    def searchifies(self) -> bool:
        """Whether foreign clicks become requests of the target domain (rule 10)."""
        return self.spec.target is not None and self.spec.target.searchify is not None

    def has_fourth_tier(self, task: Task) -> bool:
        """Whether a task's events may go to a positive of rule 10."""
        return self.searchifies and self.names_target(task) and self.is_conversion(task)

    def may_credit(self, task: Task, domain: Ints) -> Bools:
        """Which events of these domains make an (event, task)."""
        named = np.isin(domain, self.domains_of(task))
        target = self.spec.target
        if target is None or not target.hierarchical:
            return named | (domain < 0)
        return named | ((domain != self.target) & self.names_target(task))

    def sealed_at(self, time_ms: Ints) -> Ints:
        """The cut of the window that holds each request time."""
        window = self.spec.window
        return (
            time_ms // window.length_ms * window.length_ms + window.length_ms + window.maturity_ms
        )

    def cut_at_or_after(self, time_ms: Ints) -> Ints:
        """The first cut at or after each time."""
        length, maturity = self.spec.window.length_ms, self.spec.window.maturity_ms
        return -((maturity - time_ms) // length) * length + maturity

    def closes(self, task: Ints, time_ms: Ints) -> Ints:
        """When the labels of samples of these times close; `task` indexes `tasks`."""
        spans = [t.horizon_ms + t.retraction_horizon_ms for t in self.tasks]
        return time_ms + np.array(spans, np.int64)[task]

    def task_index(self, task_id: Ints) -> Ints:
        """The index into `tasks` of each task hash."""
        order = np.argsort(self.task_ids)
        return order[np.searchsorted(self.task_ids[order], task_id)]
