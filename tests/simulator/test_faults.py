"""Each fault looks to the client as in the field, and leaves the world in the state that its description promises.

Everything runs twice: through the adapter and over a loopback socket, for the two have to be one world.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from gateway.simulator.faults import KINDS, FaultInvalid, FaultScript, read_fault
from gateway.simulator.server import Server
from gateway.simulator.world import World
from tests.simulator.pretend import NUMBER, NUMBERS, TAG, Caller, StillClock, code

PATIENCE = 0.15
TWILIO_ERROR = {"code", "message", "more_info", "status"}
GONE = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


@pytest.fixture(params=["adapter", pytest.param("socket", marks=pytest.mark.sockets)])
def call(world: World, request: pytest.FixtureRequest) -> Iterator[Caller]:
    if request.param == "adapter":
        yield Caller(world)
        return
    server = Server(world).start()
    yield Caller(url=server.url)
    server.shutdown()
    server.server_close()


def tell(response: Any) -> str:
    """What a client learns from `response()`: the exception's name, or the status and whether the body is JSON."""
    try:
        answer = response()
    except GONE as exc:
        return type(exc).__name__
    try:
        answer.json()
    except ValueError:
        return f"{answer.status_code} {'nothing' if not answer.content else 'no JSON'}"
    return str(answer.status_code)


@pytest.mark.parametrize(
    ("fault", "told", "bought"),
    [
        ({"kind": "lost_before"}, "ConnectionError", False),
        ({"kind": "lost_before", "reset": True}, "ConnectionError", False),
        ({"kind": "lost_after"}, "ConnectionError", True),
        ({"kind": "lost_after", "reset": True}, "ConnectionError", True),
        ({"kind": "error_before"}, "500", False),
        ({"kind": "error_before", "status": 503}, "503", False),
        ({"kind": "error_after"}, "500", True),
        ({"kind": "error_after", "status": 502}, "502 no JSON", True),
        ({"kind": "error_after", "status": 504}, "504 no JSON", True),
        ({"kind": "rate_limit"}, "429", False),
        ({"kind": "unauthorized"}, "401", False),
        ({"kind": "suspended"}, "403", False),
        ({"kind": "hang", "seconds": 5}, "ReadTimeout", True),
        ({"kind": "hang", "seconds": 5, "effect": False}, "ReadTimeout", False),
        ({"kind": "hang", "seconds": 0.02}, "ConnectionError", True),
        ({"kind": "slow", "seconds": 5}, "ReadTimeout", True),
        ({"kind": "slow", "seconds": 0.02}, "201", True),
        ({"kind": "trickle", "seconds": 0.05}, "201", True),
        ({"kind": "truncated"}, "ChunkedEncodingError", True),
        ({"kind": "html"}, "200 no JSON", True),
        ({"kind": "html", "effect": False}, "200 no JSON", False),
        ({"kind": "empty"}, "201 nothing", True),
        ({"kind": "late_effect", "seconds": 30}, "ConnectionError", False),
        ({"kind": "late_effect", "seconds": 30, "status": 503}, "503", False),
        ({"kind": "list_lag", "seconds": 30}, "201", True),
        ({"kind": "taken"}, "400", False),
        ({"kind": "twice"}, "400", True),
    ],
    ids=lambda value: " ".join(f"{v}" for v in value.values()) if isinstance(value, dict) else None,
)
def test_what_a_purchase_tells_and_what_it_did(
    world: World, call: Caller, fault: dict[str, Any], told: str, bought: bool
) -> None:
    world.add_fault({"operation": "twilio.buy", **fault})
    call.timeout = PATIENCE

    assert tell(call.buy) == told
    assert [number["phone_number"] for number in world.state()["numbers"]] == ([NUMBER] if bought else [])
    assert len(world.purchases()) == int(bought)
    assert [entry["kind"] for entry in world.log() if entry["what"] == "fault"] == [fault["kind"]]


def test_a_trickle_slower_than_the_client_is_cut_by_it(world: World) -> None:
    caller = Caller(world)
    world.add_fault({"operation": "twilio.buy", "kind": "trickle", "seconds": 60})
    caller.timeout = PATIENCE

    assert tell(caller.buy) == "ConnectionError"
    assert len(world.purchases()) == 1


def test_an_ordinary_request_follows_a_fault_on_the_same_connection(world: World, call: Caller) -> None:
    world.add_fault({"operation": "twilio.list", "kind": "error_before"})

    assert call.twilio("GET", f"{NUMBERS}.json").status_code == 500
    assert call.twilio("GET", f"{NUMBERS}.json").status_code == 200


