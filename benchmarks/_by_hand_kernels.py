"""The inner loops of the program by hand (numba).

Requests and actions each stand in (user, time) order: the backbone. Everything else is an offset
into it. Tasks: 0 is the click, 1 the purchase.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

NEVER = 1 << 62
DIRECT, IN_DOMAIN = 0, 1
ONE, ZERO = np.uint64(0x3FF0000000000000), np.uint64(0)
"""The bits of 1.0 and of 0.0."""

LONGEST_LIST = 4096

ARRAYS = 19
"""So many arrays has a request's struct of candidates."""


@intrinsic
def copy16(typing, to, at, source, begin):  # type: ignore[no-untyped-def] # noqa: ARG001
    """Copy 16 bytes at once, wherever they lie; what follows may overwrite the surplus."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(128).as_pointer()
        ends = []
        for array, place in ((0, 1), (2, 3)):
            struct = context.make_array(signature.args[array])(context, builder, args[array])
            ends.append(builder.bitcast(builder.gep(struct.data, [args[place]]), word))
        builder.store(builder.load(ends[1], align=1), ends[0], align=1)
        return context.get_dummy_value()

    return types.void(to, types.intp, source, types.intp), codegen


@intrinsic
def store8(typing, to, at, value):  # type: ignore[no-untyped-def] # noqa: ARG001
    """Store 8 bytes at once, wherever they go."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        struct = context.make_array(signature.args[0])(context, builder, args[0])
        pointer = builder.gep(struct.data, [args[1]])
        builder.store(args[2], builder.bitcast(pointer, ir.IntType(64).as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(to, types.intp, types.uint64), codegen


@njit(cache=True)
def kept_candidates(offsets, item, position, exposed):  # type: ignore[no-untyped-def]
    """The exposed candidates by position, a repeated item once; and which lists are unusable."""
    rows = len(offsets) - 1
    kept = np.empty(len(item), np.int32)
    begin = np.zeros(rows + 1, np.int64)
    bad = np.zeros(rows, np.bool_)
    order = np.empty(LONGEST_LIST, np.int64)
    size = 0
    for row in range(rows):
        first, width = offsets[row], offsets[row + 1] - offsets[row]
        bad[row] = width == 0 or width > len(order)
        for at in range(0 if bad[row] else width):
            place = position[first + at]
            down = at
            while down > 0 and position[first + order[down - 1]] >= place:
                bad[row] |= position[first + order[down - 1]] == place
                order[down] = order[down - 1]
                down -= 1
            order[down] = at
            bad[row] |= place < 0 or place >= 1 << 31 or item[first + at] < 0
        start = size
        for at in range(0 if bad[row] else width):
            one = first + order[at]
            fresh = exposed[one]
            for other in range(start, size):
                fresh &= item[kept[other]] != item[one]
            if fresh:
                kept[size] = one
                size += 1
        begin[row + 1] = size
    return kept[:size], begin, bad


@njit(cache=True)
def earliest(key, time, usable):  # type: ignore[no-untyped-def]
    """Which usable rows are the earliest of their key; and a hash table from key to row."""
    size = 16
    while size < 2 * len(key):
        size *= 2
    table = np.full(size, -1, np.int32)
    alive = usable.copy()
    for row in range(len(key)):
        if not usable[row]:
            continue
        slot = key[row] & (size - 1)
        while table[slot] >= 0 and key[table[slot]] != key[row]:
            slot = (slot + 1) & (size - 1)
        other = table[slot]
        if other >= 0 and time[other] <= time[row]:
            alive[row] = False
            continue
        if other >= 0:
            alive[other] = False
        table[slot] = row
    return alive, table


@njit(cache=True)
def look_up(wanted, key, table):  # type: ignore[no-untyped-def]
    """The row of each wanted key, -1 for none."""
    found = np.empty(len(wanted), np.int64)
    mask = len(table) - 1
    for row in range(len(wanted)):
        slot = wanted[row] & mask
        while table[slot] >= 0 and key[table[slot]] != wanted[row]:
            slot = (slot + 1) & mask
        found[row] = table[slot]
    return found


@njit(cache=True)
def by_user(rows, user, users):  # type: ignore[no-untyped-def]
    """The rows in order of their users, otherwise as they stand; and where each user begins."""
    bounds = np.zeros(users + 1, np.int64)
    for row in rows:
        bounds[user[row] + 1] += 1
    bounds = np.cumsum(bounds)
    place = bounds[:-1].copy()
    order = np.empty(len(rows), np.int64)
    for row in rows:
        order[place[user[row]]] = row
        place[user[row]] += 1
    return order, bounds


@njit(cache=True)
def find(item, begin, end, items):  # type: ignore[no-untyped-def]
    """The sample of an item among those of one request; -1 if it is not there."""
    for sample in range(begin, end):
        if items[sample] == item:
            return sample
    return -1


@njit(cache=True)
def credit(  # type: ignore[no-untyped-def] # noqa: C901
    task, horizon, longest, bounds, actions, requests, items, chains
):
    """Rules 1 and 2 for all events of one task, user by user; chains hold them by sample.

    A chain begins at `heads[task][sample]` and goes backwards in time.
    """
    a_bounds, q_bounds = bounds
    a_task, a_time, a_item, a_domain, a_request, a_named, fall = actions
    q_time, q_request, q_domain, s_begin, s_end = requests
    heads, following, placed, request, tier = chains
    for user in range(len(a_bounds) - 1):
        reached = q_bounds[user]
        for a in range(a_bounds[user], a_bounds[user + 1]):
            time = a_time[a]
            while reached < q_bounds[user + 1] and q_time[reached] <= time:
                reached += 1
            if a_task[a] != task:
                continue
            domain = a_domain[a]
            q = reached - 1
            while domain < 0 and a_named[a] and q >= q_bounds[user] and q_time[q] >= time - longest:
                if q_request[q] == a_request[a]:
                    domain = q_domain[q]
                q -= 1
            if domain < 0:
                continue
            shown, clicked, direct = -1, -1, -1
            shown_q, clicked_q, q = -1, -1, reached - 1
            while q >= q_bounds[user] and q_time[q] >= time - horizon:
                best = clicked_q if task == 1 else shown_q
                if best >= 0 and not a_named[a] and q_time[q] < q_time[best]:
                    break
                sample = -1
                if q_domain[q] == domain:
                    sample = find(a_item[a], s_begin[q], s_end[q], items)
                if sample >= 0:
                    if a_named[a] and q_request[q] == a_request[a]:
                        direct = sample
                        break
                    if shown < 0 or q_time[q] == q_time[shown_q]:
                        shown, shown_q = sample, q
                    if task == 1 and (clicked < 0 or q_time[q] == q_time[clicked_q]):
                        c = heads[0][sample]
                        while c >= 0 and (a_time[c] > time or fall[c] <= time):
                            c = following[c]
                        if c >= 0:
                            clicked, clicked_q = sample, q
                q -= 1
            sample = direct if direct >= 0 else (clicked if clicked >= 0 else shown)
            if sample >= 0:
                request[a] = q if direct >= 0 else (clicked_q if clicked >= 0 else shown_q)
                placed[a], tier[a] = sample, DIRECT if direct >= 0 else IN_DOMAIN
                following[a] = heads[task][sample]
                heads[task][sample] = a


@njit(cache=True)
def label_at(cut, head, following, settle, withdrawn):  # type: ignore[no-untyped-def]
    """The first event of a chain that stands at a cut; -1 for none."""
    shown = -1
    while head >= 0:
        if settle[head] <= cut < withdrawn[head]:
            shown = head
        head = following[head]
    return shown


@njit(cache=True)
def settle_labels(shown, pairs, cuts, heads, following, settle, withdrawn):  # type: ignore[no-untyped-def]
    """Rule 4 at the samples' own cuts, for labels that hold more than one standing event."""
    for at in range(len(pairs)):
        sample, task = pairs[at] >> 1, pairs[at] & 1
        shown[task][sample] = label_at(cuts[at], heads[task][sample], following, settle, withdrawn)


@njit(cache=True)
def revise(pairs, sealed_at, heads, following, settle, withdrawn):  # type: ignore[no-untyped-def]
    """Rule 5 for samples whose labels may change: rows of
    (pair, cut, old event, new event, cut of old, whether an event was withdrawn)."""
    rows = np.empty((4 * len(pairs) + 16, 6), np.int64)
    count = 0
    for at in range(len(pairs)):
        sample, task = pairs[at] >> 1, pairs[at] & 1
        shown_at = sealed_at[at]
        old = label_at(shown_at, heads[task][sample], following, settle, withdrawn)
        cut = shown_at
        while True:
            after, fell = np.int64(NEVER), np.int64(-1)
            c = heads[task][sample]
            while c >= 0:
                if cut < settle[c] < after:
                    after = settle[c]
                if cut < withdrawn[c] <= after:
                    after, fell = withdrawn[c], withdrawn[c]
                c = following[c]
            if after == NEVER:
                break
            cut = after
            new = label_at(cut, heads[task][sample], following, settle, withdrawn)
            if new != old:
                if count == len(rows):
                    rows = np.concatenate((rows, np.empty_like(rows)))
                rows[count] = (pairs[at], cut, old, new, shown_at, np.int64(fell == cut))
                count += 1
                old, shown_at = new, cut
    return rows[:count]


@njit(cache=True)
def sequences(user, start, end, bounds, time, history, recent):  # type: ignore[no-untyped-def]
    """Rule 11: begin and end of H and of R of each record, whose users and windows rise."""
    spans = np.empty((len(user), 4), np.int64)
    for record in range(len(user)):
        first, last = bounds[user[record]], bounds[user[record] + 1]
        middle = first + np.searchsorted(time[first:last], start[record])
        stop = middle + np.searchsorted(time[middle:last], end[record])
        spans[record] = (max(first, middle - history), middle, middle, min(stop, middle + recent))
    return spans


@njit(cache=True)
def put_long(out, at, value):  # type: ignore[no-untyped-def]
    """Avro's zigzag varint; returns where it ends."""
    left = np.uint64((value << 1) ^ (value >> 63))
    while left > np.uint64(0x7F):
        out[at] = np.uint8(left & np.uint64(0x7F)) | np.uint8(0x80)
        left >>= np.uint64(7)
        at += 1
    out[at] = np.uint8(left)
    return at + 1


@njit(cache=True)
def put_bytes(out, at, source, begin, end):  # type: ignore[no-untyped-def]
    """A run of bytes; returns where it ends."""
    for step in range(0, end - begin, 16):
        copy16(out, at + step, source, begin + step)
    return at + end - begin


@njit(cache=True)
def put_text(out, at, source, begin, end):  # type: ignore[no-untyped-def]
    """A string with its length; returns where it ends."""
    return put_bytes(out, put_long(out, at, end - begin), source, begin, end)


@njit(cache=True)
def put_longs(values, prefix):  # type: ignore[no-untyped-def]
    """Each value as a long, behind a union's branch if `prefix`; then a null: 16 bytes each."""
    words = np.zeros((len(values) + 2) * 16, np.uint8)
    sizes = np.ones(len(values) + 1, np.int64)
    for row in range(len(values)):
        at = row * 16
        if prefix:
            words[at] = 2
            at += 1
        sizes[row] = put_long(words, at, values[row]) - row * 16
    return words, sizes


@njit(cache=True)
def put_column(words, sizes, codes):  # type: ignore[no-untyped-def]
    """The words of a column one after the other, and where each begins."""
    offsets = np.zeros(len(codes) + 1, np.int64)
    for row in range(len(codes)):
        offsets[row + 1] = offsets[row] + sizes[codes[row]]
    out = np.empty(offsets[-1] + 32, np.uint8)
    for row in range(len(codes)):
        copy16(out, offsets[row], words, codes[row] * 16)
    return out, offsets


@njit(cache=True)
def put_times(times):  # type: ignore[no-untyped-def]
    """Times as a column of longs."""
    offsets = np.zeros(len(times) + 1, np.int64)
    out = np.empty(len(times) * 10 + 32, np.uint8)
    for row in range(len(times)):
        offsets[row + 1] = put_long(out, offsets[row], times[row])
    return out, offsets


@njit(cache=True)
def put_nulls(out, at, count):  # type: ignore[no-untyped-def]
    """So many nulls, mostly fewer than nine."""
    for step in range(0, count, 8):
        store8(out, at + step, ZERO)
    return at + count


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
def put_words(out, at, begin, end, codes, words, sizes):  # type: ignore[no-untyped-def]
    """An array of looked-up words of at most 16 bytes."""
    for sample in range(begin, end):
        copy16(out, at, words, codes[sample] * 16)
        at += sizes[codes[sample]]
    out[at] = 0
    return at + 1


@njit(cache=True)
def put_texts(out, at, begin, end, codes, words, offsets):  # type: ignore[no-untyped-def]
    """An array of looked-up strings, their lengths included."""
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
def put_ones(out, at, count):  # type: ignore[no-untyped-def]
    """The probabilities, all 1."""
    at = put_long(out, at, count)
    for _ in range(count):
        store8(out, at, ONE)
        at += 8
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
        copy16(out, at, user_words, user * 16)
        at = put_long(out, at + user_sizes[user], start)
        at = put_sequence(out, at, spans[row, 0], spans[row, 1], columns)
        at = put_sequence(out, at, spans[row, 2], spans[row, 3], columns)
        at = put_long(out, at, first_request[row + 1] - first_request[row])
        for q in range(first_request[row], first_request[row + 1]):
            text = id_row[q]
            at = put_text(out, at, id_data, id_offsets[text], id_offsets[text + 1])
            at = put_long(out, at, q_time[q])
            at = put_bytes(out, at, place_text, place_ends[place[q]], place_ends[place[q] + 1])
            at = put_bytes(out, at, query_text, query_ends[query[q]], query_ends[query[q] + 1])
            copy16(out, at, gender_words, gender[q] * 16)
            at += gender_sizes[gender[q]]
            copy16(out, at, city_words, city[q] * 16)
            at += city_sizes[city[q]]
            copy16(out, at, device_words, device[q] * 16)
            at += device_sizes[device[q]]
            begin, end = s_begin[q], s_end[q]
            count = end - begin
            if count == 0:
                for _ in range(ARRAYS):
                    out[at] = 0
                    at += 1
                continue
            at = put_long(out, at, count)
            at = put_words(out, at, begin, end, item, item_words, item_sizes)
            at = put_long(out, at, count)
            at = put_texts(out, at, begin, end, item, item_text, item_ends)
            at = put_places(out, at, begin, end, position)
            at = put_ones(out, at, count)
            at = put_long(out, at, count)
            at = put_words(out, at, begin, end, category, category_words, category_sizes)
            at = put_long(out, at, count)
            at = put_words(out, at, begin, end, brand, brand_words, brand_sizes)
            at = put_long(out, at, count)
            at = put_words(out, at, begin, end, seller, seller_words, seller_sizes)
            at = put_fixed(out, at, count, price, begin, priced)
            is_open = q_time[q] + closes[1] > cut
            at = put_labels(
                out, at, begin, end, click, tier, time, id_bytes, id_ends, id_rows, is_open, hits
            )
            is_open = q_time[q] + closes[2] > cut
            at = put_labels(
                out, at, begin, end, buy, tier, time, id_bytes, id_ends, id_rows, is_open, hits
            )
        out[at] = 0
        at += 1
        offsets[number + 1] = at
    return offsets
