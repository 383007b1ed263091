"""Rules 1 and 2: credit, user by user."""

from numba import njit

DIRECT, IN_DOMAIN = 0, 1


@njit(cache=True)
def find(item, begin, end, items):  # type: ignore[no-untyped-def]
    """The sample of an item among those of one request; -1 if it is not there."""
    for sample in range(begin, end):
        if items[sample] == item:
            return sample
    return -1


@njit(cache=True)
def named_domain(named, since, first, reached, time, request, domain):  # type: ignore[no-untyped-def]
    """The domain of the named request among those of one user; -1 if there is none."""
    for q in range(reached - 1, first - 1, -1):
        if time[q] < since:
            break
        if request[q] == named:
            return domain[q]
    return -1


@njit(cache=True)
def is_clicked(head, at, time, fall, following):  # type: ignore[no-untyped-def]
    """Whether a click of a chain stands at a time."""
    while head >= 0 and (time[head] > at or fall[head] <= at):
        head = following[head]
    return head >= 0


@njit(cache=True)
def credit_task(  # type: ignore[no-untyped-def] # noqa: C901
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
            if domain < 0 and a_named[a]:
                first, since = q_bounds[user], time - longest
                named = a_request[a]
                domain = named_domain(named, since, first, reached, q_time, q_request, q_domain)
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
                    latest = task == 1 and (clicked < 0 or q_time[q] == q_time[clicked_q])
                    if latest and is_clicked(heads[0][sample], time, a_time, fall, following):
                        clicked, clicked_q = sample, q
                q -= 1
            sample = direct if direct >= 0 else (clicked if clicked >= 0 else shown)
            if sample >= 0:
                request[a] = q if direct >= 0 else (clicked_q if clicked >= 0 else shown_q)
                placed[a], tier[a] = sample, DIRECT if direct >= 0 else IN_DOMAIN
                following[a] = heads[task][sample]
                heads[task][sample] = a
