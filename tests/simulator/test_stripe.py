"""The pretend Stripe's events: signed as Stripe signs, shaped as Stripe shapes, one life for each tenant."""

from __future__ import annotations

import json
from typing import Any

import pytest
import stripe

from gateway.integrations.stripe.simulator import SCENARIOS, TYPES, Life, deliver, sign
from gateway.simulator import defaults
from gateway.simulator.billing import one_delivery, scenario
from gateway.simulator.world import World
from tests.simulator.pretend import NOW_MS, Caller, StillClock

SHAPES = ["old", "new"]
# Known answer, made with stripe-python 16.1.0.
BODY = '{"id":"evt_1","object":"event","type":"invoice.paid","note":"é"}'.encode()
MARK = "69bd205bcad1195457e6fc82764f29a8c2358e0b2c8ccd9c7619c30c17546721"


def order(call: Caller, name: str = "checkout.completed", tenant: str = "acme", **more: Any) -> dict[str, Any]:
    return dict(call.world("POST", "/stripe/deliveries", {"name": name, "tenant": tenant, **more}))


def event(call: Caller, *args: Any, **more: Any) -> dict[str, Any]:
    return dict(json.loads(order(call, *args, **more)["body"]))


def thing(call: Caller, *args: Any, **more: Any) -> dict[str, Any]:
    return dict(event(call, *args, **more)["data"]["object"])


def accept(body: str, headers: dict[str, str]) -> stripe.Event:
    """What Stripe's own library makes of a delivery; the tolerance is wide, for the world's clock stands still."""
    secret = defaults.STRIPE_WEBHOOK_SECRET
    event: stripe.Event = stripe.Webhook.construct_event(body, headers["Stripe-Signature"], secret, tolerance=1 << 31)
    return event


def test_the_signature_is_stripes_own() -> None:
    assert sign(BODY, ["whsec_test_secret"], 1700000000) == f"t=1700000000,v1={MARK}"


def test_each_live_secret_signs_once() -> None:
    header = sign(BODY, ["whsec_other", "whsec_test_secret"], 1700000000)

    assert header.count("v1=") == 2
    assert header.endswith(f",v1={MARK}")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", TYPES)
def test_stripes_own_library_accepts_every_event(call: Caller, name: str, shape: str) -> None:
    made = order(call, name, shape=shape)

    accepted = accept(made["body"], made["headers"])

    assert accepted["id"] == made["event_id"]
    assert accepted["type"] == made["type"] == TYPES[name]


def test_a_changed_byte_spoils_the_signature(call: Caller) -> None:
    made = order(call)

    with pytest.raises(stripe.SignatureVerificationError):
        accept(made["body"].replace("acme", "acmf"), made["headers"])


def test_the_body_is_indented_and_stamped_with_the_worlds_time(call: Caller) -> None:
    made = order(call)

    assert made["body"].startswith('{\n  "id": "evt_')
    assert made["headers"]["Stripe-Signature"].startswith(f"t={NOW_MS // 1000},v1=")
    assert json.loads(made["body"])["created"] == NOW_MS // 1000


def test_secrets_and_stamp_can_be_chosen(call: Caller) -> None:
    made = order(call, secrets=["whsec_a", "whsec_b"], timestamp_s=1)

    assert made["headers"]["Stripe-Signature"] == sign(made["body"].encode(), ["whsec_a", "whsec_b"], 1)


@pytest.mark.parametrize(
    ("name", "paid", "status"),
    [
        ("checkout.completed", "paid", "complete"),
        ("checkout.unpaid", "unpaid", "complete"),
        ("checkout.no_payment_required", "no_payment_required", "complete"),
        ("checkout.async_payment_succeeded", "paid", "complete"),
        ("checkout.async_payment_failed", "unpaid", "complete"),
        ("checkout.expired", "unpaid", "expired"),
    ],
)
def test_a_session_says_whether_it_is_paid(call: Caller, name: str, paid: str, status: str) -> None:
    session = thing(call, name)

    assert (session["payment_status"], session["status"], session["mode"]) == (paid, status, "subscription")
    assert (session["subscription"] is None) == (name == "checkout.expired")


