"""The inner loops over bytes, grams and pairs (numba)."""
# mypy: disable-error-code="no-untyped-def"

import numpy as np
from numba import njit

LEAD, MORE = np.uint8(ord("<")), np.uint8(ord(">"))

ALMOST = 1 - 1e-9
"""Far more generous than float64 rounds."""


@njit(cache=True)
def space_at(data, at):
    """The bytes of the white space character that begins at `at`; 0 if none does.

    These are the 29 characters of `str.isspace`, as UTF-8.
    """
    first = data[at]
    if first == 0x20 or 0x09 <= first <= 0x0D or 0x1C <= first <= 0x1F:
        return 1
    if first == 0xC2:
        return 2 if data[at + 1] == 0x85 or data[at + 1] == 0xA0 else 0
    if first < 0xE1 or first > 0xE3:
        return 0
    second, third = data[at + 1], data[at + 2]
    general = second == 0x80 and (third <= 0x8A or third in (0xA8, 0xA9, 0xAF))
    if first == 0xE2:
        return 3 if general or (second == 0x81 and third == 0x9F) else 0
    return 3 if (first, second, third) in ((0xE1, 0x9A, 0x80), (0xE3, 0x80, 0x80)) else 0


@njit(cache=True)
def split(data, offsets):
    """The words of UTF-8 texts: their bytes, where each begins, where each text's words begin."""
    total = offsets[-1] - offsets[0]
    text = np.empty(total, np.uint8)
    begins = np.zeros(total + 1, np.int32)
    of_text = np.zeros(len(offsets), np.int64)
    size, count = 0, 0
    for row in range(len(offsets) - 1):
        at = offsets[row]
        while at < offsets[row + 1]:
            space = space_at(data, at)
            if space == 0:
                text[size] = data[at]
                size += 1
            at += max(space, 1)
            if size > begins[count] and (space > 0 or at == offsets[row + 1]):
                count += 1
                begins[count] = size
        of_text[row + 1] = count
    return text[:size], begins[: count + 1], of_text


@njit(cache=True)
def mark(data, begin, end, marked, starts):
    """Write `<word>` to `marked`, and where each character starts; return how many there are."""
    size = end - begin + 2
    marked[0], marked[size - 1] = LEAD, MORE
    marked[1 : size - 1] = data[begin:end]
    chars = 0
    for at in range(size):
        if marked[at] & 0xC0 != 0x80:
            starts[chars] = at
            chars += 1
    starts[chars] = size
    return chars


@njit(cache=True)
def grams(data, offsets):
    """The grams of UTF-8 words: their bytes, where each begins, where each word's grams begin.

    Of `<word>` these are every three characters in a row, then all of it where it is longer.
    """
    words = len(offsets) - 1
    total = offsets[words] - offsets[0]
    text = np.empty(4 * (total + 2 * words), np.uint8)
    begins = np.zeros(total + words + 1, np.int64)
    of_word = np.zeros(words + 1, np.int64)
    marked, starts = np.empty(total + 2, np.uint8), np.empty(total + 3, np.int64)
    size, count = 0, 0
    for word in range(words):
        chars = mark(data, offsets[word], offsets[word + 1], marked, starts)
        for first in range(chars - 2 if chars == 3 else chars - 1):
            whole = first == chars - 2
            begin = 0 if whole else starts[first]
            end = starts[chars if whole else first + 3]
            text[size : size + end - begin] = marked[begin:end]
            size += end - begin
            count += 1
            begins[count] = size
        of_word[word + 1] = count
    return text[:size], begins[: count + 1], of_word


@njit(cache=True)
def add_grams(words, of_text, of_word, index, sign, vectors_ND):
    """Add the signed grams of each text's words into its row, clipped to [-127, 127]."""
    width = vectors_ND.shape[1]
    sums = np.empty(width, np.int64)
    for row in range(len(of_text) - 1):
        sums[:] = 0
        for at in range(of_text[row], of_text[row + 1]):
            for gram in range(of_word[words[at]], of_word[words[at] + 1]):
                sums[index[gram]] += sign[gram]
        for place in range(width):
            vectors_ND[row, place] = min(127, max(-127, sums[place]))


@njit(cache=True)
def keep_nearest(dots_QM, rows, entries, questions, corpus, index, score):
    """Take over, for each question of `rows`, the most similar of `entries` that is available.

    `questions`: time, squared norm. `corpus`: since, squared norm. `index` and `score` hold the
    best so far; -1 and 0 for none. Of equally similar entries the lower one stays.
    """
    time_ms, square_Q = questions
    since_ms, square_N = corpus
    for at in range(len(rows)):
        row = rows[at]
        best, top = index[row], score[row]
        near = top * top * square_Q[row] * ALMOST
        for place in range(len(entries)):
            dot = np.float64(dots_QM[at, place])
            entry = entries[place]
            # This spares most entries the root and the quotient.
            if dot <= 0 or dot * dot < near * square_N[entry]:
                continue
            if since_ms[entry] >= time_ms[row]:
                continue
            cosine = dot / np.sqrt(np.float64(square_Q[row] * square_N[entry]))
            if cosine > top or (cosine == top and entry < best):
                best, top = entry, cosine
                near = top * top * square_Q[row] * ALMOST
        index[row], score[row] = best, top
