"""Which lists hold the items of events: one pass over all candidates (numba).

Legend: N requests, K slots of the widest list, unused slots hold -1; E events, U users.
"""
# mypy: disable-error-code="no-untyped-def"

from numba import njit


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
def first_at(numbers, begin, end, wanted):
    """The first place of `begin ... end` whose number is not below `wanted`, else `end`."""
    while begin < end:
        middle = (begin + end) // 2
        if numbers[middle] < wanted:
            begin = middle + 1
        else:
            end = middle
    return begin


@njit(cache=True)
def count_rivals(requests, events, by_user, target, lookback_ms, rivals_E):
    """Add to each event's count the rivals among these requests.

    `requests`: number, time, user, domain, exposed, [N] each, and items [N, K]. `events`: time,
    domain, named, via and cause, [E] each. `by_user`: events by user and item, [E], their items in
    that order, and where in it each user begins, [U + 1]. What another domain than the target does
    not show is no rival.
    """
    number, seen_ms, user, offered_in, exposed, items_NK = requests
    time_ms, happened_in, named, via, cause = events
    order_E, item_E, first_U = by_user
    for n in range(len(user)):
        begin, end = first_U[user[n]], first_U[user[n] + 1]
        if begin == end:
            continue
        request = (number[n], seen_ms[n], offered_in[n])
        for k in range(items_NK.shape[1] if offered_in[n] == target else exposed[n]):
            item = items_NK[n, k]
            if item < 0:
                break
            at = first_at(item_E, begin, end, item)
            while at < end and item_E[at] == item:
                e = order_E[at]
                event = (time_ms[e], happened_in[e], named[e], via[e], cause[e])
                if is_rival(request, k < exposed[n], event, target, lookback_ms):
                    rivals_E[e] += 1
                at += 1
