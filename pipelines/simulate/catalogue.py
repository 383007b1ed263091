"""Items, sellers and query texts, and how the catalogue's entries change over time.

Items of one intent have consecutive numbers, and so have those of one category; their ids are
numbered in another order.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.simulate.rows import Bools, Floats, Ints, Numbers, Rows
from pipelines.simulate.words import Vocabulary
from pipelines.simulate.world import DAY_MS, World

Rng = np.random.Generator

PUBLISHED_BEFORE_MS = 3_600_000
"""Every item has an entry so long before the world starts."""


@dataclass(frozen=True)
class ItemEvents(Rows):
    """Entries as they were published."""

    item: Numbers
    cents: Numbers
    title: Ints
    """Words, [n, 5]."""
    titled: Bools


@dataclass
class Catalogue:
    """What there is; `cents` and `title` are of the present, all else stays."""

    intent: Numbers
    """Of each item, as are category, seller, quality, cents, title and titled."""
    category: Numbers
    seller: Numbers
    quality: Floats
    cents: Numbers
    title: Ints
    titled: Bools
    intent_first: Ints
    """First item of each intent, and the end, [intents + 1]."""
    category_first: Ints
    by_seller: Ints
    """Items in the order of their sellers."""
    seller_first: Ints
    """Where each seller begins in `by_seller`, and the end."""
    wordings: Ints
    """Words of the query texts, [intents x wordings, 3]."""
    item_ids: pa.Array
    words: pa.Array

    @classmethod
    def of(cls, world: World, rng: Rng) -> "Catalogue":
        """The catalogue at the start."""
        count, per_category = world.items.count, world.items.intents_per_category
        intent = np.arange(count) * world.intents // count
        category = intent // per_category
        seller = _sellers(world, rng, category)
        vocabulary = Vocabulary.of(world)
        return cls(
            intent=intent.astype(np.int32),
            category=category.astype(np.int32),
            seller=seller.astype(np.int32),
            quality=rng.standard_normal(count, np.float32),
            cents=_cents(world, rng, count),
            title=vocabulary.titles(rng, intent),
            titled=rng.random(count) >= world.items.without_title,
            intent_first=np.searchsorted(intent, np.arange(world.intents + 1)),
            category_first=np.searchsorted(category, np.arange(world.items.categories + 1)),
            by_seller=np.argsort(seller, kind="stable"),
            seller_first=np.searchsorted(np.sort(seller), np.arange(world.items.sellers + 1)),
            wordings=vocabulary.wordings(rng, _repeated(world)),
            item_ids=pa.array([f"i{number}" for number in rng.permutation(count).tolist()]),
            words=pa.array(vocabulary.words()),
        )

    def entries(self, time_ms: int) -> ItemEvents:
        """Every item as it is, published at one time."""
        return self._events(np.arange(len(self.intent)), time_ms)

    def change(self, world: World, rng: Rng, time_ms: int) -> ItemEvents:
        """Change what changes in one slice, from its beginning on: prices, sometimes titles."""
        mean = world.items.count * world.items.changes_per_day * world.slice_ms / DAY_MS
        count = min(int(rng.poisson(mean)), world.items.count)
        item = np.sort(rng.choice(world.items.count, count, replace=False))
        self.cents[item] = _cents(world, rng, len(item))
        retitled = item[rng.random(len(item)) < world.items.retitled]
        vocabulary = Vocabulary.of(world)
        self.title[retitled] = vocabulary.titles(rng, self.intent[retitled].astype(np.int64))
        return self._events(item, time_ms)

    def _events(self, item: Ints, time_ms: int) -> ItemEvents:
        return ItemEvents(
            np.full(len(item), time_ms),
            item.astype(np.int32),
            self.cents[item],
            self.title[item],
            self.titled[item],
        )


def _repeated(world: World) -> Ints:
    """The intent of every wording."""
    return np.repeat(np.arange(world.intents), world.texts.wordings)


def _sellers(world: World, rng: Rng, category: Ints) -> Ints:
    """A seller of the item's category for each item; sellers have one category each."""
    of_category = np.arange(world.items.sellers) * world.items.categories // world.items.sellers
    first = np.searchsorted(of_category, np.arange(world.items.categories + 1))
    count = np.diff(first)[category]
    return first[category] + (rng.random(len(category)) * count).astype(np.int64)


def _cents(world: World, rng: Rng, count: int) -> Numbers:
    price = world.items.price_median * np.exp(world.items.price_spread * rng.standard_normal(count))
    return np.clip(np.round(100 * price), 1, 10**8).astype(np.int32)
