"""What operators may do, what is refused and why, and that every action is written down with who and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.domain import keys
from gateway.domain.model import Hold, Tenant
from gateway.errors import OperatorError, ProviderError
from gateway.flow import operate
from gateway.flow.operate import Operator
from gateway.store import intents, journal, leases, ledger, subscriptions, tenants
from gateway.store.database import Transaction
from tests.stories.sandbox import Crash, Sandbox

ANN = Operator("ann", "they called us")


def act(sandbox: Sandbox, action: Callable[..., Any], *given: Any) -> Any:
    """One of the actions that run in an open transaction."""
    return sandbox.gateway.steps.commit(lambda tx: action(tx, *given, sandbox.gateway.rules, ANN, sandbox.clock.at_ms))


def add(sandbox: Sandbox, key: str = "acme", **wishes: str) -> Tenant:
    tenant: Tenant = act(sandbox, operate.add, key, wishes)
    return tenant


def adopt(sandbox: Sandbox, sid: str, key: str = "acme") -> Tenant:
    return operate.adopt(sandbox.gateway.steps, key, sid, ANN)


def place(sandbox: Sandbox, name: str = "front desk") -> tuple[str, str]:
    """A number in the Twilio account that nobody of ours bought: SID and number."""
    placed = sandbox.world.place_numbers({"friendly_name": name})[0]
    return placed["sid"], placed["phone_number"]


def names_at_twilio(sandbox: Sandbox) -> list[str]:
    return sorted(number["friendly_name"] for number in sandbox.numbers())


def everybody(sandbox: Sandbox) -> list[str]:
    return [tenant.tenant_key for tenant in sandbox.query(lambda tx: tenants.list_page(tx))]


def lines(sandbox: Sandbox, key: str = "acme") -> list[tuple[str, dict[str, Any], str | None]]:
    """What operators did, as the timeline has it."""
    tenant = sandbox.tenant(key)
    rows = sandbox.query(lambda tx: journal.of_tenant(tx, tenant.id))
    return [(row["name"], row["detail"], row["actor"]) for row in rows if row["kind"] == "operator"]


def active(sandbox: Sandbox, key: str = "acme") -> dict[str, Any]:
    """The tenant's export; it must be active with one number and one entry."""
    line = sandbox.export(key)
    assert (line["state"], line["blocked"]) == ("active", None), sandbox.timeline(key)
    assert len([n for n in sandbox.numbers() if n["friendly_name"] == line["friendly_names"][-1]]) == 1
    assert len([entry for entry in sandbox.entries() if entry["number"] == line["phone_number"]]) == 1
    return line


# --- add -------------------------------------------------------------------------------------------------------------


def test_a_tenant_made_by_hand_gets_its_number(sandbox: Sandbox) -> None:
    add(sandbox, area_code="415")
    sandbox.settle(60)

    assert active(sandbox)["phone_number"].startswith("+1415")
    assert lines(sandbox) == [("add", {"reason": "they called us", "options": ["area_code"]}, "ann")]


def test_adding_a_tenant_again_only_sets_its_options(sandbox: Sandbox) -> None:
    add(sandbox)
    sandbox.settle(60)
    number = active(sandbox)["phone_number"]

    add(sandbox, area_code="212")
    sandbox.settle(600)

    assert active(sandbox)["phone_number"] == number
    assert len(sandbox.purchases()) == 1
    assert sandbox.query(lambda tx: subscriptions.options_of(tx, sandbox.tenant().id))[0].value == "212"


def test_adding_a_tenant_that_was_released_gives_it_a_new_number_under_a_new_tag(sandbox: Sandbox) -> None:
    add(sandbox)
    sandbox.settle(60)
    sandbox.operate("hold", Hold.RELEASE)
    sandbox.wait(days=1)
    assert sandbox.export()["state"] == "released"

    sandbox.operate("hold", None)
    add(sandbox)
    sandbox.settle(600)

    assert len(active(sandbox)["friendly_names"]) == 2


