"""Countries that want papers: nothing is bought until they are in order, and then it goes on by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.flow.choice import Choice, choose_for
from gateway.flow.papers import register_address
from gateway.flow.timeline import timeline
from gateway.ports import Deadline, NumberWish, PostalAddress
from gateway.settings import Compliance
from gateway.store import intents
from tests.stories.sandbox import Sandbox
from tests.stories.test_purchase import active_with_one_number

HOUR = 3600
ADDRESS = {
    "company_name": "Acme (Pty) Ltd",
    "street": "1 Long Street",
    "city": "Cape Town",
    "region": "Western Cape",
    "postal_code": "8001",
}
ZA = {"country": "ZA"}
NATIONAL = {"country": "ZA", "number_type": "national"}


def message(sandbox: Sandbox, key: str = "acme") -> str:
    block = sandbox.tenant(key).block
    assert block is not None
    return block.message


def blocked(sandbox: Sandbox, key: str = "acme") -> str | None:
    code: str | None = sandbox.export(key)["blocked"]
    return code


def on_file(sandbox: Sandbox) -> list[dict[str, Any]]:
    return list(sandbox.world.state()["addresses"])


def chosen(sandbox: Sandbox, key: str = "acme") -> list[tuple[str, str | None, str | None]]:
    tenant = sandbox.tenant(key)
    rows = sandbox.query(lambda tx: intents.of_tenant(tx, tenant.id))
    return [(row["status"], row["address_sid"], row["bundle_sid"]) for row in rows]


def told(sandbox: Sandbox, key: str = "acme") -> list[str]:
    tenant = sandbox.tenant(key)
    return [line.text for line in sandbox.query(lambda tx: timeline(tx, tenant))]


def bundle(sandbox: Sandbox, country: str = "ZA", number_type: str = "national", **given: Any) -> str:
    order = {"iso_country": country, "number_type": number_type, **given}
    return str(sandbox.world_call("POST", "bundles", order)["sid"])


def configure(sandbox: Sandbox, kind: tuple[str, str], address: str | None = None, paper: str | None = None) -> None:
    """Write the compliance file and restart."""
    shown = {**sandbox.settings.twilio.compliance, kind: Compliance(address, paper)}
    sandbox.settings = replace(sandbox.settings, twilio=replace(sandbox.settings.twilio, compliance=shown))
    sandbox.restart()


def file_address(sandbox: Sandbox, country: str = "ZA") -> str:
    """Somebody puts an address on file by hand."""
    postal_code = {"DE": "10115"}.get(country, "8001")
    address = PostalAddress("Head office", "2 Main Street", "Town", "Region", postal_code, country)
    return register_address(sandbox.gateway.steps, address).sid


# --- addresses -------------------------------------------------------------------------------------------------------


def test_a_south_african_signup_without_an_address_waits_and_goes_on_with_the_address(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata=ZA)
    sandbox.settle(60)
    assert blocked(sandbox) == "needs_address"
    assert "no address was given" in message(sandbox)
    assert "tenants set acme company_name=… street=…" in message(sandbox)
    assert chosen(sandbox) == []
    assert sandbox.calls("twilio.buy") == 0

    sandbox.operate("set", ADDRESS)
    sandbox.settle(60)

    active_with_one_number(sandbox)
    assert sandbox.purchases()[0]["number"].startswith("+27")
    assert [(one["city"], one["iso_country"]) for one in on_file(sandbox)] == [("Cape Town", "ZA")]
    assert chosen(sandbox) == [("owned", on_file(sandbox)[0]["sid"], None)]
    assert any(line.startswith("Registered the customer's address") for line in told(sandbox))


def test_a_signup_that_brings_its_address_never_waits(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata=ZA | ADDRESS)
    sandbox.settle(60)

    active_with_one_number(sandbox)
    assert not [line for line in sandbox.timeline() if line.startswith("blocked")]


def test_what_is_missing_of_an_address_is_named(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata=ZA | {"company_name": "Acme", "city": "Cape Town"})
    sandbox.settle(60)

    assert "of its address street, region, postal_code is missing" in message(sandbox)


def test_one_address_of_two_tenants_is_registered_once(sandbox: Sandbox) -> None:
    for key in ("acme", "beta"):
        sandbox.deliver("checkout.completed", key, metadata=ZA | ADDRESS)
    sandbox.settle(HOUR)

    for key in ("acme", "beta"):
        active_with_one_number(sandbox, key)
    assert len(on_file(sandbox)) == 1


def test_an_address_in_another_country_does_where_any_will_do_and_not_where_it_must_be_local(sandbox: Sandbox) -> None:
    abroad = ADDRESS | {"address_country": "US"}
    sandbox.deliver("checkout.completed", "acme", metadata=ZA | abroad)
    sandbox.deliver("checkout.completed", "beta", metadata={"country": "LU"} | abroad)
    sandbox.settle(60)

    active_with_one_number(sandbox, "acme")
    assert blocked(sandbox, "beta") == "needs_address"
    assert "its address is in US and must be in LU" in message(sandbox, "beta")


def test_where_the_address_must_be_abroad_one_at_home_does_not_do(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata={"country": "IL"} | ADDRESS)
    sandbox.settle(60)
    assert blocked(sandbox) == "needs_address"
    assert "its address is in IL and must be outside IL" in message(sandbox)

    sandbox.operate("set", {"address_country": "ZA"})
    sandbox.settle(60)

    active_with_one_number(sandbox)


def test_an_address_on_file_is_named_by_its_sid(sandbox: Sandbox) -> None:
    sid = file_address(sandbox)
    sandbox.deliver("checkout.completed", metadata=ZA | {"address_sid": sid})
    sandbox.settle(60)

    active_with_one_number(sandbox)
    assert chosen(sandbox) == [("owned", sid, None)]
    assert sandbox.calls("twilio.register") == 1


def test_an_address_sid_that_is_not_there_is_said_so_and_its_coming_goes_on(sandbox: Sandbox) -> None:
    missing = "AD" + "0" * 32
    sandbox.deliver("checkout.completed", metadata=ZA | ADDRESS | {"address_sid": missing})
    sandbox.settle(60)
    assert blocked(sandbox) == "needs_address"
    assert f"address {missing} is not in the Twilio account" in message(sandbox)

    sandbox.operate("set", {"address_sid": file_address(sandbox)})
    sandbox.settle(60)

    active_with_one_number(sandbox)


def test_a_compliance_file_written_later_lets_a_tenant_go_on_by_itself(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata=ZA | {"company_name": "Acme"})
    sandbox.settle(60)
    assert blocked(sandbox) == "needs_address"

    sid = file_address(sandbox)
    configure(sandbox, ("ZA", "local"), sid)
    sandbox.settle(HOUR)

    active_with_one_number(sandbox)
    assert chosen(sandbox) == [("owned", sid, None)]


def test_the_customers_own_address_goes_before_the_configured_one(sandbox: Sandbox) -> None:
    configured = file_address(sandbox)
    configure(sandbox, ("ZA", "local"), configured)
    sandbox.deliver("checkout.completed", metadata=ZA | ADDRESS)
    sandbox.settle(60)

    active_with_one_number(sandbox)
    assert chosen(sandbox)[0][1] not in (None, configured)


def test_an_address_that_is_none_is_refused_once_and_its_correction_goes_on(sandbox: Sandbox) -> None:
    wrong = {"country": "LU"} | ADDRESS | {"postal_code": "nowhere"}
    sandbox.deliver("checkout.completed", metadata=wrong)
    sandbox.settle(HOUR / 2)
    assert blocked(sandbox) == "needs_address"
    assert "not a valid address (Twilio error 21628)" in message(sandbox)
    assert sandbox.calls("twilio.register") == 1

    sandbox.operate("set", {"postal_code": "L-1009"})
    sandbox.settle(60)

    active_with_one_number(sandbox)


def test_an_address_that_was_refused_just_now_is_not_tried_again_for_anybody(sandbox: Sandbox) -> None:
    wrong = {"country": "LU"} | ADDRESS | {"postal_code": "nowhere"}
    for key in ("acme", "beta"):
        sandbox.deliver("checkout.completed", key, metadata=wrong)
        sandbox.settle(60)

    assert (blocked(sandbox, "acme"), blocked(sandbox, "beta")) == ("needs_address", "needs_address")
    assert sandbox.calls("twilio.register") == 1


def test_another_spelling_is_never_taken_silently(sandbox: Sandbox) -> None:
    short = {"country": "LU"} | ADDRESS | {"postal_code": "1009", "street": "12 Main St"}
    sandbox.deliver("checkout.completed", metadata=short)
    sandbox.settle(60)
    assert blocked(sandbox) == "needs_address"
    assert "suggests" in message(sandbox)
    assert "12 Main Street" not in message(sandbox)
    assert on_file(sandbox) == []

    sandbox.operate("set", {"street": "12 Main Street"})
    sandbox.settle(60)

    active_with_one_number(sandbox)


def test_a_registered_address_that_somebody_removed_is_registered_again(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata=NATIONAL | ADDRESS | {"bundle_sid": bundle(sandbox)})
    sandbox.fault("twilio.buy", "rate_limit", times=1, retry_after=600)
    sandbox.deliver("checkout.completed", "beta", metadata=ZA | ADDRESS)
    sandbox.settle(5)
    sandbox.settle(HOUR)
    first = on_file(sandbox)[0]["sid"]

    sandbox.world_call("DELETE", f"addresses/{first}")
    sandbox.deliver("checkout.completed", "gamma", metadata=ZA | ADDRESS)
    sandbox.settle(HOUR)

    active_with_one_number(sandbox, "gamma")
    assert [one["sid"] for one in on_file(sandbox)] != [first]
    assert f"The customer's address {first} is not at Twilio any more" in told(sandbox, "gamma")


def test_a_registered_address_that_somebody_changed_is_not_shown_until_a_person_says_so(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata=ZA | ADDRESS)
    sandbox.settle(60)
    sid = on_file(sandbox)[0]["sid"]
    sandbox.world_call("POST", f"addresses/{sid}", {"city": "Durban"})

    sandbox.deliver("checkout.completed", "beta", metadata=ZA | ADDRESS)
    sandbox.settle(60)
    assert blocked(sandbox, "beta") == "needs_address"
    assert "was changed at Twilio" in message(sandbox, "beta")
    sandbox.operate("set", {"address_sid": sid}, key="beta")
    sandbox.settle(60)

    active_with_one_number(sandbox, "beta")


def test_a_tenant_that_returns_shows_the_address_it_had(sandbox: Sandbox) -> None:
    sid = file_address(sandbox)
    sandbox.deliver("checkout.completed", metadata=ZA | {"address_sid": sid})
    sandbox.settle(60)
    sandbox.deliver("subscription.deleted")
    sandbox.wait(days=40)
    assert sandbox.export()["state"] == "released"

    sandbox.operate("set", {"address_sid": ""})
    back = {"subscription": "sub_back", "metadata.address_sid": ""}
    sandbox.deliver("checkout.completed", metadata=ZA, set=back)
    sandbox.settle(HOUR)

    assert sandbox.export()["state"] == "active", told(sandbox)
    assert [one[:2] for one in chosen(sandbox)] == [("released", sid), ("owned", sid)]


# --- registering, with bad luck --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lost_after", "lost_before", "error_after", "error_before", "truncated", "empty"])
def test_an_unclear_answer_registers_the_address_once(sandbox: Sandbox, kind: str) -> None:
    sandbox.fault("twilio.register", kind)

    sandbox.deliver("checkout.completed", metadata=ZA | ADDRESS)
    sandbox.settle(2 * HOUR)

    active_with_one_number(sandbox)
    assert len(on_file(sandbox)) == 1


@pytest.mark.parametrize("kind", ["late_effect", "list_lag"])
def test_an_address_that_shows_up_late_is_waited_for(sandbox: Sandbox, kind: str) -> None:
    sandbox.fault("twilio.register", kind, seconds=300)
    sandbox.fault("twilio.register", "late_effect", seconds=300)

    sandbox.deliver("checkout.completed", metadata=ZA | ADDRESS)
    sandbox.settle(2 * HOUR)

    active_with_one_number(sandbox)
    assert len(on_file(sandbox)) == 1


def test_a_rate_limit_is_waited_out(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.register", "rate_limit", times=2, retry_after=7)

    sandbox.deliver("checkout.completed", metadata=ZA | ADDRESS)
    sandbox.settle(HOUR)

    active_with_one_number(sandbox)
    assert len(on_file(sandbox)) == 1


@pytest.mark.parametrize("operation", ["twilio.address", "twilio.register", "twilio.search", "twilio.buy"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_crash_at_any_call_leaves_one_address_and_one_number(
    sandbox: Sandbox, operation: str, before: bool, nth: int
) -> None:
    sandbox.crash_at(operation, before=before, nth=nth)
    sandbox.deliver("checkout.completed", metadata=ZA | ADDRESS)
    sandbox.turn_and_crash()

    sandbox.restart()
    sandbox.settle(4 * HOUR)

    active_with_one_number(sandbox)
    assert len(on_file(sandbox)) == 1
    assert not [line for line in told(sandbox) if "no answer is known" in line]


def test_a_customer_who_leaves_while_the_address_is_registered_gets_no_number(sandbox: Sandbox) -> None:
    def leave() -> None:
        sandbox.deliver("subscription.deleted")
        sandbox.claim("another worker")

    sandbox.meanwhile("twilio.register", leave)
    sandbox.deliver("checkout.completed", metadata=ZA | ADDRESS)

    sandbox.settle(2 * HOUR)

    assert sandbox.purchases() == []


@pytest.mark.parametrize("operation", ["twilio.address", "twilio.register", "twilio.bundle", "twilio.regulation"])
def test_credentials_that_are_refused_for_papers_hold_back_and_go_on(sandbox: Sandbox, operation: str) -> None:
    sandbox.fault(operation, "unauthorized", times=1)
    sandbox.deliver("checkout.completed", metadata=NATIONAL | ADDRESS | {"bundle_sid": bundle(sandbox)})
    sandbox.settle(60)
    sandbox.wait(seconds=61)
    sandbox.probe()
    sandbox.settle(HOUR)

    active_with_one_number(sandbox)


# --- bundles ---------------------------------------------------------------------------------------------------------


def test_a_kind_that_needs_a_bundle_waits_and_says_what_twilio_asks_for(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata=NATIONAL | ADDRESS)
    sandbox.settle(60)

    assert blocked(sandbox) == "needs_bundle"
    assert "ZA national numbers need an approved regulatory bundle, and none is named" in message(sandbox)
    assert "Twilio asks for: Business, Address (Address Validation)" in message(sandbox)
    assert "tenants set acme bundle_sid=BU…" in message(sandbox)
    assert chosen(sandbox) == []
    assert on_file(sandbox) == [], "an address is put on file only when it is of use"


def test_both_are_said_where_both_are_missing(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata=NATIONAL)
    sandbox.settle(60)

    assert blocked(sandbox) == "needs_address"
    assert "It also needs an approved regulatory bundle" in message(sandbox)


def test_with_a_bundle_that_is_approved_later_it_goes_on_by_itself(sandbox: Sandbox) -> None:
    later = [[HOUR, "in-review"], [20 * HOUR, "twilio-approved"]]
    sid = bundle(sandbox, status="pending-review", then=later)
    sandbox.deliver("checkout.completed", metadata=NATIONAL | ADDRESS | {"bundle_sid": sid})
    sandbox.settle(60)
    assert blocked(sandbox) == "needs_bundle"
    assert f"bundle {sid} waits to be looked at" in message(sandbox)
    sandbox.wait(seconds=2 * HOUR)
    assert f"bundle {sid} is being looked at" in message(sandbox)
    approved_at_ms = sandbox.clock.at_ms + 18 * HOUR * 1000

    sandbox.wait(seconds=18 * HOUR + 120)

    active_with_one_number(sandbox)
    assert sandbox.purchases()[0]["number"].startswith("+2787")
    assert sandbox.purchases()[0]["at_ms"] <= approved_at_ms + 90_000, "noticed within the recheck time"
    assert chosen(sandbox)[0][2] == sid


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status": "draft"}, "is a draft that nobody has handed in yet"),
        ({"status": "twilio-rejected"}, "was rejected"),
        ({"status": "provisionally-approved"}, "is approved provisionally only"),
        ({"valid_until": "2026-01-01T00:00:00Z"}, "is no longer valid"),
        ({"number_type": "mobile"}, "is for ZA mobile numbers, and this one is ZA national"),
        ({"country": "GB", "number_type": "local"}, "is for GB local numbers, and this one is ZA national"),
    ],
    ids=["draft", "rejected", "provisional", "expired", "other type", "other country"],
)
def test_a_bundle_that_does_not_do_is_said_so_before_anything_is_bought(
    sandbox: Sandbox, fields: dict[str, str], words: str
) -> None:
    sid = bundle(sandbox, **fields)

    sandbox.deliver("checkout.completed", metadata=NATIONAL | ADDRESS | {"bundle_sid": sid})
    sandbox.settle(60)

    assert blocked(sandbox) == "needs_bundle"
    assert words in message(sandbox)
    assert sandbox.calls("twilio.buy") == 0


def test_a_bundle_that_is_not_there_is_said_so(sandbox: Sandbox) -> None:
    missing = "BU" + "0" * 32
    sandbox.deliver("checkout.completed", metadata=NATIONAL | ADDRESS | {"bundle_sid": missing})
    sandbox.settle(60)

    assert f"bundle {missing} is not in the Twilio account" in message(sandbox)


def test_one_configured_bundle_serves_everybody(sandbox: Sandbox) -> None:
    configure(sandbox, ("ZA", "national"), None, bundle(sandbox))
    for key in ("acme", "beta"):
        sandbox.deliver("checkout.completed", key, metadata=NATIONAL | ADDRESS)
    sandbox.settle(HOUR)

    for key in ("acme", "beta"):
        active_with_one_number(sandbox, key)


def test_while_nobody_can_be_asked_twilio_itself_says_no_and_the_bundle_given_later_goes_on(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.regulation", "error_before", times=None)
    sandbox.deliver("checkout.completed", metadata=NATIONAL | ADDRESS)
    sandbox.settle(60)
    assert blocked(sandbox) == "needs_bundle"
    assert "Twilio error 21649" in message(sandbox)
    assert sandbox.purchases() == []

    sandbox.operate("set", {"bundle_sid": bundle(sandbox)})
    sandbox.settle(HOUR)

    active_with_one_number(sandbox)


def test_a_refused_purchase_is_tried_again_with_papers_that_the_file_names_later(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.regulation", "error_before", times=None)
    sandbox.deliver("checkout.completed", metadata=NATIONAL | ADDRESS)
    sandbox.settle(50 * 60)
    assert sandbox.calls("twilio.buy") == 1, "the same papers are not shown again within the hour"

    configure(sandbox, ("ZA", "national"), None, bundle(sandbox))
    sandbox.settle(20 * 60)

    active_with_one_number(sandbox)


def test_a_national_number_among_local_ones_is_refused_and_not_bought_otherwise(sandbox: Sandbox) -> None:
    sandbox.world.set_policies({"national_among_local": True})
    sandbox.deliver("checkout.completed", metadata=ZA | ADDRESS)
    sandbox.settle(4 * HOUR)

    if blocked(sandbox) == "needs_bundle":
        assert sandbox.purchases() == []
    else:
        active_with_one_number(sandbox)


def test_regulations_are_asked_once_for_many_tenants(sandbox: Sandbox) -> None:
    for key in ("acme", "beta", "gamma"):
        sandbox.deliver("checkout.completed", key, metadata=ZA | ADDRESS)
    sandbox.settle(60)

    assert sandbox.calls("twilio.regulation") == 1


@pytest.mark.parametrize("country", ["US", "CA"])
def test_where_nothing_has_to_be_shown_nobody_is_asked_about_papers(sandbox: Sandbox, country: str) -> None:
    sandbox.deliver("checkout.completed", metadata={"country": country} | ADDRESS)
    sandbox.settle(60)

    active_with_one_number(sandbox)
    asked = ("twilio.address", "twilio.register", "twilio.bundle", "twilio.regulation", "twilio.price")
    assert [sandbox.calls(operation) for operation in asked] == [0] * 5
    assert (sandbox.calls("twilio.search"), sandbox.calls("vapi.assistant")) == (1, 1)


# --- exact numbers ---------------------------------------------------------------------------------------------------


def exact(sandbox: Sandbox, country: str) -> str:
    ms = sandbox.clock.at_ms + 60_000
    found = sandbox.gateway.steps.telephony.search(NumberWish(country, has_address=True), 1, Deadline(ms / 1000, ms))
    return found[0].number


def test_an_exact_number_needs_its_papers_too(sandbox: Sandbox) -> None:
    number = exact(sandbox, "ZA")
    sandbox.deliver("checkout.completed", metadata=ZA | {"phone_number": number})
    sandbox.settle(60)
    assert blocked(sandbox) == "needs_address"
    assert chosen(sandbox) == []

    sandbox.operate("set", ADDRESS)
    sandbox.settle(60)

    active_with_one_number(sandbox)
    assert sandbox.export()["phone_number"] == number


def test_an_exact_number_of_another_country_than_was_said_is_named(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata={"phone_number": exact(sandbox, "ZA")})
    sandbox.settle(60)

    assert blocked(sandbox) == "options_invalid"
    assert "country=…" in message(sandbox)
    assert sandbox.calls("twilio.buy") == 0


def test_an_exact_number_that_comes_late_replaces_the_chosen_one_that_was_not_sent(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "rate_limit", times=1, retry_after=30)
    wanted = sandbox.for_sale("212")
    sandbox.deliver("checkout.completed", metadata={"area_code": "415"})
    sandbox.settle(1)
    assert [one[0] for one in chosen(sandbox)] == ["chosen"]

    sandbox.operate("set", {"phone_number": wanted})
    sandbox.settle(HOUR)

    active_with_one_number(sandbox)
    assert sandbox.export()["phone_number"] == wanted
    assert [one[0] for one in chosen(sandbox)] == ["dropped", "owned"]


def test_a_number_that_was_sent_already_is_not_given_up_for_an_exact_one(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "lost_after", times=1, lag_seconds=120)
    sandbox.deliver("checkout.completed", metadata={"area_code": "415"})
    sandbox.settle(1)

    sandbox.operate("set", {"phone_number": sandbox.for_sale("212")})
    sandbox.settle(HOUR)

    active_with_one_number(sandbox)
    assert sandbox.export()["phone_number"].startswith("+1415")


# --- a number that its customer chose --------------------------------------------------------------------------------


def choose(sandbox: Sandbox, number: str, **address: str) -> None:
    tenant = sandbox.tenant()
    choice = Choice(number, "ZA", "local", address)
    rules, now_ms = sandbox.gateway.rules, sandbox.clock.at_ms
    sandbox.gateway.steps.commit(lambda tx: choose_for(tx, tenant.id, tenant.generation, choice, rules, now_ms))


def test_a_number_that_was_chosen_without_an_address_is_held_and_bought_once_there_is_one(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata=ZA | {"choose": "yes"})
    sandbox.settle(60)
    number = exact(sandbox, "ZA")

    choose(sandbox, number)
    sandbox.settle(HOUR)
    assert blocked(sandbox) == "needs_address"
    assert [one[0] for one in chosen(sandbox)] == ["chosen"], "held for its customer meanwhile"
    assert sandbox.calls("twilio.buy") == 0
    choose(sandbox, number, **ADDRESS)
    sandbox.settle(60)

    active_with_one_number(sandbox)
    assert sandbox.export()["phone_number"] == number
    assert chosen(sandbox)[-1] == ("owned", on_file(sandbox)[0]["sid"], None)


def test_a_number_that_was_chosen_is_bought_with_an_address_that_comes_by_other_ways(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata=ZA | {"choose": "yes"})
    sandbox.settle(60)
    number = exact(sandbox, "ZA")
    choose(sandbox, number)
    sandbox.settle(60)

    configure(sandbox, ("ZA", "local"), file_address(sandbox))
    sandbox.settle(HOUR)

    active_with_one_number(sandbox)
    assert sandbox.export()["phone_number"] == number