@pytest.mark.parametrize(
    ("carry", "session_key", "reference", "subscription_key"),
    [
        (["session", "subscription"], "acme", None, "acme"),
        (["session"], "acme", None, None),
        (["subscription"], None, None, "acme"),
        (["reference"], None, "acme", None),
        ([], None, None, None),
    ],
    ids=lambda value: "+".join(value) or "nothing" if isinstance(value, list) else None,
)
def test_the_tenants_key_travels_where_it_is_told_to(
    call: Caller, carry: list[str], session_key: str | None, reference: str | None, subscription_key: str | None
) -> None:
    session = thing(call, carry=carry)
    sub = thing(call, "subscription.created")
    paid = thing(call, "invoice.paid")

    assert session["metadata"].get("tenant_id") == session_key
    assert session["client_reference_id"] == reference
    assert sub["metadata"].get("tenant_id") == subscription_key
    assert paid["parent"]["subscription_details"]["metadata"].get("tenant_id") == subscription_key


def test_one_life_has_one_customer_and_one_subscription(call: Caller) -> None:
    session = thing(call)
    sub = thing(call, "subscription.updated")
    paid = thing(call, "invoice.paid")
    other = thing(call, tenant="globex")

    assert session["subscription"] == sub["id"] == paid["parent"]["subscription_details"]["subscription"]
    assert session["customer"] == sub["customer"] == paid["customer"]
    assert not {other["subscription"], other["customer"], other["id"]} & {sub["id"], sub["customer"], session["id"]}


def test_every_event_has_an_id_of_its_own(call: Caller) -> None:
    ids = [event(call, name)["id"] for name in [*TYPES, *TYPES]]

    assert len(set(ids)) == len(ids)


def test_fields_that_moved_are_where_each_shape_has_them(call: Caller) -> None:
    old_sub, new_sub = (thing(call, "subscription.created", f"t-{shape}", shape=shape) for shape in SHAPES)
    old_paid, new_paid = (thing(call, "invoice.paid", f"t-{shape}", shape=shape) for shape in SHAPES)
    old_session, new_session = (thing(call, "checkout.completed", f"u-{shape}", shape=shape) for shape in SHAPES)

    assert old_sub["current_period_end"] == new_sub["items"]["data"][0]["current_period_end"]
    assert "current_period_end" not in new_sub
    assert "current_period_end" not in old_sub["items"]["data"][0]
    assert (old_paid["subscription"], old_paid["paid"]) == (old_sub["id"], True)
    assert old_paid["subscription_details"]["metadata"] == {"tenant_id": "t-old"}
    assert not {"subscription", "subscription_details", "paid", "payment_intent", "charge"} & set(new_paid)
    assert new_paid["parent"]["type"] == "subscription_details"
    assert (old_session["ui_mode"], new_session["ui_mode"]) == ("hosted", "hosted_page")


@pytest.mark.parametrize(("shape", "version"), [("old", "2025-02-24.acacia"), ("new", "2026-10-28.endive")])
def test_each_shape_names_its_api_version(call: Caller, shape: str, version: str) -> None:
    assert event(call, shape=shape)["api_version"] == version


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("metadata.area_code", "415", ("data", "object", "metadata", "area_code")),
        ("status", "past_due", ("data", "object", "status")),
        ("items.data.0.quantity", 3, ("data", "object", "items", "data", 0, "quantity")),
        ("event.livemode", True, ("livemode",)),
        ("event.created", 5, ("created",)),
    ],
    ids=["metadata", "status", "list", "envelope", "time"],
)
def test_any_value_can_be_set_by_its_path(call: Caller, path: str, value: Any, where: tuple[Any, ...]) -> None:
    found: Any = event(call, "subscription.updated", set={path: value})

    for part in where:
        found = found[part]
    assert found == value


def test_metadata_is_always_text(call: Caller) -> None:
    assert thing(call, set={"metadata.area_code": 415})["metadata"]["area_code"] == "415"


def test_an_update_says_what_was_before(call: Caller) -> None:
    thing(call)

    updated = event(call, "subscription.past_due")

    assert updated["data"]["object"]["status"] == "past_due"
    assert updated["data"]["previous_attributes"] == {"status": "active"}


