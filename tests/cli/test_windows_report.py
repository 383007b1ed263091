"""`millstream windows report`: the files, the page, and what is wrong with what it is given."""

import base64
import json
import xml.etree.ElementTree as ET
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from schemas.windows.names import window_name
from tests.report.corner_shop import SPEC_TEXT, start_ms, write_dead_letters, write_store

ALL = [
    *("volume", "origins", "tiers", "delays", "unexposed", "queries", "revisions"),
    "dead_letters",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("report") / "windows")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    file = tmp_path / "corner.toml"
    file.write_text(SPEC_TEXT, encoding="utf-8")
    return file


def page_of(out: Path) -> ET.Element:
    """The page, which is XML as well, so that nothing in it is left open."""
    text = (out / "report.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>\n")
    return ET.fromstring(text.removeprefix("<!doctype html>\n"))


def table_of(page: ET.Element) -> dict[str, str]:
    cells = [[cell.text or "" for cell in row] for row in page.iter("tr")]
    return dict(cells)


def test_a_page_holds_every_plot_and_needs_nothing_else(run, store: Path, tmp_path: Path) -> None:
    answer = run("windows", "report", store, "--out", tmp_path / "out")
    assert (answer.code, answer.out) == (0, f"{tmp_path}/out/report.html: 8 plots\n")
    page = page_of(tmp_path / "out")
    shown = {figure.get("id"): figure.find("img") for figure in page.iter("figure")}
    assert list(shown) == ALL
    for name, image in shown.items():
        kind, _, data = image.get("src").partition(",")
        assert kind == "data:image/png;base64"
        content = base64.b64decode(data, validate=True)
        assert content == (tmp_path / "out" / f"{name}.png").read_bytes()
        assert Image.open(BytesIO(content)).width > 1000
    assert all(len("".join(one.itertext())) > 60 for one in page.iter("figcaption"))
    linked = [one.attrib for one in page.iter() if {"src", "href"} & set(one.attrib)]
    assert len(linked) == len(ALL)
    assert not list(page.iter("script")) + list(page.iter("link"))
    assert "url(" not in page.find("head/style").text


def test_the_summary_is_in_numbers(run, store: Path, spec: Path, tmp_path: Path) -> None:
    assert run("windows", "report", store, "--out", tmp_path / "out", "--spec", spec).code == 0
    table = table_of(page_of(tmp_path / "out"))
    assert table.pop("spec").startswith("corner, digest ")
    assert table == {
        "target domain": "search",
        "windows": "3 of 1 h, starting from 2022-05-01 02:00 to 2022-05-01 05:00 UTC",
        "user records": "4",
        "requests": "6",
        "samples": "8",
        "samples by origin": "8: searchified positive 3, exposed 3, unexposed 1, "
        "searchified negative 1",
        "labels of buy": "0 of 8 have feedback (0.00%); 1 got it by a revision",
        "labels of click": "5 of 8 have feedback (62.50%); 0 got it by a revision",
        "revisions": "4: read late 2, retracted 1, known after the cut 1",
        "queries of searchified requests": "3: own 1, none 1, nearest 1",
        "dead letters": "5: bad time 3, late 2",
    }


def test_what_a_store_does_not_hold_is_left_out_and_named(run, store: Path, tmp_path: Path) -> None:
    """The last window alone, as if the others had been removed: no dead letters, no unexposed."""
    alone = tmp_path / "windows"
    (alone / window_name(start_ms(1))).mkdir(parents=True)
    for file in (store / window_name(start_ms(1))).iterdir():
        (alone / file.parent.name / file.name).write_bytes(file.read_bytes())
    out = tmp_path / "out"
    out.mkdir()
    (out / "unexposed.png").write_bytes(b"of an earlier report")
    answer = json.loads(run("windows", "report", alone, "--out", out, "--json").out)
    assert answer["page"] == f"{out}/report.html"
    assert [Path(plot).stem for plot in answer["plots"]] == [*ALL[:4], "queries", "revisions"]
    assert answer["left_out"] == {
        "Labels on samples that were not shown": "no label is on an unexposed sample",
        "Events that were refused": "no event was refused",
    }
    assert sorted(path.stem for path in out.glob("*.png")) == sorted([*ALL[:4], *ALL[5:7]])
    items = [one.text for one in page_of(out).iter("li")]
    assert items == [f"{title}: {why}." for title, why in answer["left_out"].items()]
    assert run("windows", "report", alone, "--out", out).out.splitlines() == [
        f"{out}/report.html: 6 plots",
        *(f"  left out: {title} ({why})" for title, why in answer["left_out"].items()),
    ]


def test_a_spec_of_another_product_is_refused(run, store: Path, smallest: Path, tmp_path: Path):
    answer = run("windows", "report", store, "--out", tmp_path / "out", "--spec", smallest)
    assert (answer.code, answer.out) == (2, "")
    assert "received windows of 'corner'. Name the spec that they were built with" in answer.err


def test_a_place_where_no_folder_can_be_is_refused(run, store: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    answer = run("windows", "report", store, "--out", tmp_path / "out")
    assert (answer.code, answer.out) == (1, "")
    assert f"{tmp_path}/out: expected a folder for the report" in answer.err


def test_a_store_without_a_window_is_refused(run, tmp_path: Path) -> None:
    (tmp_path / "windows").mkdir()
    answer = run("windows", "report", tmp_path / "windows", "--out", tmp_path / "out")
    assert (answer.code, answer.out) == (1, "")
    assert "expected sealed windows, received none. Run `millstream pipeline`" in answer.err


def test_a_damaged_window_is_named_and_nothing_is_written(run, tmp_path: Path) -> None:
    store = write_store(tmp_path / "windows")
    shard = store / window_name(start_ms(3)) / "shard-00000.avro"
    data = bytearray(shard.read_bytes())
    data[-40] ^= 1
    shard.write_bytes(data)
    answer = run("windows", "report", store, "--out", tmp_path / "out")
    assert (answer.code, answer.out) == (1, "")
    assert f"{shard}, block at byte" in answer.err
    assert not list((tmp_path / "out").iterdir())


def test_dead_letters_that_are_none_are_named(run, tmp_path: Path) -> None:
    store = write_store(tmp_path / "windows")
    write_dead_letters(store, 4, "click", ["late"])
    file = store / "dead_letters" / "000004.parquet"
    file.write_bytes(file.read_bytes()[:50])
    answer = run("windows", "report", store, "--out", tmp_path / "out")
    assert (answer.code, answer.out) == (1, "")
    assert f"{file}: expected dead letters as the pipeline writes them" in answer.err
