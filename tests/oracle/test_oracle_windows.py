"""Rules 5 to 8, 11 and 12, by hand."""

from schemas.hashing import hash_one
from schemas.spec import Feature, Sequences
from tests.oracle import Read, Seal
from tests.oracle.examples import (
    NOW_MS,
    act,
    candidate,
    label,
    outcome_of,
    product,
    read,
    reasons,
    refund,
    revisions,
    show,
    task,
)

REFUNDABLE = product(task("click", horizon_ms=20, retraction_horizon_ms=10))
"""M = 30: a sample of time 1 is open until 31."""


def test_rule_5_what_comes_after_the_cut_is_one_revision_carried_by_its_own_window() -> None:
    # Window [0, 10) is sealed at 10, the click of time 15 settles at 20, the cut of [10, 20).
    outcome = outcome_of(product(), show(1), act("click", 15))
    assert label(outcome) == (0.0, None, None, None, True)
    [revision] = outcome.windows[10].revisions
    assert outcome.windows[10].users == []
    assert revision == {
        "window_start_ms": 0,
        "user_id": "u",
        "user": hash_one("u"),
        "request_time_ms": 1,
        "request_id": "r",
        "item_id": "a",
        "task": "click",
        "old_value": 0.0,
        "old_tier": None,
        "old_event_id": None,
        "old_time_ms": None,
        "old_open": True,
        "new_value": 1.0,
        "new_tier": 1,
        "new_event_id": "e",
        "new_time_ms": 15,
        "new_open": True,
        "retraction": False,
        "late": False,
    }


def test_rule_5_a_second_event_that_changes_nothing_gives_no_revision() -> None:
    outcome = outcome_of(product(), show(1), act("click", 15), act("click", 16, "later"))
    assert revisions(outcome) == [(10, "r", "click", 1.0, False, False)]


def test_rule_6_a_label_is_open_until_its_horizons_have_passed() -> None:
    # t_s + 9 = cut 10 for t_s = 1: closed; for t_s = 2 open.
    spec = product(task("click", horizon_ms=6, retraction_horizon_ms=3))
    outcome = outcome_of(spec, show(1, "r"), show(2, "s"))
    assert (label(outcome, "r")[4], label(outcome, "s")[4]) == (False, True)


def test_rule_7_a_retraction_withdraws_a_credit_while_its_label_is_open() -> None:
    # Acting at 30 the label (open until 31) falls, at cut 30; acting at 31 it is closed.
    events = read(show(1), act("click", 5))
    outcome = outcome_of(REFUNDABLE, events, refund(30))
    assert revisions(outcome) == [(20, "r", "click", 0.0, True, False)]
    outcome = outcome_of(REFUNDABLE, events, refund(31))
    assert revisions(outcome) == []
    assert outcome.counters["closed"] == 1


def test_rule_7_a_closed_label_that_is_not_published_yet_still_falls() -> None:
    # Maturity 50: published at 60, though closed at 31. The retraction settles at 60 itself.
    spec = product(task("click", horizon_ms=20, retraction_horizon_ms=10), maturity_ms=50)
    outcome = outcome_of(spec, show(1), act("click", 21), refund(55))
    assert label(outcome) == (0.0, None, None, None, False)
    assert outcome.counters["closed"] == 0


def test_rule_7_the_next_event_of_the_label_takes_its_place() -> None:
    outcome = outcome_of(REFUNDABLE, show(1), act("click", 5), act("click", 6, "2"), refund(15))
    assert revisions(outcome) == [(10, "r", "click", 1.0, True, False)]
    assert outcome.windows[10].revisions[0]["new_event_id"] == "2"


def test_rule_7_a_retraction_may_come_before_its_event_by_up_to_the_memory() -> None:
    # M = 30. A retraction of time 5 reaches an event of time 35, not one of time 36.
    outcome = outcome_of(REFUNDABLE, show(30), refund(5), act("click", 35))
    assert (label(outcome)[0], reasons(outcome)) == (0.0, [])
    outcome = outcome_of(REFUNDABLE, show(30), refund(5), act("click", 36))
    assert (label(outcome)[0], reasons(outcome)) == (1.0, ["unmatched"])


