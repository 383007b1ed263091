"""The rules for one user and item give what windows and revisions show, on random worlds."""

from collections import Counter, defaultdict
from typing import Any

from hypothesis import HealthCheck, given, settings

from pipelines.explain.labels import history
from pipelines.explain.ruling import Ruling, rule
from pipelines.explain.samples import Sample
from schemas.labels import ORIGINS
from schemas.spec import Spec
from schemas.windows.sample import Label
from tests.explain.reading import events_by_user, last_cut_ms
from tests.oracle import Outcome, Schedule
from tests.pipeline.in_process import run_steps
from tests.worlds import target_worlds, worlds

NAMES = ("value", "tier", "event_id", "time_ms", "open")
Key = tuple[str, int, str, str, str]
"""User, request time, request id, item, task."""


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(world=worlds())
def test_every_label_and_revision_is_what_the_rules_say(world: tuple[Spec, Schedule]) -> None:
    _rules_equal_windows(*world)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(world=target_worlds())
def test_with_a_target_domain_too(world: tuple[Spec, Schedule]) -> None:
    _rules_equal_windows(*world)


def _rules_equal_windows(spec: Spec, schedule: Schedule) -> None:
    last_ms = last_cut_ms(schedule)
    outcome = run_steps(spec, schedule)
    if last_ms is None:
        assert not outcome.windows
        return
    users = events_by_user(spec, schedule)
    shown, facts = _shown(spec, outcome)
    rulings: dict[tuple[str, str], Ruling] = {}
    explained = {}
    for key in facts:
        user, time_ms, request_id, item = key
        ruling = rulings.setdefault((user, item), rule(spec, users[user], item))
        found = [s for s in ruling.samples if (s.time_ms, s.request_id) == (time_ms, request_id)]
        if facts[key][0] == "searchified_negative":
            assert not found
            continue
        [sample] = found
        assert (sample.origin, sample.position, sample.probability) == facts[key]
        explained |= _explained(ruling, sample, key, last_ms)
    negatives = {key for key, fact in facts.items() if fact[0] == "searchified_negative"}
    for key in [key for key in shown if key[:4] in negatives]:
        [(_, label)] = shown.pop(key)
        named = spec.target.domain in spec.tasks[key[4]].domains
        assert (label.value, label.tier) == (0.0 if named else None, None)
    assert explained == shown
    ruled = Counter(
        (user, s.time_ms, s.request_id, item)
        for (user, item), ruling in rulings.items()
        for s in ruling.samples
        if s.cut_ms <= last_ms
    )
    assert ruled == Counter(key for key in facts if key not in negatives)


def _explained(ruling: Ruling, sample: Sample, key: Any, last_ms: int) -> dict[Key, Any]:
    told = {}
    for task in ruling.spec.tasks.values():
        credits = [c for c in ruling.credits if c.sample is sample and c.task is task]
        told[*key, task.name] = history(credits, sample, task, last_ms)
    return told


def _shown(spec: Spec, outcome: Outcome) -> tuple[dict[Key, Any], dict[Any, Any]]:
    """By sample and task: (cut, label) of the window and of each revision; and facts."""
    shown: dict[Key, Any] = defaultdict(list)
    facts = {}
    for start_ms, window in outcome.windows.items():
        cut_ms = spec.window.cut(start_ms)
        for user in window.users:
            for request in user["requests"]:
                held = request["candidates"]
                for at, item in enumerate(held["item_id"]):
                    key = user["user_id"], request["time_ms"], request["id"], item
                    assert key not in facts
                    origin = ORIGINS[held["origin"][at]]
                    facts[key] = origin, held["position"][at], held["probability"][at]
                    for task, columns in held["labels"].items():
                        row = {name: columns[name][at] for name in NAMES}
                        shown[*key, task].append((cut_ms, Label.of(row)))
    for start_ms, window in outcome.windows.items():
        for row in window.revisions:
            names = ("user_id", "request_time_ms", "request_id", "item_id", "task")
            label = Label.of({name: row[f"new_{name}"] for name in NAMES})
            shown[tuple(row[name] for name in names)].append((spec.window.cut(start_ms), label))
    return dict(shown), facts