@pytest.mark.parametrize(
    ("operation", "request_", "form"),
    [
        (
            "twilio.list",
            lambda call: call.twilio("GET", f"{NUMBERS}.json"),
            {"code", "message", "more_info", "status"},
        ),
        ("vapi.list", lambda call: call.vapi("GET", "/phone-number"), {"message", "error", "statusCode"}),
        ("stripe.subscription", lambda call: call.stripe("/v1/subscriptions/sub_1"), {"error"}),
    ],
    ids=["twilio", "vapi", "stripe"],
)
@pytest.mark.parametrize("kind", ["rate_limit", "error_before", "unauthorized", "suspended"])
def test_each_service_refuses_in_its_own_words(
    world: World, call: Caller, operation: str, request_: Any, form: set[str], kind: str
) -> None:
    world.add_fault({"operation": operation, "kind": kind, "retry_after": 7})

    answer = request_(call)

    assert set(answer.json()) == form
    assert answer.headers.get("Retry-After") == ("7" if kind == "rate_limit" else None)


def test_a_rate_limit_may_come_without_a_retry_after(world: World, call: Caller) -> None:
    world.add_fault({"operation": "twilio.buy", "kind": "rate_limit", "retry_after": None})

    answer = call.buy()

    assert code(answer) == (429, 20429)
    assert "Retry-After" not in answer.headers


def test_a_late_effect_happens_when_its_time_has_come(world: World, clock: StillClock, call: Caller) -> None:
    world.add_fault({"operation": "twilio.buy", "kind": "late_effect", "seconds": 30})
    tell(call.buy)

    clock.advance(29)
    early = call.listed()
    clock.advance(1)
    due_ms = clock()
    clock.advance(100)
    late = call.listed()

    assert (len(early), len(late)) == (0, 1)
    assert world.log()[-1] == world.log()[-1] | {"what": "bought", "at_ms": due_ms, "late": True}


def test_a_late_effect_may_find_that_it_comes_too_late(world: World, clock: StillClock, call: Caller) -> None:
    world.add_fault({"operation": "twilio.buy", "kind": "late_effect", "seconds": 30})
    tell(call.buy)

    assert call.buy().status_code == 201
    clock.advance(60)

    assert len(call.listed()) == 1
    assert len(world.purchases()) == 1


@pytest.mark.parametrize("kind", ["list_lag", "lost_after", "twice"])
def test_lists_lag_behind_a_purchase_and_a_read_by_sid_does_not(
    world: World, clock: StillClock, call: Caller, kind: str
) -> None:
    lag = {"seconds": 30} if kind == "list_lag" else {"lag_seconds": 30}
    world.add_fault({"operation": "twilio.buy", "kind": kind, **lag})
    tell(call.buy)
    sid = world.purchases()[0]["sid"]

    assert call.listed(FriendlyName=TAG) == []
    assert call.twilio("GET", f"{NUMBERS}/{sid}.json").status_code == 200
    clock.advance(30)
    assert len(call.listed(FriendlyName=TAG)) == 1


def test_lists_go_on_showing_a_released_number_for_a_while(world: World, clock: StillClock, call: Caller) -> None:
    sid = call.buy().json()["sid"]
    world.add_fault({"operation": "twilio.release", "kind": "list_lag", "seconds": 30})

    assert call.twilio("DELETE", f"{NUMBERS}/{sid}.json").status_code == 204
    assert len(call.listed()) == 1
    assert call.twilio("GET", f"{NUMBERS}/{sid}.json").status_code == 404
    clock.advance(30)
    assert call.listed() == []


def test_lists_lag_behind_an_import_and_a_deletion(world: World, clock: StillClock, call: Caller) -> None:
    call.buy()
    world.add_fault({"operation": "vapi.*", "kind": "list_lag", "seconds": 30, "times": None})

    entry = call.bring().json()
    unseen = call.vapi("GET", "/v2/phone-number", search=NUMBER).json()["results"]
    clock.advance(30)
    seen = call.vapi("GET", "/v2/phone-number", search=NUMBER).json()["results"]
    call.vapi("DELETE", f"/phone-number/{entry['id']}")
    ghost = call.vapi("GET", "/phone-number").json()
    again = call.bring()
    clock.advance(30)

    assert (unseen, seen, ghost) == ([], [entry], [entry])
    assert again.status_code == 201
    assert call.vapi("GET", "/phone-number").json() == [again.json()]


