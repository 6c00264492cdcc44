"""The `/_world` calls: the clock, the truth, other people's acts, holds, policies, a fresh start."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from gateway.simulator import defaults
from gateway.simulator.world import World
from tests.simulator.pretend import NUMBER, NUMBERS, TAG, Caller, StillClock, code


def test_the_world_tells_its_id_its_time_and_what_it_was_asked(world: World, clock: StillClock, call: Caller) -> None:
    call.buy()
    call.listed()
    call.listed()

    assert call.world("GET", "") == {
        "id": world.id,
        "now_ms": clock(),
        "offset_ms": 0,
        "calls": {"twilio.buy": 1, "twilio.list": 2},
        "most_open": {},
    }


def test_the_clock_moves_by_seconds_or_to_an_offset() -> None:
    world = World()
    call = Caller(world)

    assert call.world("POST", "/clock", {"advance_seconds": 90})["offset_ms"] == 90_000
    assert call.world("POST", "/clock", {"advance_seconds": 10})["offset_ms"] == 100_000
    assert call.world("POST", "/clock", {"offset_ms": 5000})["offset_ms"] == 5000
    assert abs(call.world("GET", "")["now_ms"] - World().now_ms() - 5000) < 5000


def test_a_clock_handed_in_is_moved_by_nobody_else(world: World, clock: StillClock, call: Caller) -> None:
    call.world("POST", "/clock", {"offset_ms": 5000})

    assert world.now_ms() == clock()


def test_the_state_tells_what_is_owned_since_when_and_no_secret(world: World, clock: StillClock, call: Caller) -> None:
    call.buy()
    call.bring()
    state = call.world("GET", "/state")

    assert [(n["phone_number"], n["tag"], n["owner"], n["billing_since_ms"]) for n in state["numbers"]] == [
        (NUMBER, TAG, "account", clock())
    ]
    assert [(e["number"], e["name"]) for e in state["entries"]] == [(NUMBER, TAG)]
    assert [a["id"] for a in state["assistants"]] == [defaults.ASSISTANT_ID]
    assert defaults.AUTH_TOKEN not in str(state)


def test_the_log_tells_every_effect_in_order_and_goes_on_where_a_reader_stopped(call: Caller) -> None:
    sid = call.buy().json()["sid"]
    entry = call.bring().json()
    first = call.world("GET", "/log")
    call.vapi("PATCH", f"/phone-number/{entry['id']}", {"hooks": []})
    call.vapi("DELETE", f"/phone-number/{entry['id']}")
    call.twilio("DELETE", f"{NUMBERS}/{sid}.json")
    rest = call.world("GET", f"/log?after={first['next']}")

    assert [e["what"] for e in first["entries"]] == ["bought", "imported"]
    assert [(e["what"], e["operation"]) for e in rest["entries"]] == [
        ("changed", "vapi.assign"),
        ("deleted", "vapi.delete"),
        ("released", "twilio.release"),
    ]
    assert rest["next"] == 5
    assert call.world("GET", "/log?after=5") == {"entries": [], "next": 5}


def test_numbers_of_others_are_in_the_account_without_a_purchase(world: World, call: Caller) -> None:
    named = call.world("POST", "/numbers", {"friendly_name": "Front desk", "phone_number": "+14155550150"})
    many = call.world("POST", "/numbers", {"friendly_name": "Sales", "area_code": "212", "count": 3})

    assert [n["phone_number"] for n in named] == ["+14155550150"]
    assert len({n["phone_number"] for n in many}) == 3
    assert {n["friendly_name"] for n in call.listed()} == {"Front desk", "Sales"}
    assert code(call.buy("+14155550150")) == (400, 21422)
    assert world.purchases() == []


def test_somebody_may_delete_things_behind_our_back(call: Caller) -> None:
    sid = call.buy().json()["sid"]
    entry = call.bring().json()

    call.world("DELETE", f"/numbers/{sid}")
    call.world("DELETE", f"/entries/{entry['id']}")
    call.world("DELETE", f"/assistants/{defaults.ASSISTANT_ID}")

    assert call.twilio("GET", f"{NUMBERS}/{sid}.json").status_code == 404
    assert call.vapi("GET", f"/phone-number/{entry['id']}").status_code == 404
    assert call.vapi("GET", f"/assistant/{defaults.ASSISTANT_ID}").status_code == 404


def test_entries_and_assistants_can_be_placed(call: Caller) -> None:
    entry = call.world("POST", "/entries", {"number": NUMBER, "twilioAccountSid": defaults.ACCOUNT_SID, "name": "x"})
    assistant = call.world("POST", "/assistants", {"name": "Night desk"})

    assert call.vapi("GET", f"/phone-number/{entry['id']}").json() == entry
    assert call.vapi("GET", f"/assistant/{assistant['id']}").json()["name"] == "Night desk"


def test_a_number_can_be_taken_by_somebody(call: Caller) -> None:
    call.world("POST", "/taken", {"phone_number": NUMBER})

    assert code(call.buy()) == (400, 21422)


def test_faults_are_set_shown_and_ended(call: Caller) -> None:
    call.world("POST", "/faults", [{"operation": "twilio.buy", "kind": "rate_limit", "times": 5}, {"kind": "slow"}])
    call.buy()

    shown = call.world("GET", "/faults")
    assert [(f["operation"], f["kinds"], f["seen"], f["struck"]) for f in shown] == [
        ("twilio.buy", ["rate_limit"], 1, 1),
        ("*", ["slow"], 0, 0),
    ]
    assert call.world("DELETE", "/faults") == []
    assert call.buy().status_code == 201


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/faults", {"kind": "bad"}),
        ("/policies", {"buy_owned": "maybe"}),
        ("/policies", {"nothing": 1}),
        ("/hold", {"when": "during"}),
        ("/taken", {}),
        ("/stripe/deliveries", {"name": "bad"}),
        ("/stripe/deliveries", {"nam": "bad"}),
        ("/nothing", {}),
    ],
)
def test_a_control_call_that_makes_no_sense_is_told_so(call: Caller, path: str, body: dict[str, Any]) -> None:
    assert "error" in call.world("POST", path, body)


def test_a_reset_brings_back_the_first_day(world: World, call: Caller) -> None:
    call.buy()
    call.world("POST", "/faults", {"kind": "rate_limit", "times": None})
    call.world("POST", "/policies", {"buy_owned": "update"})

    call.world("POST", "/reset")

    assert call.listed() == []
    assert world.log() == []
    assert world.policies["buy_owned"] == "refuse"
    assert [a["id"] for a in world.state()["assistants"]] == [defaults.ASSISTANT_ID]


def test_unknown_paths_are_not_found(call: Caller) -> None:
    assert call.vapi("GET", "/nowhere").status_code == 404


def test_the_application_is_proper_wsgi(world: World) -> None:
    app = validator(world.wsgi)
    environ: dict[str, Any] = {"SCRIPT_NAME": "", "PATH_INFO": "/_world", "QUERY_STRING": ""}
    setup_testing_defaults(environ)
    statuses: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        statuses.append(status)
        return lambda data: None

    answer = app(environ, start_response)
    body = b"".join(answer)
    answer.close()  # type: ignore[attr-defined]

    assert statuses == ["200 OK"]
    assert world.id.encode() in body


def test_a_server_that_cannot_drop_a_connection_answers_502(world: World) -> None:
    environ: dict[str, Any] = {"PATH_INFO": "/phone-number"}
    setup_testing_defaults(environ)
    statuses: list[str] = []
    world.add_fault({"kind": "lost_before"})

    body = b"".join(world.wsgi(environ, lambda status, headers: statuses.append(status)))

    assert (statuses, body) == (["502 Bad Gateway"], b"dropped")


# Holds: one request stops just before or just after its effect, while somebody does the worst.


def held(call: Caller, act: Callable[[], Any]) -> threading.Thread:
    """Start `act` and return once its request is held."""
    thread = threading.Thread(target=act)
    thread.start()
    assert call.world("GET", "/hold?wait_seconds=5")["holding"]
    return thread


@pytest.mark.parametrize(("when", "bought"), [("before", 0), ("after", 1)])
def test_a_held_request_has_had_its_effect_or_not(world: World, call: Caller, when: str, bought: int) -> None:
    answers: list[Any] = []
    call.world("POST", "/hold", {"operation": "twilio.buy", "when": when})

    thread = held(call, lambda: answers.append(Caller(world).buy()))

    assert call.world("GET", "/hold")["held"] == {"operation": "twilio.buy", "when": when, "subject": NUMBER}
    assert len(world.purchases()) == bought
    assert len(call.listed()) == bought
    assert call.world("POST", "/hold/release") == {"released": True}
    thread.join(5)
    assert answers[0].status_code == 201
    assert len(world.purchases()) == 1


def test_a_request_held_before_its_effect_can_be_made_never_to_happen(world: World, call: Caller) -> None:
    problems: list[Exception] = []

    def buy() -> None:
        try:
            Caller(world).buy()
        except Exception as exc:
            problems.append(exc)

    call.world("POST", "/hold", {"operation": "twilio.buy", "when": "before"})
    thread = held(call, buy)
    call.world("POST", "/hold/release", {"drop": True})
    thread.join(5)

    assert [type(problem).__name__ for problem in problems] == ["ConnectionError"]
    assert world.purchases() == []


def test_a_hold_takes_one_request_and_counts_the_ones_it_lets_pass(world: World, call: Caller) -> None:
    call.world("POST", "/hold", {"operation": "twilio.list", "when": "before", "after_calls": 2})

    call.listed()
    call.listed()
    thread = held(call, lambda: Caller(world).listed())
    call.listed()
    call.world("POST", "/hold/release")
    thread.join(5)

    assert call.world("GET", "/hold") == {"holding": False, "held": None, "armed": None}


def test_a_second_hold_can_be_armed_while_one_is_held(world: World, call: Caller) -> None:
    call.world("POST", "/hold", {"operation": "twilio.list", "when": "before"})
    first = held(call, lambda: Caller(world).listed())
    call.world("POST", "/hold", {"operation": "twilio.buy", "when": "after"})
    call.world("POST", "/hold/release")
    first.join(5)

    second = held(call, lambda: Caller(world).buy())
    assert call.world("GET", "/hold")["held"]["operation"] == "twilio.buy"
    call.world("DELETE", "/hold")
    second.join(5)


def test_an_armed_hold_can_be_disarmed(call: Caller) -> None:
    call.world("POST", "/hold", {"operation": "*", "when": "before"})

    call.world("DELETE", "/hold")

    assert call.buy().status_code == 201
