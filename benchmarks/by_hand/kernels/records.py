"""Records as Avro datums, out of columns that are encoded already."""

import numpy as np
from numba import njit

from benchmarks.by_hand.kernels.put import (
    ONE,
    ZERO,
    copy16,
    put_bytes,
    put_long,
    put_nulls,
    put_ones,
    put_text,
    store8,
)
from benchmarks.by_hand.kernels.rows import LONGEST_LIST

ARRAYS = 19
"""So many arrays has a request's struct of candidates."""


@njit(cache=True)
def put_sequence(out, at, begin, end, columns):  # type: ignore[no-untyped-def]
    """H or R: its arrays, each a run of an encoded column."""
    if end == begin:
        return put_nulls(out, at, len(columns))
    for data, offsets in columns:
        at = put_long(out, at, end - begin)
        at = put_bytes(out, at, data, offsets[begin], offsets[end])
        out[at] = 0
        at += 1
    return at


@njit(cache=True)
def put_word(out, at, code, words, sizes):  # type: ignore[no-untyped-def]
    """A looked-up word of at most 16 bytes."""
    copy16(out, at, words, code * 16)
    return at + sizes[code]


@njit(cache=True)
def put_words(out, at, begin, end, codes, words, sizes):  # type: ignore[no-untyped-def]
    """An array of looked-up words of at most 16 bytes."""
    at = put_long(out, at, end - begin)
    for sample in range(begin, end):
        at = put_word(out, at, codes[sample], words, sizes)
    out[at] = 0
    return at + 1


@njit(cache=True)
def put_texts(out, at, begin, end, codes, words, offsets):  # type: ignore[no-untyped-def]
    """An array of looked-up strings, their lengths included."""
    at = put_long(out, at, end - begin)
    for sample in range(begin, end):
        first, last = offsets[codes[sample]], offsets[codes[sample] + 1]
        copy16(out, at, words, first)
        if last - first > 16:
            put_bytes(out, at, words, first, last)
        at += last - first
    out[at] = 0
    return at + 1


@njit(cache=True)
def put_fixed(out, at, count, values, begin, valid):  # type: ignore[no-untyped-def]
    """An array of `count` optional words of 8 bytes."""
    at = put_long(out, at, count)
    for sample in range(begin, begin + count):
        out[at] = 2 * valid[sample]
        at += 1
        if valid[sample]:
            store8(out, at, values[sample])
            at += 8
    out[at] = 0
    return at + 1


@njit(cache=True)
def put_places(out, at, begin, end, position):  # type: ignore[no-untyped-def]
    """The origins, all exposed, then the positions."""
    at = put_long(out, at, end - begin)
    for _ in range(begin, end + 1):
        out[at] = 0
        at += 1
    at = put_long(out, at, end - begin)
    for sample in range(begin, end):
        at = put_long(out, at, np.int64(position[sample]))
    out[at] = 0
    return at + 1


@njit(cache=True)
def put_labels(  # type: ignore[no-untyped-def]
    out, at, begin, end, shown, tier, time, id_data, id_offsets, id_row, is_open, hits
):
    """One task's labels: value, tier, event id, time and open. Most have no event."""
    count, found = end - begin, 0
    at = put_long(out, at, count)
    for sample in range(begin, end):
        hits[found] = sample
        found += shown[sample] >= 0
        out[at] = 2
        store8(out, at + 1, ZERO)
        at += 9
    for hit in range(found):
        store8(out, at - 9 * (end - hits[hit]) + 1, ONE)
    hits[found] = end
    out[at] = 0
    for part in range(3):
        at = put_nulls(out, put_long(out, at + 1, count), hits[0] - begin)
        for hit in range(found):
            action = shown[hits[hit]]
            out[at] = 2
            if part == 0:
                out[at + 1] = 2 * tier[action]
                at += 2
            elif part == 1:
                row = id_row[action]
                at = put_text(out, at + 1, id_data, id_offsets[row], id_offsets[row + 1])
            else:
                at = put_long(out, at + 1, time[action])
            at = put_nulls(out, at, hits[hit + 1] - hits[hit] - 1)
        out[at] = 0
    at = put_long(out, at + 1, count)
    for _ in range(count):
        out[at] = is_open
        at += 1
    out[at] = 0
    return at + 1


