"""Every way in which a spec can be wrong: file, key, what was expected, what was received."""

from pathlib import Path

import pytest

from schemas.errors import SpecError
from schemas.spec import load, parse

DURATION = "a duration such as '90s', '6h' or '1d'"
NAME = "a name of letters, digits and underscores"
KINDS = "one of exposure, click, conversion, item, retraction"
FEEDBACK = "the name of a click or conversion stream"
AGE = 'age = { owner = "user", type = "number", default = 30 }'
TAGS = 'tags = { owner = "item", type = "ids", table = "words" }'
COLOR = 'color = { owner = "item", type = "id", vocabulary = ["red", "blue"], default = "red" }'
SPENT = 'domains = ["search"] }'
SEARCH = '[domains.search]\nscenarios = ["search_page"]'
FEED = 'scenarios = ["home", "detail"]'

NAMES = [
    ('name = "shop"\n', "", "name: expected a string, received nothing"),
    ('name = "shop"', "name = 3", "name: expected a string, received 3"),
    ('name = "shop"', 'name = "my shop"', f"name: expected {NAME}, received 'my shop'"),
    ('name = "shop"', 'nam = "shop"',
     "name: expected a string, received nothing (is 'nam' a slip?)"),
    ('name = "shop"', 'name = "shop"\ncolour = 1', "colour: expected no such key (known: domains, "
     "features, learner, models, name, sequences, source, streams, target, tasks, time, window)"),
]  # fmt: skip

TIMES = [
    ('"1h"', '"1 hour"', f"window.length: expected {DURATION}, received '1 hour'"),
    ('"1h"', "3600", f"window.length: expected {DURATION}, received 3600"),
    ('"1h"', '"0s"', "window.length: expected a duration above zero, received '0s'"),
    ('length = "1h"', 'lenght = "1h"',
     f"window.length: expected {DURATION}, received nothing (is 'lenght' a slip?)"),
    ("maturity", "maturty", "window.maturty: expected no such key (did you mean 'maturity'?)"),
    ("slack", "slacks", "time.slacks: expected no such key (did you mean 'slack'?)"),
]  # fmt: skip

MECHANISMS = "one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"

SOURCES = [
    ("ordered = true", 'ordered = "yes"', "source.ordered: expected true or false, received 'yes'"),
    ("ordered = true", "order = true",
     "source.order: expected no such key (did you mean 'ordered'?)"),
    ("ordered = true", 'kafka.security_protocol = "SSH"',
     "source.kafka.security_protocol: expected one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL,"
     " received 'SSH' (did you mean 'SSL'?)"),
    ("ordered = true", 'kafka.security_protocol = "SASL_SSL"',
     f"source.kafka.sasl_mechanism: expected {MECHANISMS}, received nothing"),
    ("ordered = true", 'kafka.sasl_mechanism = "PLAINS"',
     f"source.kafka.sasl_mechanism: expected {MECHANISMS}, received 'PLAINS'"
     " (did you mean 'PLAIN'?)"),
    ("ordered = true", 'kafka.sasl_password = "x"',
     "source.kafka.sasl_password: expected no such key"
     " (known: sasl_mechanism, security_protocol, ssl_cafile, ssl_certfile, ssl_check_hostname,"
     " ssl_keyfile)"),
]  # fmt: skip

STREAMS = [
    ('kind = "click"', 'kind = "clik"',
     f"streams.click.kind: expected {KINDS}, received 'clik' (did you mean 'click'?)"),
    ('kind = "click"', 'knd = "click"',
     f"streams.click.kind: expected {KINDS}, received nothing (is 'knd' a slip?)"),
    ('{ kind = "click" }', '"click"', "streams.click: expected a table, received 'click'"),
    ('topic = "orders"', "topic = 7", "streams.order.topic: expected a string, received 7"),
    ("topic =", "topics =", "streams.order.topics: expected no such key (did you mean 'topic'?)"),
    ("refund =", '"re-fund" =', f"streams: expected {NAME}, received 're-fund'"),
    ('exposure = { kind = "exposure" }', "",
     "streams: expected exactly one stream of kind 'exposure', received []"),
    ('item = { kind = "item" }', 'item = { kind = "item" }\ngoods = { kind = "item" }',
     "streams: expected at most one stream of kind 'item', received ['goods', 'item']"),
    ('{ kind = "retraction" }', '{ kind = "exposure" }',
     "streams: expected exactly one stream of kind 'exposure', received ['exposure', 'refund']"),
]  # fmt: skip

DOMAINS = [
    ('["search_page"]', "[]",
     "domains.search.scenarios: expected at least one scenario, received []"),
    ('["search_page"]', '"search_page"',
     "domains.search.scenarios: expected a list of strings, received 'search_page'"),
    (FEED, 'scenarios = ["home", 1]',
     "domains.feed.scenarios: expected a list of non-empty strings, received 1"),
    (FEED, 'scenarios = [""]',
     "domains.feed.scenarios: expected a list of non-empty strings, received ''"),
    (FEED, 'scenarios = ["home", "home"]',
     "domains.feed.scenarios: expected each name once, received 'home'"),
    (FEED, 'scenarios = ["search_page"]',
     "domains.search.scenarios: expected no scenario of domain 'feed', received 'search_page'"),
    (FEED, FEED + "\ntarget = true",
     "domains.feed.target: expected no such key (known: scenarios)"),
    (f"{SEARCH}\n\n[domains.feed]\n{FEED}", "[domains]",
     "domains: expected at least one domain, received {}"),
    (SEARCH, SEARCH.replace("search]", '"se arch"]'),
     f"domains: expected {NAME}, received 'se arch'"),
]  # fmt: skip

