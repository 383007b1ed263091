"""From a TOML file to a checked `World`. Every complaint is one `SpecError` naming file and key."""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from pipelines.simulate.world import (
    DAY_MS,
    DELAYS,
    FEEDBACK,
    Appeal,
    Delay,
    Domain,
    Faults,
    Follow,
    Items,
    Journeys,
    Policy,
    Texts,
    Users,
    World,
)
from pipelines.simulate.world_table import WorldTable
from schemas.errors import SpecError
from schemas.spec.table import REQUIRED, near_match

PRESETS = ("tiny", "demo", "load")


def load(world: str | Path) -> World:
    """Read and check a shipped world, by its name, or a TOML file.

    Raises SpecError, naming file, key, what was expected and what was received.
    """
    file = Path(__file__).with_name("worlds") / f"{world}.toml" if world in PRESETS else Path(world)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        hint = near_match(str(world), PRESETS)
        expected = "the name of a shipped world or a readable TOML file"
        raise SpecError(f"{file}: expected {expected}, received: {reason}{hint}") from error
    return parse(text, str(file))


def parse(text: str, file: str = "world") -> World:
    """Check the text of a world file; `file` is what complaints name."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{file}: expected TOML, received a syntax error: {error}") from error
    root = WorldTable(file, "", values)
    world = _world(root)
    root.finish()
    return world


def scaled(
    world: World, *, seed: int | None = None, users: int | None = None, days: int | None = None
) -> World:
    """The same world with another seed, crowd or length. Raises SpecError for a senseless one."""
    for name, given, least in (("seed", seed, 0), ("users", users, 1), ("days", days, 1)):
        if given is not None and given < least:
            raise SpecError(f"{name}: expected a whole number of {least} or more, received {given}")
    return replace(
        world,
        seed=world.seed if seed is None else seed,
        users=world.users if users is None else replace(world.users, count=users),
        days=world.days if days is None else days,
    )


def _world(root: WorldTable) -> World:
    items = _items(root.part("items"))
    domains = _domains(root, items)
    return World(
        name=root.text("name"),
        seed=root.count("seed"),
        start_ms=_start_ms(root),
        days=root.count("days", least=1),
        slice_ms=_slice_ms(root),
        target=_target(root, domains),
        users=_users(root.part("users")),
        items=items,
        texts=_texts(root.part("texts")),
        domains=domains,
        attraction=_appeal(root.part("attraction"), priced=False),
        conversion=_appeal(root.part("conversion"), priced=True),
        follow=_follow(root.part("follow")),
        journeys=_journeys(root.part("journeys")),
        retractions=root.rates("retractions", FEEDBACK),
        delays=_delays(root.part("delays")),
        faults=_faults(root.part("faults")),
        lookback_ms=root.duration_ms("lookback"),
    )


def _start_ms(root: WorldTable) -> int:
    expected = "midnight UTC of a day after 1970, such as 2025-01-06T00:00:00Z"
    start = root.take("start", datetime, expected, REQUIRED)
    start_ms = round(start.replace(tzinfo=start.tzinfo or UTC).timestamp() * 1000)
    if start_ms % DAY_MS or start_ms <= DAY_MS:
        raise root.fail("start", expected, str(start))
    return start_ms


def _slice_ms(root: WorldTable) -> int:
    slice_ms = root.duration_ms("slice")
    if not slice_ms or DAY_MS % slice_ms:
        raise root.fail("slice", "a duration that divides a day", root.values["slice"])
    return slice_ms


def _target(root: WorldTable, domains: Mapping[str, Domain]) -> str:
    target = root.text("target")
    if target not in domains:
        raise root.fail("target", "the name of a domain", target, near_match(target, domains))
    return target


def _users(table: WorldTable) -> Users:
    users = Users(
        count=table.count("count", least=1),
        requests_per_day=table.weight("requests_per_day"),
        activity_spread=table.number("activity_spread"),
        interest_spread=table.number("interest_spread"),
        drift=table.rate("drift"),
    )
    table.finish()
    return users


def _items(table: WorldTable) -> Items:
    items = Items(
        count=table.count("count", least=1),
        categories=table.count("categories", least=1),
        intents_per_category=table.count("intents_per_category", least=1),
        sellers=table.count("sellers", least=1),
        without_title=table.rate("without_title"),
        changes_per_day=table.number("changes_per_day"),
        retitled=table.rate("retitled"),
        price_median=table.number("price_median", least=0.01),
        price_spread=table.number("price_spread"),
    )
    table.finish()
    if items.sellers < items.categories:
        raise table.fail("sellers", "one or more for each category", items.sellers)
    return items


def _texts(table: WorldTable) -> Texts:
    texts = Texts(
        words_per_category=table.count("words_per_category", least=1),
        words_per_intent=table.count("words_per_intent", least=2),
        shared_words=table.count("shared_words", least=1),
        wordings=table.count("wordings", least=1),
        seen_once=table.rate("seen_once"),
    )
    table.finish()
    return texts


def _domains(root: WorldTable, items: Items) -> dict[str, Domain]:
    names = root.tables("domains")
    if len(names) < 2:
        raise root.fail("domains", "two domains or more", list(names))
    domains = root.part("domains")
    return {name: _domain(name, domains.part(name), items) for name in names}


def _domain(name: str, table: WorldTable, items: Items) -> Domain:
    scenarios = table.part("scenarios")
    policy: Any = table.choice("policy", get_args(Policy))
    candidates = table.count("candidates", least=1)
    if items.count // items.categories < 2 * candidates:
        most = items.count // items.categories // 2
        raise table.fail("candidates", f"at most {most}, half of a category's items", candidates)
    domain = Domain(
        name=name,
        share=table.weight("share"),
        policy=policy,
        scenarios={scenario: scenarios.weight(scenario) for scenario in scenarios.values},
        candidates=candidates,
        exposed=_exposed(table, candidates),
        position_bias=table.number("position_bias"),
        click=_inner_rate(table, "click"),
        precision=table.rate("precision"),
        ranking_noise=table.number("ranking_noise"),
    )
    if not domain.scenarios:
        raise table.fail("scenarios", "a weight for each of one scenario or more", {})
    table.finish()
    return domain


def _exposed(table: WorldTable, candidates: int) -> tuple[int, int]:
    expected = f"[least, most] with 1 ≤ least ≤ most ≤ {candidates}"
    exposed = table.take("exposed", list, expected, REQUIRED)
    whole = len(exposed) == 2 and all(type(count) is int for count in exposed)
    if not (whole and 1 <= exposed[0] <= exposed[1] <= candidates):
        raise table.fail("exposed", expected, exposed)
    return exposed[0], exposed[1]


def _inner_rate(table: WorldTable, key: str) -> float:
    rate = table.rate(key)
    if rate in (0, 1):
        raise table.fail(key, "a rate between 0 and 1, neither of them", rate)
    return rate


def _appeal(table: WorldTable, priced: bool) -> Appeal:
    appeal = Appeal(
        relevance=0.0 if priced else table.number("relevance"),
        interest=table.number("interest"),
        quality=table.number("quality"),
        price=table.number("price") if priced else 0.0,
    )
    table.finish()
    return appeal


def _follow(table: WorldTable) -> Follow:
    follow = Follow(cart=table.rate("cart"), conversion=_inner_rate(table, "conversion"))
    table.finish()
    return follow


def _journeys(table: WorldTable) -> Journeys:
    names = [name for name in Journeys.__dataclass_fields__ if name != "unnamed"]
    rates = {name: table.rate(name) for name in names}
    unnamed = table.rate("unnamed")
    if rates["named"] + unnamed > 1:
        raise table.fail("unnamed", f"at most {1 - rates['named']:g}, 1 - named", unnamed)
    table.finish()
    return Journeys(**rates, unnamed=unnamed)


def _delays(table: WorldTable) -> dict[str, Delay]:
    delays = {name: _delay(table.part(name)) for name in DELAYS}
    table.finish()
    return delays


def _delay(table: WorldTable) -> Delay:
    delay = Delay(
        median_ms=table.duration_ms("median"),
        spread=table.number("spread"),
        longest_ms=table.duration_ms("longest"),
    )
    if not 0 < delay.median_ms <= delay.longest_ms:
        expected = "a duration above zero and at most `longest`"
        raise table.fail("median", expected, table.values["median"])
    table.finish()
    return delay


def _faults(table: WorldTable) -> Faults:
    names = ("missing_scenario", "unknown_scenario", "duplicate", "moved_duplicate", "late")
    faults = Faults(
        missing_request_id=table.rates("missing_request_id", FEEDBACK),
        disorder_ms=table.duration_ms("disorder"),
        **{name: table.rate(name) for name in names},
    )
    table.finish()
    return faults