def test_a_tenant_made_by_hand_outlives_the_end_of_its_subscription(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    add(sandbox)

    sandbox.deliver("subscription.deleted")
    sandbox.wait(days=40)

    active(sandbox)


@pytest.mark.parametrize("key", ["", "-acme", "a b", "a" * 65, "acme\n", "tenant/1"])
def test_a_key_that_is_not_legal_makes_no_tenant(sandbox: Sandbox, key: str) -> None:
    with pytest.raises(OperatorError, match="no legal key"):
        add(sandbox, key)

    assert everybody(sandbox) == []


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"colour": "red"}, r"Unknown option colour\. There are: country"),
        ({"area_code": "banana"}, "area_code"),
        ({"phone_number": "12"}, "phone_number"),
        ({"country": "GB", "area_code": "415"}, "works in US and CA only"),
    ],
    ids=["unknown", "no area code", "no number", "not together"],
)
@pytest.mark.parametrize("action", ["add", "set"])
def test_options_that_make_no_sense_change_nothing(
    sandbox: Sandbox, action: str, wishes: dict[str, str], said: str
) -> None:
    add(sandbox, "beta")
    calls = {"add": operate.add, "set": operate.set_options}
    key = {"add": "acme", "set": "beta"}[action]

    with pytest.raises(OperatorError, match=said):
        act(sandbox, calls[action], key, wishes)

    assert everybody(sandbox) == ["beta"]
    assert len(lines(sandbox, "beta")) == 1


# --- set -------------------------------------------------------------------------------------------------------------


def test_an_operators_word_beats_the_signup_until_it_is_taken_back(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata={"area_code": "212", "choose": "yes"})
    sandbox.settle(60)
    act(sandbox, operate.set_options, "acme", {"area_code": "415"})
    act(sandbox, operate.set_options, "acme", {"area_code": " ", "choose": "no"})

    sandbox.settle(600)

    assert active(sandbox)["phone_number"].startswith("+1212")
    assert lines(sandbox)[0] == ("set", {"reason": "they called us", "options": {"area_code": "415"}}, "ann")


def test_actions_on_a_tenant_that_does_not_exist_are_refused(sandbox: Sandbox) -> None:
    given: dict[Callable[..., Any], tuple[Any, ...]] = {
        operate.set_options: ({},), operate.hold: (Hold.SUSPEND,), operate.retry: (), operate.redo: (),
    }  # fmt: skip
    for action, more in given.items():
        with pytest.raises(OperatorError, match="There is no tenant nobody"):
            act(sandbox, action, "nobody", *more)


def test_an_alias_means_its_tenant_to_operators_too(sandbox: Sandbox) -> None:
    tenant = add(sandbox)
    sandbox.gateway.steps.commit(lambda tx: tenants.add_alias(tx, tenant.id, "acme-2"))

    act(sandbox, operate.set_options, "acme-2", {"area_code": "415"})

    assert [name for name, _, _ in lines(sandbox)] == ["add", "set"]


# --- suspend, release, resume ----------------------------------------------------------------------------------------