def test_a_return_after_the_end_is_a_new_subscription_of_the_same_customer(call: Caller) -> None:
    first = thing(call)
    gone = thing(call, "subscription.deleted")
    second = thing(call)

    assert (gone["status"], gone["ended_at"]) == ("canceled", NOW_MS // 1000)
    assert second["subscription"] != first["subscription"]
    assert second["customer"] == first["customer"]


@pytest.mark.parametrize(
    ("scenario_name", "last_status"),
    [
        ("signup", "active"),
        ("trial", "active"),
        ("payment-fails-and-recovers", "active"),
        ("payment-fails-for-good", "canceled"),
        ("pause-and-resume", "active"),
        ("cancel", "canceled"),
        ("cancel-and-return", "active"),
        ("async-payment", "active"),
        ("async-payment-fails", "incomplete"),
        ("abandoned", "none"),
    ],
)
@pytest.mark.parametrize("shape", SHAPES)
def test_whole_stories_end_where_they_should(scenario_name: str, last_status: str, shape: str) -> None:
    life = Life(shape=shape)

    events = life.play(scenario_name, NOW_MS)

    assert life.status == last_status
    assert [e["created"] for e in events] == sorted(e["created"] for e in events)
    assert len({e["id"] for e in events}) == len(events) == len(SCENARIOS[scenario_name])


def test_every_story_is_tested_and_told_over_http(call: Caller) -> None:
    told = call.world("GET", "/stripe/scenarios")

    assert set(told) == set(SCENARIOS)
    assert told["cancel"][0] == [0, "checkout.completed", {}]
    assert scenario("cancel") == SCENARIOS["cancel"]


def test_time_moves_the_period_on(clock: StillClock, call: Caller) -> None:
    first = thing(call, "invoice.paid")
    clock.advance(31 * 86_400)
    second = thing(call, "invoice.payment_failed")

    assert second["id"] != first["id"]
    assert (first["billing_reason"], second["billing_reason"]) == ("subscription_create", "subscription_cycle")
    assert second["status"] == "open"
    assert second["next_payment_attempt"] > second["created"]


def test_a_delivery_without_a_world_belongs_to_the_same_life() -> None:
    signup = json.loads(one_delivery({"tenant": "acme"}, ["whsec_x"], NOW_MS)["body"])
    failed = json.loads(
        one_delivery({"tenant": "acme", "name": "invoice.payment_failed"}, ["whsec_x"], NOW_MS)["body"]
    )

    parent = failed["data"]["object"]["parent"]
    assert parent["subscription_details"]["subscription"] == signup["data"]["object"]["subscription"]
    assert failed["id"] != signup["id"]


def test_names_and_stories_that_do_not_exist_are_told_so() -> None:
    with pytest.raises(ValueError, match=r"known: checkout\.completed"):
        Life().event("checkout.complete", NOW_MS)
    with pytest.raises(ValueError, match="known: signup"):
        Life().play("nothing", NOW_MS)
    with pytest.raises(ValueError, match="plain value"):
        Life().event("checkout.completed", NOW_MS, {"mode.x": 1})


def test_stripes_own_names_work_as_well() -> None:
    assert Life().event("customer.subscription.deleted", NOW_MS)["type"] == "customer.subscription.deleted"


def test_the_api_tells_a_subscription_as_it_stands(world: World, call: Caller) -> None:
    sub = thing(call, "subscription.created")
    thing(call, "subscription.past_due")

    read = call.stripe(f"/v1/subscriptions/{sub['id']}").json()
    assert (read["id"], read["status"], read["object"]) == (sub["id"], "past_due", "subscription")
    missing = call.stripe("/v1/subscriptions/sub_none")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "resource_missing")


def test_the_api_lists_subscriptions_without_the_ended_ones(call: Caller) -> None:
    kept = thing(call, "subscription.created", "a")
    ended = thing(call, "subscription.deleted", "b")

    assert [s["id"] for s in call.stripe("/v1/subscriptions").json()["data"]] == [kept["id"]]
    assert {s["id"] for s in call.stripe("/v1/subscriptions", status="all").json()["data"]} == {
        kept["id"],
        ended["id"],
    }


def test_the_api_lists_events_that_were_not_delivered(call: Caller) -> None:
    ids = [order(call)["event_id"] for _ in range(3)]
    call.world("POST", "/stripe/delivered", {"event_id": ids[1]})

    missed = call.stripe("/v1/events", delivery_success="false").json()
    first = call.stripe("/v1/events", limit="1").json()
    rest = call.stripe("/v1/events", starting_after=ids[2]).json()

    assert [e["id"] for e in missed["data"]] == [ids[2], ids[0]]
    assert ([e["id"] for e in first["data"]], first["has_more"]) == ([ids[2]], True)
    assert [e["id"] for e in rest["data"]] == [ids[1], ids[0]]
    assert call.stripe(f"/v1/events/{ids[0]}").json()["id"] == ids[0]


def test_a_wrong_key_is_401(call: Caller) -> None:
    call.stripe_key = "wrong"

    assert call.stripe("/v1/events").status_code == 401


def test_a_delivery_is_the_bytes_that_were_signed() -> None:
    made = deliver(Life(metadata={"company_name": "Café"}).event("checkout.completed", NOW_MS), ["whsec_x"], 1)

    assert "Café".encode() in made.body
    assert made.headers["Stripe-Signature"] == sign(made.body, ["whsec_x"], 1)
