"""How often the nearest text is a right one, for the n-gram encoder and its variants.

Two tasks, each a question put to a corpus of short texts, as a title is put to the queries:

    world      an item's title of the simulated world `demo`; the nearest of all query texts is
               right if it has the item's intent
    RankLens   the first sentence about a movie; the nearest of all tags that people gave to movies
               is right if it is one of the movie's own

Variants differ in the width of the vector and in how often a whole word counts beside its
trigrams; `words` counts whole words only, unhashed. Of equally near texts the smaller one answers,
as in the pipeline; `ties` is the share that is right if one of them answers at random.

    python benchmarks/text_encoder.py [--sentences]
"""

import argparse
import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from millstream.demo.kuairand import shipped_data
from pipelines.replay.ranklens import EVENTS_FILE
from pipelines.similarity.encoder import encoder_of
from pipelines.simulate.catalogue import Catalogue
from pipelines.simulate.events import phrases
from pipelines.simulate.seeds import Seeds
from pipelines.simulate.world_file import load

Vectors = npt.NDArray[Any]
Encode = Callable[[list[str]], Vectors]
WIDTHS, WEIGHTS = (256, 512, 1024), (1, 2)


@dataclass(frozen=True)
class Task:
    """Questions, a sorted corpus without repeats, and which entries answer which, [Q, N]."""

    name: str
    questions: list[str]
    corpus: list[str]
    right: npt.NDArray[np.bool_]


def main() -> None:
    """Print a line for each encoder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sentences", action="store_true", help="also the extra; takes minutes")
    encoders: dict[str, Encode] = {
        f"ngrams, width {width}, whole word x {weight}": _grams(width, weight)
        for width in WIDTHS
        for weight in WEIGHTS
    }
    encoders["words"] = _words
    if parser.parse_args().sentences:
        encoders["sentences"] = lambda texts: encoder_of("sentences").encode(pa.array(texts))
    tasks = [_world(), _ranklens()]
    _check(tasks[0].corpus)
    for name, encode in encoders.items():
        print(f"{name:34}", *(_line(task, encode) for task in tasks), flush=True)


def _line(task: Task, encode: Encode) -> str:
    both = encode(task.questions + task.corpus).astype(np.float64)
    lengths = np.linalg.norm(both, axis=1, keepdims=True)
    both /= np.maximum(lengths, 1)
    asked, corpus = np.split(both, [len(task.questions)])
    cosines_QN = np.round(asked @ corpus.T, 9)
    nearest = cosines_QN.argmax(axis=1)
    ties_QN = cosines_QN == cosines_QN.max(axis=1, keepdims=True)
    by_chance = (ties_QN & task.right).sum(axis=1) / ties_QN.sum(axis=1)
    right = task.right[np.arange(len(nearest)), nearest]
    return f"  {task.name} {right.mean():.4f} (ties {by_chance.mean():.4f})"


def _world() -> Task:
    """Every fourth item; all wordings as if each had been asked before."""
    world = load("demo")
    stock = Catalogue.of(world, Seeds(world.seed).catalogue())
    titles, queries = (
        phrases(stock.words, words).to_pylist() for words in (stock.title[::4], stock.wordings)
    )
    corpus = sorted(set(queries))
    intent = {text: at // world.texts.wordings for at, text in enumerate(queries)}
    asked = np.array([intent[text] for text in corpus])
    return Task("world", titles, corpus, stock.intent[::4, None] == asked)


def _ranklens() -> Task:
    movies = _movies()
    corpus = sorted({tag for _, tags in movies for tag in tags})
    place = {tag: at for at, tag in enumerate(corpus)}
    right = np.zeros((len(movies), len(corpus)), np.bool_)
    for row, (_, tags) in enumerate(movies):
        right[row, [place[tag] for tag in tags]] = True
    return Task("RankLens", [sentence for sentence, _ in movies], corpus, right)


def _movies() -> list[tuple[str, list[str]]]:
    """The first sentence of each movie's description, and its tags."""
    movies = []
    with gzip.open(shipped_data().parent / "ranklens" / EVENTS_FILE, "rt") as lines:
        for line in lines:
            event = json.loads(line)
            said = {one["name"]: one["value"] for one in event.get("fields", [])}
            if event["event"] == "item" and said.get("description"):
                first = re.split(r"(?<=[.!?])\s", said["description"])[0]
                movies.append((first, said.get("tags", [])))
    return movies


def _grams(width: int, weight: int) -> Encode:
    return lambda texts: np.array([_vector(text, width, weight) for text in texts], np.float32)


def _vector(text: str, width: int, weight: int) -> list[int]:
    """The n-gram encoder's definition, with another width and weight of whole words."""
    sums = [0] * width
    for word in text.lower().split():
        marked = f"<{word}>"
        grams = [(marked[at : at + 3], 1) for at in range(len(marked) - 2)]
        for gram, times in grams + ([(marked, weight)] if len(marked) > 3 else []):
            hashed = xxhash.xxh3_64_intdigest(gram.encode())
            sums[hashed % width] += times if hashed < 1 << 63 else -times
    return sums


def _words(texts: list[str]) -> Vectors:
    split = [text.lower().split() for text in texts]
    place = {word: at for at, word in enumerate(sorted({word for one in split for word in one}))}
    counts = np.zeros((len(texts), len(place)), np.float32)
    for row, words in enumerate(split):
        for word in words:
            counts[row, place[word]] += 1
    return counts


def _check(texts: list[str]) -> None:
    """The variant that is no variant is the encoder."""
    plain = _grams(WIDTHS[0], WEIGHTS[0])(texts)
    if not np.array_equal(plain, encoder_of("ngrams").encode(pa.array(texts))):
        raise AssertionError("the definition here and the encoder differ")


if __name__ == "__main__":
    main()