def test_a_hold_beats_every_subscription_until_it_is_lifted(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    act(sandbox, operate.hold, "acme", Hold.SUSPEND)
    sandbox.settle(60)
    sandbox.deliver("invoice.paid")
    sandbox.settle(60)
    assert sandbox.export()["state"] == "suspended"

    act(sandbox, operate.hold, "acme", None)
    sandbox.settle(60)

    active(sandbox)
    assert [name for name, _, _ in lines(sandbox)] == ["suspend", "resume"]


def test_who_is_not_held_cannot_be_resumed(sandbox: Sandbox) -> None:
    add(sandbox)

    with pytest.raises(OperatorError, match="acme is not held by an operator"):
        act(sandbox, operate.hold, "acme", None)


def test_a_release_by_hand_needs_no_waiting_time(sandbox: Sandbox) -> None:
    add(sandbox)
    sandbox.settle(60)

    act(sandbox, operate.hold, "acme", Hold.RELEASE)
    sandbox.settle(3600)

    assert sandbox.export()["state"] == "released"
    assert sandbox.numbers() == []


@pytest.mark.parametrize("hold", Hold)
def test_a_tenant_that_never_paid_is_new_again_once_the_hold_is_lifted(sandbox: Sandbox, hold: Hold) -> None:
    sandbox.deliver("subscription.created", set={"status": "incomplete"})
    sandbox.settle(60)
    act(sandbox, operate.hold, "acme", hold)
    sandbox.settle(60)
    held = sandbox.export()["state"]

    act(sandbox, operate.hold, "acme", None)
    sandbox.settle(60)

    assert held == {Hold.SUSPEND: "suspended", Hold.RELEASE: "released"}[hold]
    assert (sandbox.export()["state"], sandbox.tenant().wanted) == ("new", "nothing")
    sandbox.deliver("subscription.updated", set={"status": "active"})
    sandbox.settle(600)
    assert active(sandbox)["friendly_names"] == [keys.tag("dev", "acme", 1)]


def test_a_number_given_back_by_hand_stays_given_back_once_the_hold_is_lifted(sandbox: Sandbox) -> None:
    """Not paid any more, so nothing is wanted: but it is released and not new."""
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    act(sandbox, operate.hold, "acme", Hold.RELEASE)
    sandbox.wait(days=1)
    sandbox.deliver("subscription.updated", set={"status": "incomplete"})
    sandbox.settle(60)

    act(sandbox, operate.hold, "acme", None)
    sandbox.settle(60)

    assert (sandbox.export()["state"], sandbox.tenant().wanted) == ("released", "nothing")


# --- retry -----------------------------------------------------------------------------------------------------------


def blocked_as(sandbox: Sandbox, code: str) -> None:
    assert sandbox.export()["blocked"] == code, sandbox.timeline()


def test_retrying_without_numbers_left_gives_three_new_candidates(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "taken", times=3)
    sandbox.deliver("checkout.completed")
    sandbox.settle(3600)
    blocked_as(sandbox, "no_numbers")

    act(sandbox, operate.retry, "acme")
    sandbox.settle(3600)

    active(sandbox)
    assert lines(sandbox) == [("retry", {"reason": "they called us"}, "ann")]


def test_retrying_a_number_that_still_is_taken_says_so_again_and_buys_no_other(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    sandbox.fault("twilio.buy", "taken", times=1)
    sandbox.deliver("checkout.completed", metadata={"phone_number": number})
    sandbox.settle(600)
    blocked_as(sandbox, "number_taken")

    act(sandbox, operate.retry, "acme")
    sandbox.settle(600)

    blocked_as(sandbox, "number_taken")
    assert sandbox.calls("twilio.buy") == 2
    assert sandbox.purchases() == []


def test_retrying_options_that_make_no_sense_says_so_again(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata={"country": "Atlantis"})
    sandbox.settle(60)
    blocked_as(sandbox, "options_invalid")

    act(sandbox, operate.retry, "acme")
    sandbox.settle(60)

    blocked_as(sandbox, "options_invalid")
    assert sandbox.purchases() == []


def test_retrying_after_a_refusal_tries_the_same_number_again(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "error_before", times=1, status=400)
    sandbox.deliver("checkout.completed")
    sandbox.settle(3600)
    blocked_as(sandbox, "provider_refused")
    (chosen,) = sandbox.query(lambda tx: intents.of_tenant(tx, sandbox.tenant().id))

    act(sandbox, operate.retry, "acme")
    sandbox.settle(600)

    assert active(sandbox)["phone_number"] == chosen["number"]


def test_retrying_what_is_ambiguous_only_looks_again(sandbox: Sandbox) -> None:
    tag = keys.tag("dev", "acme", 1)
    sandbox.world.place_numbers({"friendly_name": tag, "count": 2})
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    blocked_as(sandbox, "ambiguous")
    looks = sandbox.calls("twilio.list")

    act(sandbox, operate.retry, "acme")
    sandbox.settle(3600)

    blocked_as(sandbox, "ambiguous")
    assert sandbox.calls("twilio.list") == looks + 1
    assert sandbox.calls("twilio.buy") == 0


def test_retrying_everybody_blocked_for_one_reason_leaves_the_others(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "error_before", times=2, status=400)
    for key in ("acme", "beta"):
        sandbox.deliver("checkout.completed", key)
    sandbox.deliver("checkout.completed", "gamma", metadata={"country": "Atlantis"})
    sandbox.settle(60)

    retried = sandbox.gateway.steps.commit(
        lambda tx: operate.retry_blocked(tx, "provider_refused", sandbox.gateway.rules, ANN, sandbox.clock.at_ms)
    )
    sandbox.settle(600)

    assert sorted(tenant.tenant_key for tenant in retried) == ["acme", "beta"]
    assert [sandbox.export(key)["state"] for key in ("acme", "beta", "gamma")] == ["active", "active", "provisioning"]
    assert sandbox.export("gamma")["blocked"] == "options_invalid"


def test_a_reason_that_does_not_exist_is_refused_with_those_that_do(sandbox: Sandbox) -> None:
    with pytest.raises(OperatorError, match=r"Unknown reason tired\. There are: needs_address"):
        sandbox.retry_blocked("tired")


def test_what_is_not_blocked_can_be_retried_without_harm(sandbox: Sandbox) -> None:
    add(sandbox)
    sandbox.settle(60)

    act(sandbox, operate.retry, "acme")
    sandbox.settle(600)

    active(sandbox)
    assert len(sandbox.purchases()) == 1


def test_a_retry_while_a_step_is_under_way_has_it_decide_anew_before_its_next_effect(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.meanwhile("twilio.search", lambda: act(sandbox, operate.retry, "acme"))

    sandbox.settle(600)

    active(sandbox)
    assert "outcome buy_number.changed_meanwhile" in sandbox.timeline()
    assert len(sandbox.query(lambda tx: intents.of_tenant(tx, sandbox.tenant().id))) == 1


# --- redo ------------------------------------------------------------------------------------------------------------


def test_redoing_looks_at_everything_and_changes_what_is_not_as_it_should_be(sandbox: Sandbox) -> None:
    add(sandbox)
    sandbox.settle(60)
    before = active(sandbox)
    sandbox.change_entry(before["vapi_id"], assistantId=None)

    act(sandbox, operate.redo, "acme")
    sandbox.settle(60)

    assert active(sandbox) == before
    assert sandbox.entries()[0]["assistantId"] == before["assistant_id"]


# --- adopt -----------------------------------------------------------------------------------------------------------


def test_an_adopted_number_is_tagged_wired_and_never_bought(sandbox: Sandbox) -> None:
    sid, number = place(sandbox)

    adopt(sandbox, sid)
    sandbox.settle(600)

    line = active(sandbox)
    assert (line["phone_number"], line["twilio_sid"]) == (number, sid)
    assert sandbox.calls("twilio.buy") == 0
    (entry,) = (row for row in sandbox.query(lambda tx: ledger.of_tenant(tx, sandbox.tenant().id))
                if row["thing"] == "number")  # fmt: skip
    assert (entry["change"], entry["how"], entry["ref"]) == ("gained", "adopted", sid)
    said = {"reason": "they called us", "number": number, "sid": sid}
    assert lines(sandbox) == [("adopting", {**said, "name": "front desk"}, "ann"), ("adopt", said, "ann")]


def test_a_tenant_that_waits_for_a_number_can_be_given_one(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "taken", times=9)
    sandbox.deliver("checkout.completed")
    sandbox.settle(3600)
    blocked_as(sandbox, "no_numbers")
    sid, _ = place(sandbox)

    adopt(sandbox, sid)
    sandbox.settle(600)

    assert active(sandbox)["twilio_sid"] == sid


def test_a_number_that_was_chosen_and_not_sent_gives_way_to_the_adopted_one(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "error_before", times=1, status=400)
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    sid, _ = place(sandbox)

    adopt(sandbox, sid)
    sandbox.settle(600)

    assert active(sandbox)["twilio_sid"] == sid
    rows = sandbox.query(lambda tx: intents.of_tenant(tx, sandbox.tenant().id))
    assert [row["status"] for row in rows] == ["dropped", "owned"]


def test_a_number_that_is_under_the_tenants_own_tag_already_needs_no_new_name(sandbox: Sandbox) -> None:
    sid, _ = place(sandbox, keys.tag("dev", "acme", 1))

    adopt(sandbox, sid)

    assert sandbox.calls("twilio.update") == 0
    assert sandbox.export()["twilio_sid"] == sid


def test_after_its_release_a_tenants_adopted_number_is_of_the_next_generation(sandbox: Sandbox) -> None:
    add(sandbox)
    sandbox.settle(60)
    act(sandbox, operate.hold, "acme", Hold.RELEASE)
    sandbox.wait(days=1)
    act(sandbox, operate.hold, "acme", None)
    sandbox.settle(600)
    assert len(active(sandbox)["friendly_names"]) == 2


class Refusals:
    """Every reason for which an adoption is refused; each gives the SID to ask for."""

    @staticmethod
    def there_is_no_such_number(sandbox: Sandbox) -> str:
        return "PN" + "0" * 32

    @staticmethod
    def it_is_another_installations(sandbox: Sandbox) -> str:
        return place(sandbox, "rf:prod:0123456789abcdef:1")[0]

    @staticmethod
    def it_is_another_generations(sandbox: Sandbox) -> str:
        return place(sandbox, keys.tag("dev", "acme", 2))[0]

    @staticmethod
    def it_is_another_tenants(sandbox: Sandbox) -> str:
        add(sandbox, "beta")
        sandbox.settle(60)
        return str(sandbox.export("beta")["twilio_sid"])

    @staticmethod
    def another_tenant_is_committed_to_it(sandbox: Sandbox) -> str:
        sid, number = place(sandbox)
        beta = add(sandbox, "beta")

        def choose(tx: Transaction) -> None:
            intents.choose(tx, beta, number, keys.tag("dev", "beta", 1), is_exact=False, country="US",
                           number_type="local", now_ms=sandbox.clock.at_ms)  # fmt: skip

        sandbox.gateway.steps.commit(choose)
        return sid

    @staticmethod
    def it_has_a_number_already(sandbox: Sandbox) -> str:
        add(sandbox)
        sandbox.settle(60)
        return place(sandbox)[0]

    @staticmethod
    def its_purchase_is_undecided(sandbox: Sandbox) -> str:
        sandbox.fault("twilio.buy", "lost_before", times=9)
        add(sandbox)
        sandbox.settle(5)
        return place(sandbox)[0]

    @staticmethod
    def somebody_works_for_it_just_now(sandbox: Sandbox) -> str:
        add(sandbox)
        assert sandbox.claim("worker-1")
        return place(sandbox)[0]


REASONS: dict[str, tuple[Callable[[Sandbox], str], str]] = {
    "no such number": (Refusals.there_is_no_such_number, "There is no number PN000"),
    "another installation's": (Refusals.it_is_another_installations, "bears the tag rf:prod:"),
    "another generation's": (Refusals.it_is_another_generations, "bears the tag rf:dev:"),
    "another tenant's": (Refusals.it_is_another_tenants, "bears the tag rf:dev:"),
    "chosen by another": (Refusals.another_tenant_is_committed_to_it, "is another tenant's"),
    "has a number": (Refusals.it_has_a_number_already, "acme already has"),
    "undecided": (Refusals.its_purchase_is_undecided, "acme already has|undecided"),
    "leased": (Refusals.somebody_works_for_it_just_now, "being worked for just now"),
}


@pytest.mark.parametrize(("prepare", "said"), REASONS.values(), ids=REASONS)
def test_an_adoption_that_is_refused_changes_nothing(
    sandbox: Sandbox, prepare: Callable[[Sandbox], str], said: str
) -> None:
    sid = prepare(sandbox)
    before = names_at_twilio(sandbox), everybody(sandbox), sandbox.calls("twilio.update")
    known = sandbox.query(lambda tx: tenants.by_key(tx, "acme"))

    with pytest.raises(OperatorError, match=said):
        adopt(sandbox, sid)

    assert (names_at_twilio(sandbox), everybody(sandbox), sandbox.calls("twilio.update")) == before
    after = sandbox.query(lambda tx: tenants.by_key(tx, "acme"))
    assert (after is None) is (known is None)
    if known is not None and known.lease_owner is None:
        assert (after.lease_owner, after.version, after.block) == (None, known.version, known.block)
    sandbox.world.clear_faults()
    sandbox.wait(days=1)
    assert len(sandbox.purchases()) <= 2


def test_a_key_that_is_not_legal_adopts_nothing(sandbox: Sandbox) -> None:
    sid, _ = place(sandbox)

    with pytest.raises(OperatorError, match="no legal key"):
        adopt(sandbox, sid, "a b")

    assert names_at_twilio(sandbox) == ["front desk"]


@pytest.mark.parametrize("is_known", [True, False], ids=["a tenant that waits", "a new tenant"])
@pytest.mark.parametrize(
    ("operation", "before"),
    [("twilio.fetch", True), ("twilio.fetch", False), ("twilio.update", True), ("twilio.update", False)],
)
def test_an_adoption_that_was_cut_off_can_be_made_again(
    sandbox: Sandbox, is_known: bool, operation: str, before: bool
) -> None:
    if is_known:
        sandbox.deliver("checkout.completed", metadata={"choose": "yes"})
        sandbox.settle(60)
        blocked_as(sandbox, "awaiting_choice")
    sid, number = place(sandbox)
    sandbox.crash_at(operation, before=before)
    with pytest.raises(Crash):
        adopt(sandbox, sid)
    sandbox.world.crash_plan = None
    sandbox.restart()
    sandbox.wait(seconds=120)

    if sandbox.query(lambda tx: tenants.by_key(tx, "acme")) is None or sandbox.export()["twilio_sid"] is None:
        adopt(sandbox, sid)
    sandbox.wait(seconds=600)

    line = active(sandbox)
    assert (line["twilio_sid"], line["phone_number"]) == (sid, number)
    assert sandbox.calls("twilio.buy") == 0


@pytest.mark.parametrize("kind", ["lost_before", "lost_after", "error_after"])
def test_an_adoption_whose_answer_was_lost_can_be_made_again(sandbox: Sandbox, kind: str) -> None:
    sid, _ = place(sandbox)
    sandbox.fault("twilio.update", kind, times=1)
    with pytest.raises(ProviderError):
        adopt(sandbox, sid)
    sandbox.settle(60)

    adopt(sandbox, sid)
    sandbox.settle(600)

    assert active(sandbox)["twilio_sid"] == sid


def test_an_adoption_that_lost_its_lease_takes_nothing_over(sandbox: Sandbox) -> None:
    sid, _ = place(sandbox)

    def taken_over() -> None:
        def claim(tx: Transaction) -> None:
            tenant = tenants.by_key(tx, "acme")
            assert tenant is not None
            assert leases.claim_one(tx, tenant.id, sandbox.clock.at_ms, 60_000, "worker-2") is not None

        sandbox.clock.at_ms += 61_000
        sandbox.gateway.steps.commit(claim)

    sandbox.meanwhile("twilio.update", taken_over)
    with pytest.raises(Exception, match="took over"):
        adopt(sandbox, sid)

    held = sandbox.query(lambda tx: ledger.of_tenant(tx, sandbox.tenant().id))
    assert held == []
    assert sandbox.tenant().lease_owner == "worker-2"


# --- adopt, cut off between its commit and the new name --------------------------------------------------------------


def cut_off(sandbox: Sandbox) -> tuple[str, str]:
    """A paying tenant is to get this number, and the command died before it gave it our tag: SID and number."""
    sandbox.deliver("checkout.completed", metadata={"choose": "yes"})
    sandbox.settle(60)
    blocked_as(sandbox, "awaiting_choice")
    sid, number = place(sandbox)
    sandbox.crash_at("twilio.update", before=True)
    with pytest.raises(Crash):
        adopt(sandbox, sid)
    sandbox.world.crash_plan = None
    sandbox.restart()
    return sid, number


def test_an_adoption_that_was_cut_off_is_finished_by_the_tenants_own_step(sandbox: Sandbox) -> None:
    sid, number = cut_off(sandbox)

    sandbox.wait(seconds=600)

    line = active(sandbox)
    assert (line["twilio_sid"], line["phone_number"]) == (sid, number)
    assert sandbox.calls("twilio.buy") == sandbox.calls("twilio.search") == 0
    assert [name for name, _, _ in lines(sandbox)] == ["adopting"]
    sandbox.deliver("subscription.deleted")
    sandbox.wait(days=40)
    assert active(sandbox) == line, "an adopted tenant outlives its subscription, whoever finished it"


@pytest.mark.parametrize("kind", ["lost_before", "lost_after", "error_after", "rate_limit"])
def test_its_step_looks_before_it_gives_a_name_again(sandbox: Sandbox, kind: str) -> None:
    sid, _ = cut_off(sandbox)
    sandbox.fault("twilio.update", kind, times=1)

    sandbox.wait(seconds=600)

    assert active(sandbox)["twilio_sid"] == sid
    assert sandbox.calls("twilio.update") == (2 if kind in ("lost_before", "rate_limit") else 1)


class Meanwhile:
    """What may have happened before the tenant's step comes to it."""

    @staticmethod
    def its_name_was_changed(sandbox: Sandbox, sid: str) -> None:
        sandbox.rename_number(sid, "reception")

    @staticmethod
    def it_was_given_to_somebody_elses_gateway(sandbox: Sandbox, sid: str) -> None:
        sandbox.rename_number(sid, "rf:prod:0123456789abcdef:1")

    @staticmethod
    def it_was_given_back(sandbox: Sandbox, sid: str) -> None:
        sandbox.delete_number(sid)

    @staticmethod
    def something_else_was_said_of_the_tenant(sandbox: Sandbox, sid: str) -> None:
        sandbox.operate("set", {"area_code": "415"})


@pytest.mark.parametrize(
    "happens",
    [
        Meanwhile.its_name_was_changed,
        Meanwhile.it_was_given_to_somebody_elses_gateway,
        Meanwhile.it_was_given_back,
        Meanwhile.something_else_was_said_of_the_tenant,
    ],
)
def test_what_is_not_as_the_operator_saw_it_is_not_renamed_and_the_operator_is_asked_again(
    sandbox: Sandbox, happens: Callable[[Sandbox, str], None]
) -> None:
    sid, _ = cut_off(sandbox)
    happens(sandbox, sid)
    before = names_at_twilio(sandbox)

    sandbox.wait(seconds=600)

    blocked_as(sandbox, "number_taken")
    block = sandbox.tenant().block
    assert block is not None
    assert f"python -m gateway tenants adopt acme {sid}" in block.message
    assert names_at_twilio(sandbox) == before
    assert sandbox.purchases() == []


def test_asked_again_the_operator_gets_what_was_meant(sandbox: Sandbox) -> None:
    sid, _ = cut_off(sandbox)
    sandbox.rename_number(sid, "reception")
    sandbox.wait(seconds=600)

    adopt(sandbox, sid)
    sandbox.settle(600)

    assert active(sandbox)["twilio_sid"] == sid


def test_an_order_that_was_put_down_is_not_taken_up_by_a_retry(sandbox: Sandbox) -> None:
    sid, _ = cut_off(sandbox)
    sandbox.rename_number(sid, "reception")
    sandbox.wait(seconds=600)
    sandbox.rename_number(sid, "front desk")

    sandbox.operate("set", {"choose": "no"})
    sandbox.settle(600)

    assert active(sandbox)["twilio_sid"] != sid
    assert "front desk" in names_at_twilio(sandbox)


def test_an_order_ends_with_the_wish_for_a_number(installed: Callable[..., Sandbox]) -> None:
    """What is chosen afterwards is met again by later steps, which must not take it for what was ordered."""
    sandbox = installed(MAX_PURCHASES_PER_HOUR="0")
    cut_off(sandbox)
    act(sandbox, operate.hold, "acme", Hold.SUSPEND)
    sandbox.wait(seconds=120)

    act(sandbox, operate.hold, "acme", None)
    sandbox.operate("set", {"choose": "no"})
    sandbox.wait(days=1)

    blocked_as(sandbox, "spend_cap")
    assert names_at_twilio(sandbox) == ["front desk"]


def test_a_name_that_twilio_refuses_leaves_no_order_behind(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata={"choose": "yes"})
    sandbox.settle(60)
    sid, _ = place(sandbox)
    sandbox.fault("twilio.update", "error_before", times=1, status=400)

    with pytest.raises(ProviderError):
        adopt(sandbox, sid)
    sandbox.wait(seconds=600)

    blocked_as(sandbox, "awaiting_choice")
    assert names_at_twilio(sandbox) == ["front desk"]
    assert sandbox.calls("twilio.update") == 1
