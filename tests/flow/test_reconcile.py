"""What we believe against what the providers say: reported whole or not at all, mended by the tenants' own steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.domain import keys
from gateway.domain.model import Hold, Step
from gateway.errors import ProviderError
from gateway.flow.reconcile import Report, reconcile
from gateway.steps.context import Stopping
from gateway.store import journal
from tests.steps.ports import change
from tests.stories.sandbox import Sandbox

Install = Callable[..., Sandbox]
YOUNG_SECONDS = 620


def signed_up(sandbox: Sandbox, key: str = "acme") -> dict[str, Any]:
    """An active tenant whose last attempt is old enough to be judged."""
    sandbox.deliver("checkout.completed", key)
    sandbox.settle(60)
    line = sandbox.export(key)
    assert line["state"] == "active"
    sandbox.wait(seconds=YOUNG_SECONDS)
    return line


def codes(report: Report) -> list[str]:
    return [drift.code for drift in report.drifts]


def placed(sandbox: Sandbox, tag: str) -> str:
    return str(sandbox.world.place_numbers({"friendly_name": tag})[0]["phone_number"])


def reconciled(sandbox: Sandbox, key: str = "acme") -> list[str]:
    """What the timeline says that a comparison found."""
    tenant = sandbox.tenant(key)
    lines = sandbox.query(lambda tx: journal.of_tenant(tx, tenant.id))
    return [line["name"] for line in lines if line["kind"] == "reconcile"]


# --- nothing to find -------------------------------------------------------------------------------------------------


def test_where_all_agree_nothing_is_reported_and_nothing_changes(sandbox: Sandbox) -> None:
    for key in ("acme", "beta"):
        signed_up(sandbox, key)
    before = sandbox.tenant(), sandbox.timeline()

    report = sandbox.reconcile()

    assert (report.drifts, report.mended, report.compared) == ((), 0, 2)
    assert (sandbox.tenant(), sandbox.timeline()) == before


def test_an_empty_installation_agrees_with_an_empty_account(sandbox: Sandbox) -> None:
    report = sandbox.reconcile()

    assert (report.drifts, report.compared) == ((), 0)


@pytest.mark.parametrize("tag", ["front desk", "", "rf:other:0123456789abcdef:1", "rf:devel:0123456789abcdef:1"])
def test_what_is_not_under_our_tags_is_nobodys_business(sandbox: Sandbox, tag: str) -> None:
    number = placed(sandbox, tag)
    sandbox.world.place_entry({"number": number, "name": tag, "provider": "twilio"})
    before = sandbox.numbers(), sandbox.entries()

    report = sandbox.reconcile()

    assert report.drifts == ()
    assert (sandbox.numbers(), sandbox.entries()) == before


def test_what_is_under_way_is_not_judged(sandbox: Sandbox) -> None:
    sandbox.fault("vapi.import", "lost_before", times=50)
    sandbox.deliver("checkout.completed")
    sandbox.settle(300)

    report = sandbox.reconcile()

    assert report.drifts == ()
    assert sandbox.export()["phone_number"] is not None


def test_a_tenant_with_a_young_attempt_is_skipped_and_judged_later(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    sandbox.delete_entry(sandbox.export()["vapi_id"])

    young = sandbox.reconcile()
    sandbox.wait(seconds=YOUNG_SECONDS)
    old = sandbox.reconcile()

    assert codes(young) == []
    assert codes(old) == ["entry_missing"]


# --- a list that is not whole ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["twilio.list", "vapi.list"])
@pytest.mark.parametrize("kind", ["error_before", "lost_before", "truncated", "html", "rate_limit", "unauthorized"])
def test_a_page_that_fails_ends_it_before_anything_is_believed(sandbox: Sandbox, operation: str, kind: str) -> None:
    line = signed_up(sandbox)
    sandbox.delete_entry(line["vapi_id"])
    before = sandbox.tenant(), sandbox.timeline()
    sandbox.fault(operation, kind, times=1)

    with pytest.raises(ProviderError):
        sandbox.reconcile()

    assert (sandbox.tenant(), sandbox.timeline()) == before


@pytest.mark.parametrize("page", [1, 2])
def test_a_later_page_that_fails_ends_it_too(sandbox: Sandbox, page: int) -> None:
    """More numbers than a page holds: the first page alone must not look like all."""
    sandbox.world.place_numbers({"friendly_name": "front desk", "count": 1100})
    signed_up(sandbox)
    whole = sandbox.calls("twilio.list")
    assert codes(sandbox.reconcile()) == []
    pages = sandbox.calls("twilio.list") - whole
    sandbox.fault("twilio.list", "error_before", after_calls=page, times=1)

    assert pages > page
    with pytest.raises(ProviderError):
        sandbox.reconcile()

    assert sandbox.export()["blocked"] is None
    assert reconciled(sandbox) == []


@pytest.mark.parametrize("operation", ["twilio.list", "vapi.list", "twilio.price"])
def test_a_process_that_is_to_end_makes_no_more_calls_and_believes_nothing(sandbox: Sandbox, operation: str) -> None:
    line = signed_up(sandbox)
    sandbox.delete_entry(line["vapi_id"])
    for _ in range(2):
        placed(sandbox, "rf:dev:0123456789abcdef:1")
    made: list[int] = []
    sandbox.meanwhile(operation, lambda: made.append(sum(sandbox.world.calls().values())))
    steps = replace(sandbox.gateway.steps, is_stopping=lambda: bool(made))

    with pytest.raises(Stopping):
        reconcile(steps, apply=True)

    assert sum(sandbox.world.calls().values()) == made[0] + 1
    assert reconciled(sandbox) == []


# --- what a tenant's own step mends ----------------------------------------------------------------------------------


def test_a_look_without_apply_reports_and_changes_nothing(sandbox: Sandbox) -> None:
    line = signed_up(sandbox)
    sandbox.delete_entry(line["vapi_id"])
    before = sandbox.tenant(), sandbox.timeline(), sandbox.held()

    report = sandbox.reconcile(apply=False)
    sandbox.settle(3600)

    assert (codes(report), report.mended) == (["entry_missing"], 0)
    assert (sandbox.tenant(), sandbox.timeline(), sandbox.held()) == before
    assert sandbox.entries() == []


def test_settings_that_somebody_changed_are_set_anew(sandbox: Sandbox) -> None:
    line = signed_up(sandbox)
    sandbox.world.add_assistant({"id": "b0b0b0b0-0000-4000-8000-000000000002", "name": "other"})
    sandbox.change_entry(line["vapi_id"], assistantId="b0b0b0b0-0000-4000-8000-000000000002")

    report = sandbox.reconcile()
    sandbox.settle(60)

    assert (codes(report), report.mended) == (["entry_different"], 1)
    assert [entry["assistantId"] for entry in sandbox.entries()] == [line["assistant_id"]]
    assert reconciled(sandbox) == ["entry_different"]
    assert sandbox.export() == line


def test_a_server_that_was_set_by_hand_counts_only_where_we_want_one_of_our_own(installed: Install) -> None:
    with_server = installed(VAPI_SERVER_URL="https://app.example.com/vapi/{tenant}")
    without = installed()
    for sandbox in (with_server, without):
        line = signed_up(sandbox)
        sandbox.change_entry(line["vapi_id"], server={"url": "https://elsewhere.example.com"})
        report = sandbox.reconcile()
        sandbox.settle(60)
        assert codes(report) == (["entry_different"] if sandbox is with_server else [])

    assert with_server.entries()[0]["server"]["url"] == "https://app.example.com/vapi/acme"
    assert without.entries()[0]["server"]["url"] == "https://elsewhere.example.com"


def test_a_suspended_tenants_sentence_that_was_taken_off_is_put_back(sandbox: Sandbox) -> None:
    line = signed_up(sandbox)
    sandbox.deliver("subscription.deleted")
    sandbox.settle(60)
    sandbox.wait(seconds=YOUNG_SECONDS)
    sandbox.change_entry(line["vapi_id"], hooks=[])

    report = sandbox.reconcile()
    sandbox.settle(60)

    assert codes(report) == ["entry_different"]
    assert len(sandbox.entries()[0]["hooks"]) == 1


def test_a_number_whose_voice_url_was_cleared_is_imported_anew(sandbox: Sandbox) -> None:
    line = signed_up(sandbox)
    sandbox.set_voice_url("")

    report = sandbox.reconcile()
    during = sandbox.export()["state"]
    sandbox.settle(3600)

    assert (codes(report), report.mended, during) == (["number_not_wired"], 1, "active")
    assert reconciled(sandbox) == ["number_not_wired"]
    assert "vapi.ai" in sandbox.numbers()[0]["voice_url"]
    after = sandbox.export()
    assert (after["state"], after["phone_number"]) == ("active", line["phone_number"])
    assert [entry["id"] for entry in sandbox.entries()] == [after["vapi_id"]]
    sandbox.wait(seconds=YOUNG_SECONDS)
    assert sandbox.reconcile().drifts == ()


def test_a_number_that_somebody_pointed_elsewhere_is_left_to_them_and_said_once(sandbox: Sandbox) -> None:
    line = signed_up(sandbox)
    sandbox.set_voice_url("https://elsewhere.example.com/voice")

    reports = []
    for _ in range(4):
        reports.append(codes(sandbox.reconcile()))
        sandbox.wait(seconds=YOUNG_SECONDS)

    assert reports == [["number_not_wired"], [], [], []]
    assert (sandbox.export()["state"], sandbox.export()["blocked"]) == ("resuming", "provider_refused")
    assert sandbox.numbers()[0]["voice_url"] == "https://elsewhere.example.com/voice"
    assert sandbox.calls("vapi.import") == 1
    assert [entry["id"] for entry in sandbox.entries()] == [line["vapi_id"]]


def test_of_a_suspended_tenant_nothing_is_made_anew(sandbox: Sandbox) -> None:
    signed_up(sandbox)
    sandbox.deliver("subscription.deleted")
    sandbox.settle(60)
    sandbox.wait(seconds=YOUNG_SECONDS)
    sandbox.set_voice_url("")

    report = sandbox.reconcile()

    assert (codes(report), sandbox.export()["state"]) == ([], "suspended")


def test_a_tenant_that_comes_back_has_its_calls_put_right(sandbox: Sandbox) -> None:
    signed_up(sandbox)
    sandbox.operate("hold", Hold.SUSPEND)
    sandbox.settle(60)
    sandbox.set_voice_url("")
    sandbox.operate("hold", None)
    sandbox.wait(seconds=YOUNG_SECONDS)

    sandbox.reconcile()
    sandbox.settle(3600)

    assert sandbox.export()["state"] == "active"
    assert "vapi.ai" in sandbox.numbers()[0]["voice_url"]


def test_a_doubled_entry_under_our_tag_is_removed_and_the_one_in_use_kept(sandbox: Sandbox) -> None:
    line = signed_up(sandbox)
    number, tag = line["phone_number"], line["friendly_names"][0]
    account = sandbox.settings.twilio.account_sid
    sandbox.world.place_entry({"number": number, "name": tag, "provider": "twilio", "twilioAccountSid": account})

    report = sandbox.reconcile()
    sandbox.settle(3600)

    assert codes(report) == ["entry_unreferenced"]
    assert [entry["id"] for entry in sandbox.entries()] == [line["vapi_id"]]
    assert sandbox.export() == line


# --- money is only reported ------------------------------------------------------------------------------------------


def test_a_number_of_ours_that_belongs_to_no_tenant_is_reported_with_its_price(sandbox: Sandbox) -> None:
    number = placed(sandbox, "rf:dev:0123456789abcdef:1")

    report = sandbox.reconcile()
    sandbox.settle(3600)

    assert (codes(report), report.mended) == (["number_unreferenced"], 0)
    assert number in report.drifts[0].message
    assert "It costs about 1.15 USD a month." in report.drifts[0].message
    assert len(sandbox.numbers()) == 1


@pytest.mark.parametrize("why", ["no answer", "not listed"])
def test_a_price_that_cannot_be_had_does_not_hold_up_the_report(sandbox: Sandbox, why: str) -> None:
    placed(sandbox, "rf:dev:0123456789abcdef:1")
    if why == "no answer":
        sandbox.fault("twilio.price", "error_before", times=5)
    else:
        change(sandbox, "telephony", monthly_price=lambda country, number_type, deadline: None)

    report = sandbox.reconcile()

    assert codes(report) == ["number_unreferenced"]
    assert "costs about" not in report.drifts[0].message


def test_a_refused_number_that_was_bought_all_the_same_is_reported_and_never_released(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    sandbox.fault("twilio.buy", "taken", times=1)
    sandbox.deliver("checkout.completed", metadata={"phone_number": number})
    sandbox.settle(3600)
    assert sandbox.export()["blocked"] == "number_taken"
    sandbox.wait(seconds=YOUNG_SECONDS)
    tag = keys.tag("dev", "acme", 1)
    sandbox.world.place_numbers({"friendly_name": tag, "phone_number": number})

    report = sandbox.reconcile()
    sandbox.settle(3600)
    sandbox.wait(days=8)
    later = sandbox.reconcile()

    assert codes(report) == ["watched_number_bought"]
    assert "a month" in report.drifts[0].message
    assert codes(later) == ["number_unreferenced"]
    assert [each["friendly_name"] for each in sandbox.numbers()] == [tag]


def test_a_number_that_is_gone_asks_for_a_person_once_and_buys_nothing(sandbox: Sandbox) -> None:
    line = signed_up(sandbox)
    sandbox.delete_number(line["twilio_sid"])

    reports = []
    for _ in range(5):
        reports.append(codes(sandbox.reconcile()))
        sandbox.wait(seconds=YOUNG_SECONDS)

    assert reports == [["number_missing"]] * 5
    assert sandbox.export()["blocked"] == "ambiguous"
    assert reconciled(sandbox) == ["number_missing"]
    assert len(sandbox.purchases()) == 1


def test_a_number_under_another_name_asks_for_a_person_and_its_old_name_heals_it(sandbox: Sandbox) -> None:
    line = signed_up(sandbox)
    sandbox.rename_number(line["twilio_sid"], "front desk")
    report = sandbox.reconcile()
    sandbox.settle(60)
    blocked = sandbox.export()["blocked"]

    sandbox.rename_number(line["twilio_sid"], line["friendly_names"][0])
    sandbox.operate("retry")
    sandbox.settle(60)

    assert (codes(report), blocked) == (["number_renamed"], "ambiguous")
    assert sandbox.export() == line
    assert sandbox.reconcile().drifts == ()


# --- beside other work -----------------------------------------------------------------------------------------------


def test_a_doubt_about_a_tenant_under_a_lease_is_settled_by_its_holder(sandbox: Sandbox) -> None:
    line = signed_up(sandbox)
    sandbox.delete_entry(line["vapi_id"])
    sandbox.operate("redo")
    claims = sandbox.claim("worker-1")

    report = sandbox.reconcile()
    sandbox.advance(claims)
    sandbox.settle(3600)

    assert codes(report) == []
    assert sandbox.export()["state"] == "active"
    assert len(sandbox.entries()) == 1


def test_while_tenants_are_being_released_nothing_of_them_is_reported(sandbox: Sandbox) -> None:
    signed_up(sandbox)
    sandbox.deliver("subscription.deleted")
    found = []
    for _ in range(70):
        sandbox.wait(days=0.5)
        found += codes(sandbox.reconcile())

    assert found == []
    assert sandbox.export()["state"] == "released"


def test_every_step_that_can_be_mended_is_named(sandbox: Sandbox) -> None:
    line = signed_up(sandbox)
    sandbox.delete_entry(line["vapi_id"])

    (drift,) = sandbox.reconcile(apply=False).drifts

    assert (drift.step, drift.tenant_key, drift.costs_money) == (Step.IMPORT_NUMBER, "acme", False)