TASKS = [
    ('stream = "click"', 'stream = "clicks"',
     f"tasks.click.stream: expected {FEEDBACK}, received 'clicks' (did you mean 'click'?)"),
    ('stream = "click"', 'stream = "exposure"',
     f"tasks.click.stream: expected {FEEDBACK}, received 'exposure' (known: click, order)"),
    (', horizon = "30m"', "", f"tasks.click.horizon: expected {DURATION}, received nothing"),
    ('value = "sum"', 'value = "median"',
     "tasks.spent.value: expected one of binary, sum, max, last, received 'median' "
     "(known: binary, last, max, sum)"),
    (SPENT, 'domains = ["serach"] }',
     "tasks.spent.domains: expected the name of a domain, received 'serach' "
     "(did you mean 'search'?)"),
    (SPENT, "domains = [] }", "tasks.spent.domains: expected at least one domain, received []"),
    ("retraction_horizon", "refund_horizon",
     "tasks.spent.refund_horizon: expected no such key (did you mean 'retraction_horizon'?)"),
    ("any_order =", '"any order" =', f"tasks: expected {NAME}, received 'any order'"),
]  # fmt: skip

FEATURES = [
    (AGE, AGE.replace('"user"', '"usr"'), "features.age.owner: expected one of user, context, "
     "query, item, cross, received 'usr' (did you mean 'user'?)"),
    (AGE, AGE.replace('"number"', '"float"'), "features.age.type: expected one of id, ids, number, "
     "received 'float' (known: id, ids, number)"),
    (AGE, AGE.replace("30", "true"), "features.age.default: expected a number, received True"),
    (AGE, AGE.replace("30", "nan"), "features.age.default: expected a finite number, received nan"),
    (AGE, AGE.replace("default = 30", 'vocabulary = ["a"]'),
     "features.age.vocabulary: expected none for a number, received ['a']"),
    (AGE, AGE.replace("default = 30", 'table = "a"'), "features.age.table: expected no such key "
     "(known: default, domains, owner, recipe, type, vocabulary)"),
    (AGE, AGE.replace("age", "labels"),
     "features: expected a name that no event field has, received 'labels'"),
    (AGE, AGE.replace("age", '"a ge"'), f"features: expected {NAME}, received 'a ge'"),
    (COLOR, COLOR.replace('t = "red"', "t = 3"),
     "features.color.default: expected a string, received 3"),
    (COLOR, COLOR.replace('t = "red"', 't = "green"'),
     "features.color.default: expected a word of the vocabulary, received 'green'"),
    (TAGS, TAGS.replace("table", "default"),
     "features.tags.default: expected none for a list of ids, received 'words'"),
]  # fmt: skip

SEQUENCES = [
    ('["click", "order"]', '["item"]', "sequences.streams: expected the name of a click or "
     "conversion stream, received 'item' (known: click, order)"),
    ('["tags"]', '["age"]', "sequences.features: expected the name of an item feature, "
     "received 'age' (known: color, tags)"),
    ("history = 10", "history = -1",
     "sequences.history: expected a whole number of 0 or more, received -1"),
    ("recent = 5", "recent = true",
     "sequences.recent: expected a whole number of 0 or more, received True"),
    ("recent = 5", "", "sequences.recent: expected a whole number of 0 or more, received nothing"),
    ("recent = 5", "recent = 5\ncap = 1", "sequences.cap: expected no such key "
     "(known: features, history, recent, streams)"),
]  # fmt: skip

COMPLAINTS = [*NAMES, *TIMES, *SOURCES, *STREAMS, *DOMAINS, *TASKS, *FEATURES, *SEQUENCES]


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"), COMPLAINTS, ids=[c[2].split(", rec")[0] for c in COMPLAINTS]
)
def test_a_wrong_spec_is_refused_with_one_complaint(
    shop_toml: str, right: str, wrong: str, complaint: str
) -> None:
    assert right in shop_toml
    with pytest.raises(SpecError) as caught:
        parse(shop_toml.replace(right, wrong, 1), "shop.toml")
    assert str(caught.value) == f"shop.toml: {complaint}"


def test_a_product_without_tasks_is_refused(shop_toml: str) -> None:
    before, rest = shop_toml.split("[tasks]")
    after = rest.split("[features]")[1]
    with pytest.raises(SpecError, match="tasks: expected at least one task, received {}"):
        parse(f"{before}[tasks]\n[features]{after}")


def test_text_that_is_not_toml_is_refused_with_the_place() -> None:
    with pytest.raises(SpecError, match=r"shop\.toml: expected TOML, .*line 2, column \d+"):
        parse('name = "shop"\nwindow = \n', "shop.toml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    with pytest.raises(SpecError) as caught:
        load(file)
    expected = "expected a readable TOML file, received: No such file or directory"
    assert str(caught.value) == f"{file}: {expected}"


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_bytes('name = "café"'.encode("latin-1"))
    with pytest.raises(SpecError, match="received: not UTF-8"):
        load(file)
