"""Which lists hold the items of events: one pass over all candidates (numba).

Legend: N requests, K slots of the widest list, unused slots hold -1; E events, sorted by key.
"""
# mypy: disable-error-code="no-untyped-def"

import numpy as np
from numba import njit


@njit(cache=True)
def key_of(user, item, item_count):
    """One number for a user and an item."""
    return np.int64(user) * item_count + item


@njit(cache=True)
def keys_of(users, items, item_count):
    """The key of each pair."""
    keys = np.empty(len(users), np.int64)
    for row in range(len(users)):
        keys[row] = key_of(users[row], items[row], item_count)
    return keys


@njit(cache=True)
def hash_of(key):
    """A mixed number of 44 bits, by multiplication."""
    return (np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)


@njit(cache=True)
def bits_of(keys, size):
    """One bit set for each key, at its hash modulo `8 * size`, which is a power of two; [size]."""
    bits = np.zeros(size, np.uint8)
    mask = np.uint64(8 * size - 1)
    for key in keys:
        bit = hash_of(key) & mask
        bits[bit >> np.uint64(3)] |= np.uint8(1 << (bit & np.uint64(7)))
    return bits


@njit(cache=True)
def has_bit(bits, key):
    """Whether a key may be one of those that `bits` were made of."""
    bit = hash_of(key) & np.uint64(8 * len(bits) - 1)
    return (bits[bit >> np.uint64(3)] >> (bit & np.uint64(7))) & np.uint64(1) > 0


@njit(cache=True)
def is_rival(request, shown, event, target, lookback_ms):
    """Whether a request that holds an event's item could be taken for its cause.

    `request`: number, time and domain. `event`: time, domain, the numbers of the request that it
    names, of the one on which it happened and of its cause; -1 for none.
    """
    number, seen_ms, offered_in = request
    time_ms, happened_in, named, via, cause = event
    if number in (cause, via) or not 0 <= time_ms - seen_ms <= lookback_ms:
        return False
    foreign = offered_in == target and happened_in != target
    return foreign or (offered_in == happened_in and shown and named < 0)


@njit(cache=True)
def count_rivals(requests, events, bits, item_count, target, lookback_ms, rivals_E):
    """Add to each event's count the rivals among these requests.

    `requests`: number, time, user, domain, exposed, [N] each, and items [N, K]. `events`: key,
    time, domain, named, via and cause, [E] each. `bits` are the keys' own, of `bits_of`: they
    spare most of the searches. What another domain than the target does not show is no rival.
    """
    number, seen_ms, user, offered_in, exposed, items_NK = requests
    keys_E, time_ms, happened_in, named, via, cause = events
    for n in range(len(user)):
        request = (number[n], seen_ms[n], offered_in[n])
        for k in range(items_NK.shape[1] if offered_in[n] == target else exposed[n]):
            if items_NK[n, k] < 0:
                break
            key = key_of(user[n], items_NK[n, k], item_count)
            if not has_bit(bits, key):
                continue
            at = np.searchsorted(keys_E, key)
            while at < len(keys_E) and keys_E[at] == key:
                event = (time_ms[at], happened_in[at], named[at], via[at], cause[at])
                if is_rival(request, k < exposed[n], event, target, lookback_ms):
                    rivals_E[at] += 1
                at += 1
