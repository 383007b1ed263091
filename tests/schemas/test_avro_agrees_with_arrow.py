"""The Arrow and the Avro form of events and records, held against each other field by field."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest

from schemas.events import arrow_schema, avro_record, avro_schema
from schemas.record import (
    revision_avro,
    revision_schema,
    user_window_avro,
    user_window_schema,
)
from schemas.spec import Spec, load

SPECS = sorted(Path("schemas/specs").resolve().glob("*.toml"))
SHOP = Path(__file__).with_name("shop.toml")
Row = tuple[str, str, bool]
"""Path of a field, what it holds, whether it may be null."""

OF_ARROW = {
    pa.string(): "string",
    pa.int64(): "long",
    pa.int32(): "int",
    pa.float64(): "double",
    pa.bool_(): "boolean",
}


def arrow_rows(path: str, field: pa.Field) -> Iterator[Row]:
    kind = field.type
    if pa.types.is_struct(kind):
        yield path, "record", field.nullable
        for index in range(kind.num_fields):
            yield from arrow_rows(f"{path}.{kind.field(index).name}", kind.field(index))
    elif pa.types.is_list(kind):
        yield path, "array", field.nullable
        yield from arrow_rows(f"{path}[]", kind.value_field)
    else:
        yield path, OF_ARROW[kind], field.nullable


def avro_rows(path: str, kind: Any, nullable: bool = False) -> Iterator[Row]:
    if isinstance(kind, list):
        null, inner = kind
        assert null == "null"
        yield from avro_rows(path, inner, nullable=True)
    elif isinstance(kind, dict) and kind["type"] == "record":
        yield path, "record", nullable
        for field in kind["fields"]:
            yield from avro_rows(f"{path}.{field['name']}", field["type"])
    elif isinstance(kind, dict):
        yield path, "array", nullable
        yield from avro_rows(f"{path}[]", kind["items"])
    else:
        yield path, kind, nullable


def pairs(spec: Spec) -> dict[str, tuple[pa.Schema, dict[str, Any]]]:
    events = {name: (arrow_schema(spec, name), avro_schema(spec, name)) for name in spec.streams}
    return events | {
        "user window": (user_window_schema(spec), user_window_avro(spec)),
        "revision": (revision_schema(), revision_avro()),
    }


@pytest.mark.parametrize("file", [SHOP, *SPECS], ids=lambda file: file.stem)
def test_both_forms_list_the_same_fields_in_the_same_order(file: Path) -> None:
    for arrow, avro in pairs(load(file)).values():
        whole = pa.field("", pa.struct(list(arrow)), nullable=False)
        assert list(avro_rows("", avro)) == list(arrow_rows("", whole))


@pytest.mark.parametrize("file", [SHOP, *SPECS], ids=lambda file: file.stem)
def test_fastavro_accepts_every_schema(file: Path) -> None:
    for _, avro in pairs(load(file)).values():
        fastavro.parse_schema(avro)


def test_a_field_that_may_be_absent_defaults_to_null() -> None:
    fields = pa.schema([pa.field("title", pa.string())])
    expected = {"name": "title", "type": ["null", "string"], "default": None}
    assert avro_record("item", fields)["fields"] == [expected]


def test_feedback_carries_the_features_of_sequences(shop: Spec) -> None:
    whole = pa.field("click", pa.struct(list(arrow_schema(shop, "click"))), nullable=False)
    assert list(arrow_rows("click", whole)) == [
        ("click", "record", False),
        ("click.event_id", "string", False),
        ("click.user_id", "string", False),
        ("click.time_ms", "long", False),
        ("click.item_id", "string", False),
        ("click.scenario", "string", True),
        ("click.request_id", "string", True),
        ("click.value", "double", True),
        ("click.tags", "array", True),
        ("click.tags[]", "string", False),
    ]


def test_an_exposure_carries_features_with_their_owners(shop: Spec) -> None:
    exposure = arrow_schema(shop, "exposure")
    assert exposure.names == [
        "request_id", "user_id", "time_ms", "scenario", "query",
        "age", "hour", "words",
        "candidates",
    ]  # fmt: skip
    candidate = exposure.field("candidates").type.value_type
    names = [candidate.field(index).name for index in range(candidate.num_fields)]
    assert names == ["item_id", "position", "exposed", "color", "match", "tags"]


def test_items_and_retractions_have_their_own_fields(shop: Spec) -> None:
    assert arrow_schema(shop, "item").names == ["item_id", "time_ms", "title", "color", "tags"]
    retraction = arrow_schema(shop, "refund")
    assert retraction.names == ["stream", "event_id", "user_id", "time_ms"]
    assert not any(field.nullable for field in retraction)


def test_an_unknown_stream_is_a_key_error(shop: Spec) -> None:
    with pytest.raises(KeyError, match="clicks"):
        arrow_schema(shop, "clicks")


def test_a_record_holds_one_label_a_task_and_hashes_for_ids(shop: Spec) -> None:
    rows = {path: (kind, null) for path, kind, null in avro_rows("", user_window_avro(shop))}
    labels = ".requests[].candidates.labels"
    tasks = [path for path in rows if path.startswith(labels) and path.count(".") == 4]
    assert tasks == [f"{labels}.{task}" for task in ("any_order", "click", "spent")]
    assert rows[f"{labels}.spent.value[]"] == ("double", True)
    assert rows[f"{labels}.spent.open[]"] == ("boolean", False)
    assert rows[".requests[].hour"] == ("long", True)
    assert rows[".requests[].words[]"] == ("long", False)
    assert rows[".requests[].age"] == ("double", True)
    assert rows[".requests[].candidates.tags[][]"] == ("long", False)
    assert rows[".history.tags[][]"] == ("long", False)
    assert ".history.color" not in rows


@pytest.mark.parametrize(
    ("stream", "event"),
    [
        ("click", {"event_id": "e", "user_id": "u", "time_ms": 1, "item_id": "i",
                   "scenario": None, "request_id": "r", "value": 2.5, "tags": ["a", "é"]}),
        ("item", {"item_id": "i", "time_ms": -1, "title": "Tee", "color": "red", "tags": None}),
        ("refund", {"stream": "click", "event_id": "e", "user_id": "u", "time_ms": 2**53}),
        ("exposure", {"request_id": "r", "user_id": "u", "time_ms": 0, "scenario": "home",
                      "query": None, "age": None, "hour": "7", "words": [],
                      "candidates": [{"item_id": "i", "position": 0, "exposed": True,
                                      "color": None, "tags": ["a"], "match": 0.5}]}),
    ],
)  # fmt: skip
def test_an_event_survives_avro_and_arrow(shop: Spec, stream: str, event: dict[str, Any]) -> None:
    arrow = pa.Table.from_pylist([event], schema=arrow_schema(shop, stream))
    avro = fastavro.parse_schema(avro_schema(shop, stream))
    file = io.BytesIO()
    fastavro.writer(file, avro, arrow.to_pylist())
    file.seek(0)
    assert list(fastavro.reader(file)) == [event]
