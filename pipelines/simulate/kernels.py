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
    """The first category whose cumulative chance exceeds `uniform`, else the last."""
    for category in range(len(chances) - 1):
        if uniform < chances[category]:
            return category
    return len(chances) - 1


@njit(cache=True)
def categories_by_chance(chances, user, uniform):
    """A category for each user, [N], by the user's row of `chances`."""
    category = np.empty(len(user), np.int64)
    for n in range(len(user)):
        category[n] = category_by_chance(chances[user[n]], uniform[n])
    return category


@njit(cache=True)
def sift(item, score, slot, items_K, scores_K):
    """Insert an item into a list of `slot` items, whose scores fall."""
    while slot > 0 and scores_K[slot - 1] < score:
        scores_K[slot], items_K[slot] = scores_K[slot - 1], items_K[slot - 1]
        slot -= 1
    scores_K[slot], items_K[slot] = score, item


@njit(cache=True)
def search(wish, chance, luck, shelves, list_K):
    """Fill a list from the query's intent, with a chance, else its category; rank by relevance.

    As for the other policies: `wish` is what is looked for; `luck` uniforms for pool, item and rank
    by slot, and the noise; `list_K` items and scores by slot, and how many slots to fill.
    """
    (mind, wanted), (pool, pick, rank, noise), (items_K, scores_K, width) = wish, luck, list_K
    item_intent, item_category, _, intent_first, category_first, _, _ = shelves
    first, stop = category_first[mind], category_first[mind + 1]
    for k in range(width):
        if pool[k] < chance:
            item = popular(intent_first[wanted], intent_first[wanted + 1], pick[k])
        else:
            item = popular(first, stop, pick[k])
        item = unused(item, first, stop, items_K, k)
        relevance = relevance_of(item_intent[item], item_category[item], wanted, mind)
        sift(item, relevance + noise * rank[k], k, items_K, scores_K)


@njit(cache=True)
def browse(interest, chances, luck, shelves, list_K):
    """Fill a list from categories by a user's chances; rank by the user's interest in them."""
    (pool, pick, rank, noise), (items_K, scores_K, width), category_first = luck, list_K, shelves[4]
    for k in range(width):
        mind = category_by_chance(chances, pool[k])
        first, stop = category_first[mind], category_first[mind + 1]
        item = unused(popular(first, stop, pick[k]), first, stop, items_K, k)
        sift(item, interest[mind] + noise * rank[k], k, items_K, scores_K)


@njit(cache=True)
def visit(wish, luck, shelves, list_K):
    """Fill a list with what a seller has, then from the category; rank by quality."""
    (mind, seller), (_, pick, rank, noise), (items_K, scores_K, width) = wish, luck, list_K
    _, _, quality, _, category_first, by_seller, sold = shelves
    first, stop = category_first[mind], category_first[mind + 1]
    begin, stocked = sold[seller], sold[seller + 1] - sold[seller]
    for k in range(width):
        if k < stocked:
            item = by_seller[begin + (k + int(stocked * pick[0])) % stocked]
        else:
            item = popular(first, stop, pick[k])
        item = unused(item, first, stop, items_K, k)
        sift(item, quality[item] + noise * rank[k], k, items_K, scores_K)


@njit(cache=True)
def draw(visits, policies, shelves, crowd, uniforms, width_K):
    """Ranked candidates of each request, [N, K], best first, by the policy of its domain.

    `visits`: user, domain, width, intent, category, seller, [N] each. `policies`: policy,
    precision and noise by domain. `shelves`: intent, category and quality of items, first item
    by intent and by category, items by seller, first by seller. `crowd`: interest and chances.
    `uniforms`: for pool, item and rank, [N, K] each.
    """
    user, domain, width, intent, category, seller = visits
    policy, precision, noise = policies
    interest, chances = crowd
    pool_NK, item_NK, rank_NK = uniforms
    items_NK = np.full((len(user), width_K), -1, np.int32)
    scores_K = np.empty(width_K, np.float32)
    for n in range(len(user)):
        d, who = domain[n], user[n]
        luck = (pool_NK[n], item_NK[n], rank_NK[n], noise[d])
        list_K = (items_NK[n], scores_K, width[n])
        if policy[d] == QUERY:
            search((category[n], intent[n]), precision[d], luck, shelves, list_K)
        elif policy[d] == INTEREST:
            browse(interest[who], chances[who], luck, shelves, list_K)
        elif policy[d] == SELLER:
            visit((category[n], seller[n]), luck, shelves, list_K)
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
def plant(items_NK, item, slot):
    """Put an item into its request's list: in place of what is there, or swapped with it."""
    for n in range(len(item)):
        if item[n] < 0:
            continue
        for k in range(items_NK.shape[1]):
            if items_NK[n, k] == item[n]:
                items_NK[n, k] = items_NK[n, slot[n]]
        items_NK[n, slot[n]] = item[n]
