"""Made-up words, so that titles and queries of one intent look alike and those of others do not."""

from dataclasses import dataclass

import numpy as np

from pipelines.simulate.rows import Ints
from pipelines.simulate.world import World

Rng = np.random.Generator

_ONSETS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "sh", "tr")
_VOWELS = ("a", "e", "i", "o", "u")
_SYLLABLES = tuple(onset + vowel for onset in _ONSETS for vowel in _VOWELS)


def word(number: int) -> str:
    """The word of a number: two syllables or more; other numbers have other words.

    >>> word(0), word(1), word(80), word(6_400)
    ('baba', 'beba', 'babe', 'bababe')
    """
    base = len(_SYLLABLES)
    digits = [number % base, number // base % base]
    number //= base * base
    while number:
        digits.append(number % base)
        number //= base
    return "".join(_SYLLABLES[digit] for digit in digits)


@dataclass(frozen=True)
class Vocabulary:
    """Which words there are: each category, each intent and everybody has some of their own.

    Numbers of words: first those that all share, then by category, then by intent.
    """

    shared: int
    categories: int
    per_category: int
    intents_per_category: int
    per_intent: int

    @classmethod
    def of(cls, world: World) -> "Vocabulary":
        """The vocabulary that a world's texts are drawn from."""
        texts, items = world.texts, world.items
        return cls(
            texts.shared_words,
            items.categories,
            texts.words_per_category,
            items.intents_per_category,
            texts.words_per_intent,
        )

    def words(self) -> list[str]:
        """Every word, by number."""
        first_intent = self.shared + self.categories * self.per_category
        intents = self.categories * self.intents_per_category
        return [word(number) for number in range(first_intent + intents * self.per_intent)]

    def titles(self, rng: Rng, intent: Ints) -> Ints:
        """Two words of the intent, two of its category and one that all share, shape [n, 5]."""
        return np.column_stack(
            [
                self._of_intent(rng, intent, 2),
                self._of_category(rng, intent // self.intents_per_category, 2),
                rng.integers(self.shared, size=(len(intent), 1)),
            ]
        )

    def wordings(self, rng: Rng, intent: Ints) -> Ints:
        """Two words of the intent and one of its category, shape [n, 3]."""
        category = intent // self.intents_per_category
        own = self._of_intent(rng, intent, 2)
        return np.column_stack([own, self._of_category(rng, category, 1)])

    def _of_category(self, rng: Rng, category: Ints, count: int) -> Ints:
        return self.shared + _some(rng, category, count, self.per_category)

    def _of_intent(self, rng: Rng, intent: Ints, count: int) -> Ints:
        first = self.shared + self.categories * self.per_category
        return first + _some(rng, intent, count, self.per_intent)


def _some(rng: Rng, group: Ints, count: int, size: int) -> Ints:
    """Up to `count` different members of each row's group, whose members are consecutive."""
    start = rng.integers(size, size=(len(group), 1))
    step = rng.integers(1, max(2, size // max(1, count - 1)), size=(len(group), 1))
    return group[:, None] * size + (start + step * np.arange(count)) % size