def test_a_purchase_asked_twice_on_the_way_is_one_purchase_and_a_refusal(world: World, call: Caller) -> None:
    world.add_fault({"operation": "twilio.buy", "kind": "twice"})

    assert code(call.buy()) == (400, 21422)
    assert len(world.purchases()) == 1
    assert call.listed()[0]["friendly_name"] == TAG


def test_an_import_asked_twice_on_the_way_is_one_entry_and_a_refusal(world: World, call: Caller) -> None:
    call.buy()
    world.add_fault({"operation": "vapi.import", "kind": "twice"})

    assert call.bring().status_code == 400
    assert len(world.state()["entries"]) == 1


def test_a_taken_number_stays_taken(world: World, call: Caller) -> None:
    world.add_fault({"operation": "twilio.buy", "kind": "taken"})

    assert code(call.buy()) == (400, 21422)
    assert code(call.buy()) == (400, 21422)
    assert world.state()["taken"] == [NUMBER]


def test_nobody_can_take_a_number_that_is_ours(world: World, call: Caller) -> None:
    call.buy()
    world.add_fault({"operation": "twilio.buy", "kind": "taken"})

    call.buy()

    assert world.state()["taken"] == []


def test_vapi_may_not_see_a_fresh_number_yet(world: World, call: Caller) -> None:
    call.buy()
    world.add_fault({"operation": "vapi.import", "kind": "not_found_yet"})

    assert call.bring().json()["message"].startswith("Number Not Found on Twilio")
    assert call.bring().status_code == 201


def test_an_import_may_leave_the_voice_url_unset(world: World, call: Caller) -> None:
    sid = call.buy().json()["sid"]
    world.add_fault({"operation": "vapi.import", "kind": "voice_url_unset"})

    assert call.bring().status_code == 201
    assert call.twilio("GET", f"{NUMBERS}/{sid}.json").json()["voice_url"] == ""


def test_a_latency_delays_every_answer_and_changes_none(world: World, call: Caller) -> None:
    world.set_policies({"latency_ms": 5000})
    call.timeout = PATIENCE

    assert tell(call.buy) == "ReadTimeout"
    assert len(world.purchases()) == 1


# The script itself


def struck(script: list[dict[str, Any]], operations: list[str], seed: str = "1") -> list[str | None]:
    faults = FaultScript(seed, [read_fault(given) for given in script])
    strikes = [faults.draw(operation) for operation in operations]
    return [strike.kind if strike else None for strike in strikes]


def test_a_fault_strikes_once_unless_told_otherwise() -> None:
    assert struck([{"kind": "slow"}], ["a"] * 3) == ["slow", None, None]
    assert struck([{"kind": "slow", "times": 2}], ["a"] * 3) == ["slow", "slow", None]
    assert struck([{"kind": "slow", "times": None}], ["a"] * 3) == ["slow"] * 3


def test_a_fault_waits_for_its_turn_and_its_operation() -> None:
    script = [{"operation": "twilio.*", "kind": "slow", "after_calls": 1}]

    assert struck(script, ["vapi.list", "twilio.buy", "vapi.list", "twilio.list"]) == [None, None, None, "slow"]


def test_the_first_fault_that_applies_wins_and_the_next_follows_it() -> None:
    assert struck([{"kind": "slow"}, {"kind": "hang"}], ["a"] * 3) == ["slow", "hang", None]


def test_random_faults_follow_the_seed() -> None:
    script = [{"probability": 0.3, "kinds": ["slow", "hang", "lost_after"]}]
    operations = ["twilio.buy"] * 300

    assert struck(script, operations, "1") == struck(script, operations, "1")
    assert struck(script, operations, "1") != struck(script, operations, "2")
    assert 50 < len([kind for kind in struck(script, operations) if kind]) < 130


def test_random_faults_choose_only_what_makes_sense_for_the_operation() -> None:
    script = [{"probability": 0.99, "kinds": list(KINDS)}]

    for operation, impossible in (
        ("twilio.list", {"taken", "twice", "late_effect", "list_lag", "not_found_yet"}),
        ("vapi.import", {"taken"}),
    ):
        assert not impossible & set(struck(script, [operation] * 500))


@pytest.mark.parametrize(
    "given",
    [{}, {"kind": "bad"}, {"kind": "slow", "tims": 2}, {"kind": "slow", "times": "x"}, {"kinds": ["slow", "bad"]}],
)
def test_a_fault_that_cannot_be_read_says_what_is_expected(given: dict[str, Any]) -> None:
    with pytest.raises(FaultInvalid):
        read_fault(given)
