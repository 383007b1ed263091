"""The inner loops: which candidates a request gets, and how each of them appeals (numba).

Random numbers come in as arrays of uniforms, so that the loops decide nothing by themselves.
Legend: N requests, K slots of the widest list, unused slots hold -1.
"""
# mypy: disable-error-code="no-untyped-def"

import numpy as np
from numba import njit

QUERY, INTEREST, SELLER = 0, 1, 2

SAME_INTENT, SAME_CATEGORY = 1.0, 0.4
"""Relevance of an item to a query; items of another category have none."""


@njit(cache=True)
def relevance_of(intent, category, wanted, wanted_category):
    """How relevant an item of an intent and category is to a query; 0 without a query."""
    if wanted < 0 or category != wanted_category:
        return 0.0
    return SAME_INTENT if intent == wanted else SAME_CATEGORY


@njit(cache=True)
def popular(first, stop, uniform):
    """One of the numbers from `first` to `stop - 1`; the square favours the first."""
    return first + int((stop - first) * uniform * uniform)


@njit(cache=True)
def unused(item, first, stop, items, filled):
    """The item or, if the list has it, the next one of `first ... stop - 1` that is not listed."""
    while True:
        taken = False
        for slot in range(filled):
            taken |= items[slot] == item
        if not taken:
            return item
        item = item + 1 if item + 1 < stop else first


@njit(cache=True)
def category_by_chance(chances, uniform):
    """The first category whose cumulative chance exceeds `uniform`."""
    for category in range(len(chances) - 1):
        if uniform < chances[category]:
            return category
    return len(chances) - 1


@njit(cache=True)
def sift(item, score, slot, items_K, scores_K):
    """Insert an item into a list of `slot` items, whose scores fall."""
    while slot > 0 and scores_K[slot - 1] < score:
        scores_K[slot], items_K[slot] = scores_K[slot - 1], items_K[slot - 1]
        slot -= 1
    scores_K[slot], items_K[slot] = score, item


@njit(cache=True)
def draw(visits, policies, shelves, crowd, uniforms, width_K):
    """Ranked candidates of each request, [N, K], best first.

    Policy QUERY draws from the query's intent, else its category, and ranks by relevance;
    INTEREST draws a category by the user's interests for each candidate and ranks by interest;
    SELLER takes what the seller has, then from the category, and ranks by quality. All add noise.

    `visits`: user, domain, width, intent, category, seller, [N] each. `policies`: policy,
    precision and noise by domain. `shelves`: intent, category and quality of items, first item
    by intent and by category, items by seller, first by seller. `crowd`: interest and chances.
    `uniforms`: for pool, item and rank, [N, K] each.
    """
    user, domain, width, intent, category, seller = visits
    policy, precision, noise = policies
    item_intent, item_category, quality, intent_first, category_first, by_seller, sold = shelves
    interest, chances = crowd
    pool_NK, item_NK, rank_NK = uniforms
    items_NK = np.full((len(user), width_K), -1, np.int32)
    scores_K = np.empty(width_K, np.float32)
    for n in range(len(user)):
        d, mind, wanted, begin = domain[n], category[n], intent[n], sold[seller[n]]
        kind = policy[d]
        stocked = sold[seller[n] + 1] - begin if kind == SELLER else 0
        for k in range(width[n]):
            if kind == INTEREST:
                mind = category_by_chance(chances[user[n]], pool_NK[n, k])
            first, stop = category_first[mind], category_first[mind + 1]
            if k < stocked:
                item = by_seller[begin + (k + int(stocked * item_NK[n, 0])) % stocked]
            elif kind == QUERY and pool_NK[n, k] < precision[d]:
                item = popular(intent_first[wanted], intent_first[wanted + 1], item_NK[n, k])
            else:
                item = popular(first, stop, item_NK[n, k])
            item = unused(item, first, stop, items_NK[n], k)
            score = quality[item] if kind == SELLER else interest[user[n], mind]
            if kind == QUERY:
                score = relevance_of(item_intent[item], item_category[item], wanted, mind)
            sift(item, score + noise[d] * rank_NK[n, k], k, items_NK[n], scores_K)
    return items_NK


@njit(cache=True)
def propensities(visits, items_NK, shelves, interest, weights, base):
    """Attraction and conversion of each candidate, [N, K] each.

    attraction = s(b_d + w_r relevance + w_i interest + w_q quality), conversion likewise with
    the price: - w_p log(price / median); s is the logistic function. `visits`: user, domain,
    intent, category, [N] each. `shelves`: intent, category, quality and log price ratio of items.
    `weights`: relevance, interest, quality of attraction; interest, quality, price of conversion.
    `base`: b by domain, then the one of conversion.
    """
    user, domain, intent, category = visits
    item_intent, item_category, quality, log_price = shelves
    attraction_NK = np.zeros(items_NK.shape, np.float32)
    conversion_NK = np.zeros(items_NK.shape, np.float32)
    for n in range(len(user)):
        for k in range(items_NK.shape[1]):
            item = items_NK[n, k]
            if item < 0:
                continue
            liking = interest[user[n], item_category[item]]
            logit = base[domain[n]] + weights[1] * liking + weights[2] * quality[item]
            logit += weights[0] * relevance_of(
                item_intent[item], item_category[item], intent[n], category[n]
            )
            attraction_NK[n, k] = 1 / (1 + np.exp(-logit))
            logit = base[-1] + weights[3] * liking + weights[4] * quality[item]
            logit -= weights[5] * log_price[item]
            conversion_NK[n, k] = 1 / (1 + np.exp(-logit))
    return attraction_NK, conversion_NK


@njit(cache=True)
def search_lists(items_NK, user, keys, bits, item_count):
    """Row and slot of every candidate whose (user, item) is one of the sorted `keys`.

    `bits` are the keys' own, of `bits_of`: they spare most of the searches.
    """
    row, slot = [], []
    mask = np.uint64(8 * len(bits) - 1)
    for n in range(len(user)):
        for k in range(items_NK.shape[1]):
            if items_NK[n, k] < 0:
                break
            key = np.int64(user[n]) * item_count + items_NK[n, k]
            bit = hash_of(key) & mask
            if bits[bit >> np.uint64(3)] >> (bit & np.uint64(7)) & np.uint64(1):
                at = np.searchsorted(keys, key)
                if at < len(keys) and keys[at] == key:
                    row.append(n)
                    slot.append(k)
    return np.array(row, np.int64), np.array(slot, np.int64)


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
def plant(items_NK, item, slot):
    """Put an item into its request's list: in place of what is there, or swapped with it."""
    for n in range(len(item)):
        if item[n] < 0:
            continue
        for k in range(items_NK.shape[1]):
            if items_NK[n, k] == item[n]:
                items_NK[n, k] = items_NK[n, slot[n]]
        items_NK[n, slot[n]] = item[n]