@njit(cache=True)
def put_records(records, out, users, columns, requests, samples, labels, closes):  # type: ignore[no-untyped-def]
    """The datums of these records, and where each begins.

    All tuples are taken apart here, for doing it in a loop counts references in it.
    """
    rows, user_of, window_start, first_request, spans = records
    (user_text, user_ends), (user_words, user_sizes) = users
    q_time, s_begin, s_end, id_data, id_offsets, id_row, places, queries, per_request = requests
    (place, place_text, place_ends), (query, query_text, query_ends) = places, queries
    gender, gender_words, gender_sizes = per_request[0]
    city, city_words, city_sizes = per_request[1]
    device, device_words, device_sizes = per_request[2]
    item, (item_words, item_sizes), (item_text, item_ends) = samples[0], samples[1], samples[2]
    position, per_item, price, priced = samples[3], samples[4], samples[5], samples[6]
    category, category_words, category_sizes = per_item[0]
    brand, brand_words, brand_sizes = per_item[1]
    seller, seller_words, seller_sizes = per_item[2]
    (click, buy), tier, time, (id_bytes, id_ends, id_rows) = labels
    offsets, hits = np.zeros(len(rows) + 1, np.int64), np.empty(LONGEST_LIST + 1, np.int64)
    at = 0
    for number in range(len(rows)):
        row = rows[number]
        user, start = user_of[row], window_start[row]
        cut = start + closes[0]
        at = put_bytes(out, at, user_text, user_ends[user], user_ends[user + 1])
        at = put_word(out, at, user, user_words, user_sizes)
        at = put_long(out, at, start)
        at = put_sequence(out, at, spans[row, 0], spans[row, 1], columns)
        at = put_sequence(out, at, spans[row, 2], spans[row, 3], columns)
        at = put_long(out, at, first_request[row + 1] - first_request[row])
        for q in range(first_request[row], first_request[row + 1]):
            text = id_row[q]
            at = put_text(out, at, id_data, id_offsets[text], id_offsets[text + 1])
            at = put_long(out, at, q_time[q])
            at = put_bytes(out, at, place_text, place_ends[place[q]], place_ends[place[q] + 1])
            at = put_bytes(out, at, query_text, query_ends[query[q]], query_ends[query[q] + 1])
            at = put_word(out, at, city[q], city_words, city_sizes)
            at = put_word(out, at, device[q], device_words, device_sizes)
            at = put_word(out, at, gender[q], gender_words, gender_sizes)
            begin, end = s_begin[q], s_end[q]
            count = end - begin
            if count == 0:
                at = put_nulls(out, at, ARRAYS)
                continue
            at = put_words(out, at, begin, end, item, item_words, item_sizes)
            at = put_texts(out, at, begin, end, item, item_text, item_ends)
            at = put_places(out, at, begin, end, position)
            at = put_ones(out, at, count)
            at = put_words(out, at, begin, end, brand, brand_words, brand_sizes)
            at = put_words(out, at, begin, end, category, category_words, category_sizes)
            at = put_fixed(out, at, count, price, begin, priced)
            at = put_words(out, at, begin, end, seller, seller_words, seller_sizes)
            is_open = q_time[q] + closes[2] > cut
            at = put_labels(
                out, at, begin, end, buy, tier, time, id_bytes, id_ends, id_rows, is_open, hits
            )
            is_open = q_time[q] + closes[1] > cut
            at = put_labels(
                out, at, begin, end, click, tier, time, id_bytes, id_ends, id_rows, is_open, hits
            )
        out[at] = 0
        at += 1
        offsets[number + 1] = at
    return offsets
