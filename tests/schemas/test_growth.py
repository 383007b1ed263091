"""How a spec may grow, and what is refused by name."""

import pytest

from schemas.spec import growth, parse, spec_values
from tests.pipeline.small_world import SPEC_TOML

VOCABULARY = 'brand = { owner = "item", type = "id", default = "none", domains = ["search"] }'
SEARCH, FEED = 'domains = ["search"]', "domains.feed.scenarios"
SPENT = f'spent = {{ stream = "buy", horizon = "20s", value = "sum", {SEARCH} }}'
LISTED = VOCABULARY.replace("default", 'vocabulary = ["a", "none"], default')


def grown(*changes: tuple[str, str], base: str = SPEC_TOML) -> tuple[set[str], set[str]]:
    """What is new, in words, and the keys that are refused."""
    text = base
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    what = growth(spec_values(parse(base)), spec_values(parse(text)))
    return set(what.grown), {one.key for one in what.refused}


def test_equal_specs_differ_in_nothing() -> None:
    assert grown() == (set(), set())
    assert grown(('kind = "click"', 'topic = "c", kind = "click"')) == (set(), set())


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("[sequences]", 'b = { owner = "user", type = "id" }\n[sequences]', "new feature b"),
        ("[tasks]", '[tasks]\nt = { stream = "buy", horizon = "9s" }', "new task t"),
        ("[streams]", '[streams]\nlike = { kind = "click" }', "new stream like"),
        (
            '["home", "side"]',
            '["home", "loft", "side"]',
            "new scenario loft in domains.feed.scenarios",
        ),
        ('streams = ["click", "buy"]', 'streams = ["click"]', None),
        ('slack = "2s"', 'slack = "9s"', "time.slack_ms is 9000"),
        ("history = 5", "history = 7", "sequences.history is 7"),
        ("recent = 4", "recent = 2", "sequences.recent is 2"),
        (
            'features = ["brand"]',
            'features = ["brand", "tags"]',
            "new feature tags in sequences.features",
        ),
    ],
)
def test_what_joins_is_told(old: str, new: str, word: str | None) -> None:
    told, refused = grown((old, new))
    assert told == (set() if word is None else {word})
    assert bool(refused) == (word is None)


def test_a_new_domain_joins_the_tasks_that_name_all() -> None:
    told, refused = grown(("[target]", '[domains.shop]\nscenarios = ["till"]\n[target]'))
    assert refused == set()
    assert told == {"new domain shop", "shop in tasks.click.domains", "shop in tasks.buy.domains"}


def test_a_vocabulary_may_only_grow() -> None:
    base = SPEC_TOML.replace(VOCABULARY, LISTED)
    more = LISTED.replace('["a"', '["a", "b"')
    assert grown((LISTED, more), base=base) == ({"more words in features.brand.vocabulary"}, set())
    assert grown((LISTED, VOCABULARY), base=base)[1] == set()
    assert grown((VOCABULARY, LISTED))[1] == {"features.brand.vocabulary"}


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('name = "small"', 'name = "large"', "name"),
        ('length = "10s"', 'length = "20s"', "window.length_ms"),
        ('maturity = "5s"', 'maturity = "6s"', "window.maturity_ms"),
        ('horizon = "8s"', 'horizon = "7s"', "tasks.click.horizon_ms"),
        ('horizon = "8s"', 'horizon = "9s"', "tasks.click.horizon_ms"),
        ('_horizon = "5s"', '_horizon = "6s"', "tasks.buy.retraction_horizon_ms"),
        ('value = "sum"', 'value = "max"', "tasks.spent.value"),
        (f'"sum", {SEARCH}', '"sum", domains = ["feed", "search"]', "tasks.spent.domains"),
        (SPENT, "", "tasks.spent"),
        ('country = { owner = "user", type = "id" }', "", "features.country"),
        ('country = { owner = "user"', 'country = { owner = "context"', "features.country.owner"),
        ("default = 30.0", "default = 31.0", "features.age.default"),
        ('["home", "side"]', '["home"]', "domains.feed.scenarios"),
        ('buy = { kind = "conversion" }', 'buy = { kind = "click" }', "streams.buy.kind"),
        ("unexposed = 1", "unexposed = 2", "target.unexposed"),
        ("negatives = 2", "negatives = 3", "target.searchify.negatives"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_over_is_named(old: str, new: str, key: str) -> None:
    assert key in grown((old, new))[1]
