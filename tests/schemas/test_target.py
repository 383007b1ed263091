"""The `[target]` section: what it means, and every way in which it can be wrong."""

from dataclasses import fields
from pathlib import Path

import pytest

from schemas.errors import SpecError
from schemas.record import user_window_schema
from schemas.spec import (
    Domain,
    Feature,
    Searchify,
    Sequences,
    Spec,
    Stream,
    Target,
    Task,
    Time,
    Window,
    parse,
    spec_digest,
)

TARGET = """
[target]
domain = "search"
unexposed = 4
seed = 7

[target.searchify]
negatives = 3
floor = 0.25
query_memory = 28
text = ["color", "tags"]
"""


def test_a_target_domain_is_read_with_all_its_settings(shop_toml: str) -> None:
    spec = parse(shop_toml + TARGET)
    searchify = Searchify(3, 0.25, 28, ("color", "tags"), "ngrams")
    assert spec.target == Target("search", True, 4, 7, searchify)


def test_what_is_left_out_of_it_has_a_default(shop_toml: str) -> None:
    spec = parse(shop_toml + '[target]\ndomain = "search"\n')
    assert spec.target == Target("search", hierarchical=True, unexposed=0, seed=0, searchify=None)


def test_it_decides_windows(shop: Spec, shop_toml: str) -> None:
    with_target, other = parse(shop_toml + TARGET), parse(shop_toml + TARGET.replace("= 4", "= 5"))
    assert len({spec_digest(one) for one in (shop, with_target, other)}) == 3


def test_only_requests_of_a_searchified_target_tell_their_source(
    shop: Spec, shop_toml: str
) -> None:
    names = {"source_request", "query_path", "query_score"}

    def of(spec: Spec) -> set[str]:
        requests = user_window_schema(spec).field("requests").type.value_type
        return names & {requests.field(at).name for at in range(requests.num_fields)}

    assert of(parse(shop_toml + TARGET)) == names
    assert of(shop) == of(parse(shop_toml + '[target]\ndomain = "search"\n')) == set()


def test_a_feature_may_be_logged_in_some_domains_only(shop_toml: str) -> None:
    hour = 'hour = { owner = "context", type = "id"'
    spec = parse(shop_toml.replace(hour, hour + ', domains = ["feed"]'))
    assert spec.features["hour"].is_logged_in("feed")
    assert not spec.features["hour"].is_logged_in("search")
    assert spec.features["age"].is_logged_in("search")


COMPLAINTS = [
    ('domain = "search"', 'domain = "serach"', "target.domain: expected the name of a domain, "
     "received 'serach' (did you mean 'search'?)"),
    ('domain = "search"\n', "", "target.domain: expected a string, received nothing"),
    ("unexposed = 4", "unexposed = -1",
     "target.unexposed: expected a whole number of 0 or more, received -1"),
    ("unexposed =", "unexpose =",
     "target.unexpose: expected no such key (did you mean 'unexposed'?)"),
    ("floor = 0.25", "floor = 1.5",
     "target.searchify.floor: expected a number from 0 to 1, received 1.5"),
    ("negatives = 3\n", "", "target.searchify.negatives: expected a whole number of 0 or more, "
     "received nothing"),
    ('["color", "tags"]', '["colour"]', "target.searchify.text: expected the name of an item "
     "feature of type id or ids, received 'colour' (did you mean 'color'?)"),
    ("floor = 0.25", 'encoder = "ngram"', "target.searchify.encoder: expected one of ngrams, "
     "sentences, received 'ngram' (did you mean 'ngrams'?)"),
    ('item = { kind = "item" }', "", "target.searchify: expected a stream of kind 'item' that "
     "gives titles, received 'none'"),
    ('match = { owner = "cross", type = "number" }',
     'match = { owner = "cross", type = "number", recipe = "query_title_similarty" }',
     "features.match.recipe: expected one of query_title_similarity, received "
     "'query_title_similarty' (did you mean 'query_title_similarity'?)"),
    ('hour = { owner = "context", type = "id" }',
     'hour = { owner = "context", type = "id", recipe = "query_title_similarity" }',
     "features.hour.recipe: expected none but for a cross feature of type number, received "
     "'query_title_similarity'"),
    ('hour = { owner = "context", type = "id" }',
     'hour = { owner = "context", type = "id", domains = ["fed"] }',
     "features.hour.domains: expected the name of a domain, received 'fed' "
     "(did you mean 'feed'?)"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "complaint"), COMPLAINTS)
def test_a_wrong_target_is_refused_with_one_complaint(
    shop_toml: str, right: str, wrong: str, complaint: str
) -> None:
    text = shop_toml + TARGET
    assert right in text
    with pytest.raises(SpecError) as caught:
        parse(text.replace(right, wrong, 1), "shop.toml")
    assert str(caught.value) == f"shop.toml: {complaint}"


def test_the_documentation_names_every_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "spec.md").read_text()
    for owner in (Window, Time, Stream, Domain, Task, Feature, Sequences, Target, Searchify):
        for key in fields(owner):
            shown = key.name.removesuffix("_ms")
            known = shown in ("name", "searchify") or f".{shown}`" in page
            assert known, f"{owner.__name__}.{key.name}"