def test_rule_7_the_earliest_of_several_retractions_counts() -> None:
    outcome = outcome_of(REFUNDABLE, show(1), act("click", 5), refund(35), refund(30))
    assert revisions(outcome) == [(20, "r", "click", 0.0, True, False)]
    assert outcome.counters["duplicate"] == 1


def test_rule_7_without_its_event_a_retraction_is_unmatched_after_the_memory() -> None:
    # M = 30 and t_r = 10: at cut 40. An event read after that cut finds nothing.
    before = outcome_of(REFUNDABLE, show(11), refund(10), Seal(30), act("click", 11))
    assert (revisions(before), reasons(before)) == ([], [])
    after = outcome_of(REFUNDABLE, show(11), refund(10), Seal(40), act("click", 11))
    assert revisions(after) == [(40, "r", "click", 1.0, False, True)]
    assert reasons(after) == ["unmatched"]


def test_rule_7_an_unmatched_retraction_is_a_dead_letter_and_reserves_no_id() -> None:
    # Of time 40 − M = 10, it would still be remembered at cut 50.
    outcome = outcome_of(REFUNDABLE, refund(10), Seal(40), refund(10, row=1))
    assert outcome.dead_letters == [("refund", "file", row, "unmatched") for row in (0, 1)]
    assert outcome.counters["duplicate"] == 0


def test_rule_7_a_remembered_retraction_also_cancels_an_event_that_takes_the_same_id() -> None:
    # At last cut 40 click 5 is forgotten, so click 15 is a new event. Retraction 10 is remembered,
    # 9 is not.
    for retracted_at, expected in ((10, []), (9, [(40, "r", "click", 1.0, False, True)])):
        events = read(act("click", 5), refund(retracted_at), show(12))
        assert revisions(outcome_of(REFUNDABLE, events, Seal(40), act("click", 15))) == expected


def test_rule_8_late_feedback_acts_at_the_next_cut_while_its_label_is_open() -> None:
    # The label closes at 21. At last cut 20 it is open, at 30 it is closed and published.
    outcome = outcome_of(product(), show(1), Seal(20), act("click", 15))
    assert revisions(outcome) == [(20, "r", "click", 1.0, False, True)]
    assert outcome.counters["late/click"] == 1
    outcome = outcome_of(product(), show(1), Seal(30), act("click", 15))
    assert revisions(outcome) == []
    assert (outcome.counters["late/click"], outcome.counters["closed"]) == (1, 1)


def test_rule_8_late_feedback_on_a_closed_label_acts_while_it_is_not_published() -> None:
    # The label closes at 21 and is published at 60: at last cut 30 it still changes.
    outcome = outcome_of(product(maturity_ms=50), show(1), Seal(30), act("click", 15))
    assert label(outcome) == (1.0, 1, "e", 15, False)
    assert outcome.counters["closed"] == 0


def test_rule_8_a_late_retraction_acts_at_the_next_cut_while_its_label_is_open() -> None:
    # The label closes at 31: the last cut 30 still lets it fall, 40 does not.
    events, clicked = read(show(1), act("click", 12)), (10, "r", "click", 1.0, False, False)
    outcome = outcome_of(REFUNDABLE, events, Seal(30), refund(13))
    assert revisions(outcome) == [clicked, (30, "r", "click", 0.0, True, True)]
    outcome = outcome_of(REFUNDABLE, events, Seal(40), refund(13))
    assert (revisions(outcome), outcome.counters["closed"]) == ([clicked], 1)


def test_rule_8_a_late_retraction_of_a_forgotten_event_is_unmatched() -> None:
    # M = 30. At cut 50 the cut before it is 40: a click of time 9 is forgotten, 10 is not.
    for clicked_at, expected in ((9, ["unmatched"]), (10, [])):
        events = read(show(1), act("click", clicked_at))
        assert reasons(outcome_of(REFUNDABLE, events, Seal(40), refund(13))) == expected


