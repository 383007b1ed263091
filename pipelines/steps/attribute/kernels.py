"""The inner loops: placing events on samples, and following labels over cuts (numba).

Requests stand in (user, time, request id falling) order, so that a backward scan meets the
latest request first and, at one time, the smaller id first.
"""
# mypy: disable-error-code="no-untyped-def"

import numpy as np
from numba import njit

DIRECT, IN_DOMAIN, CLICKED, EXPOSED, UNEXPOSED = 0, 1, 2, 3, 4
BINARY, SUM, MAX, LAST = 0, 1, 2, 3


@njit(cache=True)
def sample_of(item, begin, end, items):
    """The sample of an item among those of one request; -1 if it is not there."""
    for sample in range(begin, end):
        if items[sample] == item:
            return sample
    return -1


@njit(cache=True)
def clicked_at(sample, time, settle, reach_ms, flags):
    """Whether an unretracted click flags the sample at `time`, as known at cut `settle`.

    `flags` holds, in order of sample: sample, time, settling cut, fall time, fall cut.
    """
    flag_sample, flag_time, flag_settle, fall, fall_settle = flags
    row = np.searchsorted(flag_sample, sample)
    while row < len(flag_sample) and flag_sample[row] == sample:
        known = flag_settle[row] <= settle and flag_time[row] >= settle - reach_ms
        fallen = fall[row] <= time and fall_settle[row] <= settle
        if known and flag_time[row] <= time and not fallen:
            return True
        row += 1
    return False


@njit(cache=True)
def place(events, horizon_ms, conversion, requests, samples, flags, reach_ms):
    """Rules 1 and 2: the sample that each event credits, and by which tier; -1 for none.

    `events`: first and past-last request of the user, time, item, domain, named request,
    named, settling cut. `requests`: time, id, domain, first and past-last sample. `samples`:
    item, exposed.
    """
    begin, stop, time, item, domain, request, named, settle = events
    q_time, q_request, q_domain, first, last = requests
    items, was_exposed = samples
    placed = np.full(len(time), -1, np.int64)
    tier = np.full(len(time), -1, np.int64)
    for e in range(len(time)):
        if domain[e] < 0:
            continue
        exposed, clicked = -1, -1
        q = begin[e] + np.searchsorted(q_time[begin[e] : stop[e]], time[e], side="right") - 1
        while q >= begin[e] and q_time[q] >= time[e] - horizon_ms:
            sample = -1
            if q_domain[q] == domain[e]:
                sample = sample_of(item[e], first[q], last[q], items)
            if sample >= 0 and was_exposed[sample]:
                if named[e] and q_request[q] == request[e]:
                    placed[e], tier[e] = sample, DIRECT
                    break
                if exposed < 0:
                    exposed = sample
                if (
                    clicked < 0
                    and conversion
                    and clicked_at(sample, time[e], settle[e], reach_ms, flags)
                ):
                    clicked = sample
                if not named[e] and (clicked >= 0 or not conversion):
                    break
            q -= 1
        if placed[e] < 0 and exposed >= 0:
            placed[e] = clicked if clicked >= 0 else exposed
            tier[e] = IN_DOMAIN
    return placed, tier


@njit(cache=True)
def place_in_target(events, horizon_ms, conversion, target, requests, samples, flags, reach_ms):
    """Rule 3: the target's sample that each foreign event credits, and by which tier; -1: none.

    A conversion of the target itself is one that rule 2 could not place: it may only go to an
    unexposed sample. Arguments as for `place`; `target` is a domain.
    """
    begin, stop, time, item, domain, _, _, settle = events
    q_time, _, q_domain, first, last = requests
    items, was_exposed = samples
    placed = np.full(len(time), -1, np.int64)
    tier = np.full(len(time), -1, np.int64)
    for e in range(len(time)):
        foreign = domain[e] != target
        q = begin[e] + np.searchsorted(q_time[begin[e] : stop[e]], time[e], side="right") - 1
        while q >= begin[e] and q_time[q] >= time[e] - horizon_ms:
            sample = -1
            if q_domain[q] == target:
                sample = sample_of(item[e], first[q], last[q], items)
            q -= 1
            if sample < 0:
                continue
            if not was_exposed[sample]:
                if placed[e] < 0:
                    placed[e], tier[e] = sample, UNEXPOSED
            elif foreign:
                if conversion and clicked_at(sample, time[e], settle[e], reach_ms, flags):
                    placed[e], tier[e] = sample, CLICKED
                    break
                if tier[e] != EXPOSED:
                    placed[e], tier[e] = sample, EXPOSED
                if not conversion:
                    break
    return placed, tier


