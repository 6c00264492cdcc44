"""One step at a time: what a step's end means for its tenant, its provider and everybody else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from gateway.domain import keys
from gateway.domain.model import CLEARS_ITSELF, Blocked, Hold, Step, Verb, Work
from gateway.errors import StorageUnavailable
from gateway.flow import advance as flow
from gateway.flow.advance import Claim, advance, claim_turn
from gateway.ports import BillingRecord, Deadline
from gateway.steps.context import Halt, StepParts
from gateway.store import attempts, journal, leases, providers, subscriptions
from gateway.store.database import Transaction
from tests.steps.ports import Changed
from tests.stories.sandbox import Sandbox

Install = Callable[..., Sandbox]
LEASE_MS = 60_000


def claimed(sandbox: Sandbox, key: str = "acme") -> Claim:
    """The tenant under a lease, its signup applied, nothing done yet."""
    sandbox.deliver("checkout.completed", key)
    (claim,) = sandbox.claim("worker-1")
    return claim


def with_parts(sandbox: Sandbox, **changes: Any) -> StepParts:
    return replace(sandbox.gateway.steps, **changes)


def outcomes(sandbox: Sandbox, key: str = "acme") -> list[str]:
    return [line.removeprefix("outcome ") for line in sandbox.timeline(key) if line.startswith("outcome ")]


# --- claiming --------------------------------------------------------------------------------------------------------


def test_a_tenant_with_nothing_to_do_is_given_back_at_once(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    tenant = sandbox.tenant()
    sandbox.gateway.steps.commit(lambda tx: leases.wake(tx, tenant.id, sandbox.clock.at_ms))

    assert sandbox.claim("worker-1") == []

    after = sandbox.tenant()
    assert (after.lease_owner, after.next_run_at_ms, after.fence) == (None, None, tenant.fence + 1)


def test_no_more_is_claimed_than_there_is_room_for(sandbox: Sandbox) -> None:
    for key in ("acme", "beta", "gamma"):
        sandbox.deliver("checkout.completed", key)
    steps = sandbox.gateway.steps
    assert sandbox.claim("worker-0")
    sandbox.clock.at_ms += LEASE_MS

    claims = steps.commit(lambda tx: claim_turn(tx, steps.rules, sandbox.clock.at_ms, "worker-1", 2))

    assert len(claims) == 2


def test_a_claim_names_the_tenant_its_holdings_and_one_thing_to_do(sandbox: Sandbox) -> None:
    claim = claimed(sandbox)

    assert claim.work == Work(Verb.MAKE, Step.BUY_NUMBER)
    assert (claim.tenant.lease_owner, claim.tenant.lease_until_ms) == ("worker-1", sandbox.clock.at_ms + LEASE_MS)
    assert set(claim.held) == set(Step)


@pytest.mark.parametrize(
    ("code", "held_back"),
    [(code, code not in CLEARS_ITSELF) for code in Blocked],
    ids=str,
)
def test_a_blocked_tenant_that_is_woken_goes_on_only_where_its_block_clears_itself(
    sandbox: Sandbox, code: Blocked, held_back: bool
) -> None:
    claim = claimed(sandbox)
    steps = sandbox.gateway.steps

    def block(tx: Transaction) -> None:
        flow.halt(tx, claim.tenant, claim, Halt(code, "because"), sandbox.clock.at_ms)
        leases.let_go(tx, claim.tenant.id, claim.tenant.fence, sandbox.clock.at_ms)

    steps.commit(block)

    claims = sandbox.claim("worker-1")

    assert (claims == []) is held_back
    assert sandbox.export()["blocked"] == code


# --- waiting ---------------------------------------------------------------------------------------------------------


def test_a_provider_in_trouble_is_asked_again_after_growing_pauses(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.search", "error_before", times=6, status=500)
    sandbox.deliver("checkout.completed")
    asked_at = []
    while sandbox.calls("twilio.search") < 7:
        before = sandbox.calls("twilio.search")
        sandbox.turn()
        if sandbox.calls("twilio.search") > before:
            asked_at.append(sandbox.clock.at_ms)
        sandbox.clock.at_ms = max(sandbox.clock.at_ms, sandbox.next_due_ms() or 0)

    pauses = [later - earlier for earlier, later in pairwise(asked_at)]
    for count, pause in enumerate(pauses):
        assert 0.75 * 1000 * 2**count <= pause <= 1000 * 2**count
    sandbox.settle(60)
    assert sandbox.tenant().tries == 0
    assert sandbox.export()["state"] == "active"


def test_a_rate_limit_holds_everybody_back_until_it_is_over(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.search", "rate_limit", times=1, retry_after=40)
    for key in ("acme", "beta"):
        sandbox.deliver("checkout.completed", key)
    began_ms = sandbox.clock.at_ms

    sandbox.settle(39)
    during = sandbox.calls("twilio.search")
    sandbox.settle(120)

    assert during == 1
    paused = sandbox.query(providers.states)["twilio"]
    assert paused.paused_until_ms >= began_ms + 40_000
    assert [sandbox.export(key)["state"] for key in ("acme", "beta")] == ["active", "active"]


def test_a_rate_limit_of_one_provider_does_not_hold_back_the_other(sandbox: Sandbox) -> None:
    sandbox.fault("vapi.import", "rate_limit", times=1, retry_after=300)
    sandbox.deliver("checkout.completed")
    sandbox.settle(5)
    sandbox.deliver("checkout.completed", "beta")

    sandbox.settle(5)

    # An assistant is looked for before a number is bought.
    assert sandbox.calls("twilio.buy") == 1
    assert sandbox.export("beta")["phone_number"] is None


def test_what_changed_while_a_step_waited_for_its_provider_makes_the_tenant_due_at_once(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.search", "rate_limit", times=1, retry_after=600)
    sandbox.deliver("checkout.completed")

    def change_mind() -> None:
        sandbox.deliver("subscription.deleted")
        assert sandbox.claim("worker-2") == []

    sandbox.meanwhile("twilio.search", change_mind)
    sandbox.settle(1)

    assert sandbox.export()["state"] == "released"


def test_a_block_that_an_operator_mended_while_the_step_met_it_does_not_stay(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata={"area_code": "999"})
    sandbox.meanwhile("twilio.search", lambda: sandbox.operate("set", {"area_code": "415"}))

    sandbox.settle(60)

    assert sandbox.export()["state"] == "active"
    assert not [line for line in sandbox.timeline() if line.startswith("blocked")]


# --- stopping and losing ---------------------------------------------------------------------------------------------


def test_a_process_that_is_to_end_makes_no_call_and_lets_its_tenants_go(sandbox: Sandbox) -> None:
    claim = claimed(sandbox)
    before = sum(sandbox.world.calls().values())

    advance(with_parts(sandbox, is_stopping=lambda: True), claim)

    tenant = sandbox.tenant()
    assert sum(sandbox.world.calls().values()) == before
    assert (tenant.lease_owner, tenant.block) == (None, None)
    assert tenant.next_run_at_ms is not None
    assert tenant.next_run_at_ms <= sandbox.clock.at_ms + 1
    sandbox.settle(60)
    assert sandbox.export()["state"] == "active"


@pytest.mark.parametrize("operation", ["twilio.search", "twilio.list", "twilio.buy", "vapi.import", "vapi.assign"])
def test_a_process_that_is_to_end_finishes_its_call_stores_it_and_makes_no_other(
    sandbox: Sandbox, operation: str
) -> None:
    claim = claimed(sandbox)
    made: list[int] = []
    sandbox.meanwhile(operation, lambda: made.append(sum(sandbox.world.calls().values())))

    advance(with_parts(sandbox, is_stopping=lambda: bool(made)), claim)

    assert sum(sandbox.world.calls().values()) == made[0] + 1
    assert sandbox.tenant().lease_owner is None
    assert sandbox.query(lambda tx: attempts.open_for_tenant(tx, sandbox.tenant(), "buy")) == []
    sandbox.settle(60)
    assert sandbox.export()["state"] == "active"
    assert len(sandbox.purchases()) == 1


def test_a_result_that_comes_after_the_lease_was_lost_is_not_stored(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    claim = claimed(sandbox)

    def taken_over() -> None:
        sandbox.clock.at_ms += LEASE_MS + 1
        assert sandbox.claim("worker-2")

    sandbox.meanwhile("twilio.search", taken_over)
    with caplog.at_level(logging.WARNING, "gateway.advance"):
        advance(sandbox.gateway.steps, claim)

    assert "attempt.lost" in caplog.text
    assert outcomes(sandbox) == []
    assert sandbox.tenant().lease_owner == "worker-2"


def test_a_long_step_renews_its_lease_before_the_next_call(sandbox: Sandbox) -> None:
    claim = claimed(sandbox)

    def time_passes() -> None:
        sandbox.clock.at_ms += LEASE_MS - 20_000

    sandbox.meanwhile("twilio.search", time_passes)
    seen: list[int | None] = []
    search = sandbox.gateway.steps.telephony.find_by_tag

    def look(tag: str, deadline: Deadline) -> Any:
        seen.append(sandbox.tenant().lease_until_ms)
        return search(tag, deadline)

    telephony = Changed(sandbox.gateway.steps.telephony, find_by_tag=look)
    advance(with_parts(sandbox, telephony=telephony), claim)

    assert set(seen) == {sandbox.clock.at_ms + LEASE_MS}
    assert sandbox.export()["state"] == "active"


# --- surprises -------------------------------------------------------------------------------------------------------


def test_a_surprise_in_one_tenants_step_is_logged_and_tried_again_after_a_pause(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    claim = claimed(sandbox)

    def fail(*_: Any) -> Any:
        raise ZeroDivisionError("a mistake of ours")

    telephony = Changed(sandbox.gateway.steps.telephony, search=fail)
    with caplog.at_level(logging.ERROR, "gateway.advance"):
        advance(with_parts(sandbox, telephony=telephony), claim)

    assert "attempt.surprised" in caplog.text
    assert outcomes(sandbox) == ["buy_number.surprised"]
    assert sandbox.tenant().next_run_at_ms == sandbox.clock.at_ms + 60_000
    assert sandbox.tenant().block is None
    sandbox.settle(120)
    assert sandbox.export()["state"] == "active"


@pytest.mark.parametrize("nth", range(1, 8))
def test_a_database_that_cannot_store_leaves_the_tenant_to_its_lease_and_buys_nothing_twice(
    sandbox: Sandbox, nth: int, caplog: pytest.LogCaptureFixture
) -> None:
    claim = claimed(sandbox)
    commits = 0
    real = sandbox.gateway.steps.commit

    def commit(job: Callable[[Transaction], Any]) -> Any:
        nonlocal commits
        commits += 1
        if commits >= nth:
            raise StorageUnavailable("the disk is full")
        return real(job)

    with caplog.at_level(logging.ERROR, "gateway.advance"):
        advance(with_parts(sandbox, commit=commit), claim)

    assert "attempt.not_stored" in caplog.text
    assert sandbox.tenant().lease_owner == "worker-1"
    sandbox.settle(4 * 3600)
    assert sandbox.export()["state"] == "active"
    assert len(sandbox.purchases()) == 1


class NewsWithoutEnd:
    """A billing system that has news whenever it is asked."""

    provider = "stripe"

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.asked = 0

    def read_subscription(self, subscription_id: str, deadline: Deadline) -> BillingRecord | None:
        self.asked += 1
        sandbox = self._sandbox
        sandbox.gateway.steps.commit(
            lambda tx: subscriptions.ask_again(tx, "stripe", subscription_id, sandbox.clock.at_ms)
        )
        return BillingRecord(subscription_id, "active", sandbox.clock.at_ms, None, None, {}, None, True)


def test_going_round_in_a_circle_ends_in_a_pause(installed: Install, caplog: pytest.LogCaptureFixture) -> None:
    sandbox = installed(STRIPE_API_KEY="sk_test_story_0123456789abcdef")
    sandbox.deliver("checkout.completed")
    sandbox.deliver("subscription.created")
    (claim,) = sandbox.claim("worker-1")
    assert claim.work is None
    billing = NewsWithoutEnd(sandbox)

    with caplog.at_level(logging.WARNING, "gateway.advance"):
        advance(with_parts(sandbox, billing=billing), claim)

    assert billing.asked == flow.MOST_STEPS
    assert "attempt.circles" in caplog.text
    tenant = sandbox.tenant()
    assert (tenant.lease_owner, tenant.next_run_at_ms) == (None, sandbox.clock.at_ms + 60_000)


# --- blocks ----------------------------------------------------------------------------------------------------------


def test_what_is_ambiguous_is_not_looked_at_again_and_again(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    sandbox.rename_number(sandbox.export()["twilio_sid"], "front desk")
    sandbox.operate("redo")
    sandbox.settle(60)
    before = sum(sandbox.world.calls().values())

    sandbox.wait(days=3)

    assert sandbox.export()["blocked"] == "ambiguous"
    assert sum(sandbox.world.calls().values()) == before


def test_what_is_ambiguous_is_left_alone_whoever_wakes_it(sandbox: Sandbox) -> None:
    sandbox.world.place_numbers({"friendly_name": keys.tag("dev", "acme", 1), "count": 2})
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    assert sandbox.export()["blocked"] == "ambiguous"
    assert sandbox.held()[Step.BUY_NUMBER].held == "maybe"
    before = sum(sandbox.world.calls().values())

    tenant = sandbox.tenant()
    for _ in range(3):
        sandbox.gateway.steps.commit(lambda tx: leases.wake(tx, tenant.id, sandbox.clock.at_ms))
        sandbox.settle(60)

    assert sum(sandbox.world.calls().values()) == before


def test_a_cancellation_of_what_is_ambiguous_is_proved_first(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    line = sandbox.export()
    sandbox.rename_number(line["twilio_sid"], "front desk")
    sandbox.operate("redo")
    sandbox.settle(60)

    sandbox.operate("hold", Hold.RELEASE)
    sandbox.wait(days=1)
    during = sandbox.export(), sandbox.numbers()[0]["friendly_name"]
    sandbox.rename_number(line["twilio_sid"], line["friendly_names"][0])
    sandbox.operate("retry")
    sandbox.wait(days=1)

    assert (during[0]["blocked"], during[0]["state"], during[1]) == ("ambiguous", "releasing", "front desk")
    assert sandbox.export()["state"] == "released"
    assert sandbox.numbers() == []


def test_a_step_that_went_on_lifts_the_block(sandbox: Sandbox) -> None:
    assistant_id = "b0b0b0b0-0000-4000-8000-000000000001"
    sandbox.deliver("checkout.completed", metadata={"assistant_id": assistant_id})
    sandbox.settle(5)
    sandbox.world.add_assistant({"id": assistant_id, "name": "late"})

    sandbox.settle(120)

    lines = sandbox.timeline()
    assert lines.index("unblocked needs_assistant") > lines.index("blocked needs_assistant")
    assert sandbox.tenant().block is None


def test_a_block_that_is_checked_again_is_told_once(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata={"assistant_id": "b0b0b0b0-0000-4000-8000-000000000001"})

    sandbox.wait(days=0.1)

    assert sandbox.calls("vapi.assistant") > 100
    assert [line for line in sandbox.timeline() if line.startswith("blocked")] == ["blocked needs_assistant"]
    messages = sandbox.query(lambda tx: tx.all("SELECT type FROM outbox"))
    assert [row["type"] for row in messages].count("tenant.blocked") == 1


# --- words -----------------------------------------------------------------------------------------------------------


def test_each_finished_step_is_one_line_in_the_log_and_in_the_timeline(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "gateway.advance"):
        sandbox.deliver("checkout.completed")
        sandbox.settle(60)

    lines = [getattr(record, "fields") for record in caplog.records if record.message == "attempt.finished"]  # noqa: B009
    assert [(line["tenant"], line["step"], line["verb"], line["outcome"]) for line in lines] == [
        ("acme", "buy_number", "make", "bought"),
        ("acme", "import_number", "make", "imported"),
        ("acme", "assign_assistant", "make", "assigned"),
    ]
    assert all("attempt" in line and "duration_ms" in line for line in lines)
    rows = sandbox.query(lambda tx: journal.of_tenant(tx, sandbox.tenant().id))
    assert [row["name"] for row in rows if row["kind"] == "outcome"] == [
        "buy_number.bought",
        "import_number.imported",
        "assign_assistant.assigned",
    ]


def test_an_error_of_a_provider_that_only_was_asked_is_told_with_its_name(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.search", "error_before", times=1, status=400)
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)

    block = sandbox.tenant().block
    assert block is not None
    assert (block.code, block.step) == (Blocked.PROVIDER_REFUSED, Step.BUY_NUMBER)
    assert "python -m gateway tenants retry acme" in block.message
    rows = sandbox.query(lambda tx: journal.of_tenant(tx, sandbox.tenant().id))
    (row,) = (row for row in rows if row["kind"] == "outcome")
    assert (row["detail"]["provider"], row["detail"]["operation"]) == ("twilio", "search")