def test_rule_11_history_is_the_last_before_the_window_and_recent_the_first_in_it() -> None:
    spec = product(
        features=(Feature("tag", "item", "ids"),),
        sequences=Sequences(("buy", "click"), history=2, recent=2, features=("tag",)),
    )
    times = [(1, "1"), (5, "3"), (5, "2"), (10, "4"), (12, "6"), (11, "5"), (20, "7")]
    done = read(*(act("click", time, name, item=name, tag=[name]) for time, name in times))
    other = read(act("tap", 6), act("buy", 5, "9", item="9", scenario=None, request_id="x"))
    outcome = outcome_of(spec, done, other, show(13), refund(6, event_id="3"))
    [user] = outcome.windows[10].users
    # Before 10, by (time, stream, id): buy 9 comes before clicks 2 and 3, which stay.
    assert user["history"] == {
        "time_ms": [5, 5],
        "item": [hash_one("2"), hash_one("3")],
        "action": [hash_one("click"), hash_one("click")],
        "scenario": [hash_one("front"), hash_one("front")],
        "tag": [[hash_one("2")], [hash_one("3")]],
    }
    assert user["recent"]["time_ms"] == [10, 11]


def test_rule_11_an_action_read_after_the_cut_is_not_in_the_window() -> None:
    # Action 5 is read after cut 10, which sealed [0, 10), and seen by [10, 20).
    outcome = outcome_of(product(), show(7), Seal(10), act("click", 5), show(15, "s"))
    assert outcome.windows[0].users[0]["recent"]["time_ms"] == []
    assert outcome.windows[10].users[0]["history"]["time_ms"] == [5]


def test_rule_12_users_requests_and_candidates_are_in_order_of_their_bytes() -> None:
    items = [candidate("b", 3), candidate("a", 7), candidate("c", 0)]
    shown = read(show(5, "é"), show(5, "z"), show(3, "zz", items), show(1, user="B"))
    outcome = outcome_of(product(), shown, show(25, user="\U0001f600"), show(25, user="\uff5e"))
    users = outcome.windows[0].users
    assert [user["user_id"] for user in users] == ["B", "u"]
    assert [request["id"] for request in users[1]["requests"]] == ["zz", "z", "é"]
    assert users[1]["requests"][0]["candidates"]["item_id"] == ["c", "b", "a"]
    # In UTF-8 the full-width tilde comes first, in UTF-16 the emoji would.
    assert [user["user_id"] for user in outcome.windows[20].users] == ["\uff5e", "\U0001f600"]
    assert list(outcome.windows) == [0, 20]


def test_rule_12_revisions_are_in_order_of_window_user_request_item_and_task() -> None:
    spec = product(task("click", 50), task("buy", 50))
    shown = read(show(15, "p"), show(5, "q"), show(4, "z", items="ba", user="A"))
    done = [act(stream, 25, request_id="p") for stream in ("click", "buy")]
    done += [act("click", 25, "q", request_id="q")]
    done += [act("buy", 25, item, item=item, user="A") for item in "ba"]
    outcome = outcome_of(spec, shown, Read(done, NOW_MS))
    keys = [(r["request_id"], r["item_id"], r["task"]) for r in outcome.windows[20].revisions]
    assert keys == [
        ("z", "a", "buy"),
        ("z", "b", "buy"),
        ("q", "a", "click"),
        ("p", "a", "buy"),
        ("p", "a", "click"),
    ]


def test_a_feature_is_hashed_and_takes_its_default_where_it_is_null() -> None:
    features = (
        Feature("city", "user", "id", default="other"),
        Feature("tags", "query", "ids"),
        Feature("age", "context", "number"),
        Feature("price", "item", "number", default=0.5),
        Feature("brand", "cross", "id"),
    )
    items = [candidate("a", 0, price=2.0, brand="x"), candidate("b", 1, price=None, brand=None)]
    shown = show(1, items=items, city=None, tags=None, age=None)
    [request] = outcome_of(product(features=features), shown).windows[0].users[0]["requests"]
    assert (request["city"], request["tags"], request["age"]) == (hash_one("other"), [], None)
    assert request["candidates"]["price"] == [2.0, 0.5]
    assert request["candidates"]["brand"] == [hash_one("x"), None]
    assert (request["domain"], request["origin_domain"]) == ("feed", "feed")
    assert request["candidates"]["probability"] == [1.0, 1.0]