@njit(cache=True)
def latest_positive(events, horizon_ms, positives):
    """Rule 10: the pseudo-sample that each conversion credits at the first cut possible; or -1.

    `events`: key of user and item, time, settling cut. `positives`, by key, time falling and id:
    key, sample, time, cut of the window, and of the click time, fall time, fall cut.
    """
    key, time, settle = events
    p_key, p_sample, p_time, p_cut, click, fall, fall_settle = positives
    placed = np.full(len(time), -1, np.int64)
    for e in range(len(time)):
        begin = np.searchsorted(p_key, key[e], side="left")
        stop = np.searchsorted(p_key, key[e], side="right")
        best_cut = np.int64(1) << 62
        for p in range(begin, stop):
            cut = max(settle[e], p_cut[p])
            in_time = p_time[p] <= click[p] <= time[e] <= p_time[p] + horizon_ms
            fallen = fall[p] <= time[e] and fall_settle[p] <= cut
            if in_time and not fallen and cut < best_cut:
                best_cut, placed[e] = cut, p_sample[p]
    return placed


@njit(cache=True)
def kept_later(events, until, target, requests, items):
    """Rule 4: whether a kept sample of the event's own or the target domain comes later.

    That is one with `t_e < t_s ≤ until`; `target` is a domain, or one that no request has.
    """
    begin, stop, time, item, domain, _, _, _ = events
    q_time, _, q_domain, first, last = requests
    found = np.zeros(len(time), np.bool_)
    for e in range(len(time)):
        q = begin[e] + np.searchsorted(q_time[begin[e] : stop[e]], time[e], side="right")
        while q < stop[e] and q_time[q] <= until[e] and not found[e]:
            if q_domain[q] == domain[e] or q_domain[q] == target:
                found[e] = sample_of(item[e], first[q], last[q], items) >= 0
            q += 1
    return found


@njit(cache=True)
def named_domain(events, horizon_ms, requests):
    """The domain of the named request, if `t_s ≤ t_e ≤ t_s + horizon`; -1 otherwise."""
    begin, stop, time, _, _, request, named, _ = events
    q_time, q_request, q_domain, _, _ = requests
    domain = np.full(len(time), -1, np.int64)
    for e in range(len(time)):
        if not named[e]:
            continue
        q = begin[e] + np.searchsorted(q_time[begin[e] : stop[e]], time[e], side="right") - 1
        while q >= begin[e] and q_time[q] >= time[e] - horizon_ms:
            if q_request[q] == request[e]:
                domain[e] = q_domain[q]
                break
            q -= 1
    return domain


@njit(cache=True)
def label_at(cut, begin, end, settle, withdrawn, value, kind):
    """Rule 4: the label of credits [begin, end), in (time, event id) order, at a cut.

    Returns its value and the credit that it shows, -1 for none.
    """
    shown, total = -1, 0.0
    for c in range(begin, end):
        if settle[c] > cut or withdrawn[c] <= cut:
            continue
        if kind == BINARY:
            return 1.0, c
        if shown < 0:
            shown, total = c, value[c]
        elif kind == SUM:
            total += value[c]
        elif kind == LAST or value[c] > total:
            shown, total = c, value[c]
    return total, shown


@njit(cache=True)
def next_change(cut, begin, end, settle, withdrawn):
    """The first cut after `cut` at which a credit of [begin, end) settles or is withdrawn."""
    after = np.int64(1) << 62
    for c in range(begin, end):
        if cut < settle[c] < after:
            after = settle[c]
        if cut < withdrawn[c] < after:
            after = withdrawn[c]
    return after


@njit(cache=True)
def follow(groups, sealed_at, credits, kind, last_cut, cut):
    """Rule 5: the labels published at the samples' own cuts, and their revisions.

    `groups` bounds runs of credits of one (sample, task); `sealed_at` and `kind` are per run;
    `credits`: settling cut, withdrawal cut, value. Returns for each run the published value and
    credit (-1: none, -2: not published in this advance), and the revisions as rows of
    (run, cut, old credit, new credit, cut of old, old value, new value).
    """
    settle, withdrawn, value = credits
    runs = len(groups) - 1
    published = np.full(runs, -2, np.int64)
    values = np.zeros(runs, np.float64)
    rows = np.empty((2 * len(settle), 5), np.int64)
    amounts = np.empty((2 * len(settle), 2), np.float64)
    count = 0
    for run in range(runs):
        begin, end, at = groups[run], groups[run + 1], sealed_at[run]
        if at > cut:
            continue
        old_value, old = label_at(at, begin, end, settle, withdrawn, value, kind[run])
        if at > last_cut:
            published[run], values[run] = old, old_value
        shown_at = at
        change = next_change(at, begin, end, settle, withdrawn)
        while change <= cut and change < (np.int64(1) << 62):
            new_value, new = label_at(change, begin, end, settle, withdrawn, value, kind[run])
            if new != old or new_value != old_value:
                if change > last_cut:
                    rows[count] = (run, change, old, new, shown_at)
                    amounts[count] = (old_value, new_value)
                    count += 1
                old, old_value, shown_at = new, new_value, change
            change = next_change(change, begin, end, settle, withdrawn)
    return published, values, rows[:count], amounts[:count]
