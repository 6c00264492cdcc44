"""What follows from every change: the wish, the state, the generation, blocks, and the messages that tell of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.domain import options
from gateway.domain.model import (
    CLEARED_BY_OPTIONS,
    Block,
    Blocked,
    Held,
    Hold,
    Holding,
    IntentStatus,
    State,
    Step,
    Tenant,
    Wanted,
)
from gateway.domain.recipe import ORDER, target_of
from gateway.domain.rules import DAY_MS, Rules, answering_for
from gateway.flow import reconsider as flow
from gateway.store import holdings, intents, journal, leases, outbox, subscriptions, tenants
from gateway.store.database import Transaction
from tests import databases

NOW = 1_795_000_000_000
RULES = Rules(default_assistant_id="a-default")


class Desk:
    """One tenant in an open transaction, and everything that may be asked of it."""

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx
        self.now_ms = NOW
        self.id = tenants.create(tx, "acme", NOW).id

    def reconsider(self) -> Tenant:
        return flow.reconsider(self.tx, self.id, RULES, self.now_ms, "a test")

    def tenant(self) -> Tenant:
        return tenants.get(self.tx, self.id)

    def paid(self) -> None:
        subscriptions.ensure_manual(self.tx, self.id, "acme", NOW)

    def hold(self, hold: Hold | None) -> None:
        tenants.set_hold(self.tx, self.id, hold, NOW)

    def holds(self, **held: Held) -> None:
        target = flow.target_for(self.tx, self.tenant(), Wanted.ACTIVE, RULES)
        for name, how in held.items():
            ref = target if name == Step.ASSIGN_ASSISTANT else f"ref of {name}"
            holdings.put(self.tx, self.id, Holding(Step(name), how, ref), NOW)

    def holds_all(self) -> None:
        self.holds(**{step.value: Held.YES for step in ORDER})

    def holds_nothing(self) -> None:
        for step in ORDER:
            holdings.put(self.tx, self.id, Holding(step, Held.NO), NOW)

    def blocked(self, code: Blocked, wanted: Wanted = Wanted.ACTIVE, message: str = "because") -> None:
        tenants.set_block(self.tx, self.id, Block(code, message, Step.BUY_NUMBER, wanted, NOW))

    def intent(self, status: IntentStatus, number: str = "+14155550100") -> None:
        chosen = intents.choose(self.tx, self.tenant(), number, "rf:x", is_exact=False, country="US",
                                number_type="local", now_ms=NOW)  # fmt: skip
        if status in (IntentStatus.REFUSED, IntentStatus.DROPPED, IntentStatus.RELEASED):
            intents.end(self.tx, chosen, status, "because", NOW)
        elif status is not IntentStatus.CHOSEN:
            self.tx.do("UPDATE intents SET status = :status WHERE id = :id", status=status, id=chosen.id)

    def statuses(self) -> list[str]:
        return [row["status"] for row in intents.of_tenant(self.tx, self.id)]

    def lines(self, *kinds: str) -> list[tuple[str, str]]:
        rows = journal.of_tenant(self.tx, self.id)
        return [(row["kind"], row["name"]) for row in rows if not kinds or row["kind"] in kinds]

    def messages(self) -> list[tuple[str, dict[str, Any]]]:
        return [(row["type"], json.loads(row["body"])) for row in outbox.unsent(self.tx, 100)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    database = databases.open_database(tmp_path)
    with database.transaction() as tx:
        yield Desk(tx)
    database.close()


# --- the wish and the state ------------------------------------------------------------------------------------------


def test_without_any_record_nothing_is_wanted_and_nothing_is_written(desk: Desk) -> None:
    before = desk.tenant()

    assert desk.reconsider() == replace(before, reason=desk.tenant().reason)
    assert (desk.tenant().state, desk.tenant().wanted) == (State.NEW, Wanted.NOTHING)
    assert (desk.lines(), desk.messages()) == ([], [])


def test_a_new_wish_is_stored_told_and_makes_the_tenant_due(desk: Desk) -> None:
    desk.paid()
    before = desk.tenant()

    after = desk.reconsider()

    assert (after.wanted, after.state) == (Wanted.ACTIVE, State.PROVISIONING)
    assert (after.version, after.next_run_at_ms) == (before.version + 1, NOW)
    assert desk.lines() == [("wanted", "active"), ("state", "provisioning")]
    ((kind, body),) = desk.messages()
    assert (kind, body["tenant_key"], body["before"], body["at_ms"]) == ("tenant.provisioning", "acme", "new", NOW)


def test_asking_again_changes_nothing_and_tells_nobody(desk: Desk) -> None:
    desk.paid()
    first = desk.reconsider()
    told = desk.lines(), desk.messages()

    desk.now_ms += 5000

    assert desk.reconsider() == first
    assert (desk.lines(), desk.messages()) == told


def test_a_change_of_mind_leaves_a_lease_to_its_holder(desk: Desk) -> None:
    leases.wake(desk.tx, desk.id, NOW)
    (held,) = leases.claim_due(desk.tx, NOW, 60_000, "worker-1", 1)
    desk.paid()

    after = desk.reconsider()

    assert (after.lease_owner, after.next_run_at_ms, after.fence) == ("worker-1", NOW + 60_000, held.fence)
    assert after.version == held.version + 1


def test_a_tenant_that_holds_all_it_needs_is_active_and_every_move_is_told_once(desk: Desk) -> None:
    desk.paid()
    desk.reconsider()
    desk.holds_all()

    after = desk.reconsider()

    assert after.state is State.ACTIVE
    assert [kind for kind, _ in desk.messages()] == ["tenant.provisioning", "tenant.active"]
    ids = [row["message_id"] for row in outbox.unsent(desk.tx, 10)]
    assert ids == [f"msg_{desk.id}_1", f"msg_{desk.id}_2"]


@pytest.mark.parametrize("step", list(ORDER))
def test_what_may_be_held_is_not_held(desk: Desk, step: Step) -> None:
    desk.paid()
    desk.holds_all()
    desk.holds(**{step.value: Held.MAYBE})

    assert desk.reconsider().state is State.PROVISIONING


def test_a_wish_that_changes_by_itself_says_when(desk: Desk) -> None:
    desk.paid()
    desk.holds_all()
    desk.reconsider()
    desk.hold(Hold.SUSPEND)

    assert desk.reconsider().wanted is Wanted.SUSPENDED
    assert desk.tenant().reason != ""


# --- numbers that were only chosen -----------------------------------------------------------------------------------


@pytest.mark.parametrize("hold", list(Hold))
def test_a_number_that_was_only_chosen_is_forgotten_when_it_is_no_longer_wanted(desk: Desk, hold: Hold) -> None:
    desk.paid()
    desk.intent(IntentStatus.CHOSEN)
    desk.hold(hold)

    desk.reconsider()

    assert desk.statuses() == ["dropped"]


@pytest.mark.parametrize("status", [IntentStatus.SENT, IntentStatus.UNKNOWN, IntentStatus.OWNED])
def test_a_number_that_may_have_been_bought_is_never_forgotten(desk: Desk, status: IntentStatus) -> None:
    desk.paid()
    desk.intent(status)
    desk.hold(Hold.RELEASE)

    desk.reconsider()

    assert desk.statuses() == [status]


def test_a_number_that_was_chosen_stays_chosen_while_something_may_be_held(desk: Desk) -> None:
    desk.paid()
    desk.intent(IntentStatus.CHOSEN)
    desk.holds(buy_number=Held.MAYBE)
    desk.hold(Hold.SUSPEND)

    desk.reconsider()

    assert desk.statuses() == ["chosen"]


# --- generations -----------------------------------------------------------------------------------------------------


def released(desk: Desk) -> None:
    desk.paid()
    desk.reconsider()
    desk.intent(IntentStatus.RELEASED)
    desk.holds_nothing()
    desk.hold(Hold.RELEASE)
    assert desk.reconsider().state is State.RELEASED


def test_a_return_after_a_proved_release_starts_one_new_generation(desk: Desk) -> None:
    released(desk)
    desk.hold(None)

    first, second = desk.reconsider(), desk.reconsider()

    assert (first.generation, first.state) == (2, State.PROVISIONING)
    assert second == first
    assert desk.lines("generation") == [("generation", "2")]


def test_a_release_that_was_proved_while_it_was_wanted_again_starts_one_too(desk: Desk) -> None:
    desk.paid()
    desk.reconsider()
    desk.intent(IntentStatus.RELEASED)

    assert desk.reconsider().generation == 2


def test_while_anything_is_held_there_is_no_new_generation(desk: Desk) -> None:
    desk.paid()
    desk.intent(IntentStatus.RELEASED)
    desk.holds(import_number=Held.MAYBE)

    assert desk.reconsider().generation == 1


def test_a_released_tenant_stays_in_its_generation_until_it_is_wanted(desk: Desk) -> None:
    released(desk)
    desk.hold(Hold.SUSPEND)

    assert (desk.reconsider().generation, desk.tenant().state) == (1, State.RELEASED)


def test_a_new_subscription_alone_never_starts_a_generation(desk: Desk) -> None:
    desk.paid()
    desk.holds_all()
    desk.reconsider()
    desk.hold(Hold.SUSPEND)
    desk.reconsider()
    desk.hold(None)

    assert desk.reconsider().generation == 1


# --- blocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", list(Blocked))
def test_another_wish_acts_through_every_block_but_what_is_ambiguous(desk: Desk, code: Blocked) -> None:
    desk.paid()
    desk.reconsider()
    desk.blocked(code)
    desk.hold(Hold.SUSPEND)

    after = desk.reconsider()

    assert (after.block is not None) is (code is Blocked.AMBIGUOUS)
    assert (("unblocked", code) in desk.lines()) is (code is not Blocked.AMBIGUOUS)


@pytest.mark.parametrize("code", list(Blocked))
def test_the_same_wish_leaves_every_block(desk: Desk, code: Blocked) -> None:
    desk.paid()
    desk.reconsider()
    desk.blocked(code)

    assert desk.reconsider().block is not None


@pytest.mark.parametrize("code", list(Blocked))
def test_a_changed_option_clears_what_an_option_can_mend(desk: Desk, code: Blocked) -> None:
    desk.paid()
    desk.reconsider()
    desk.blocked(code)
    before = desk.tenant()

    flow.options_changed(desk.tx, desk.id, NOW)

    after = desk.tenant()
    assert (after.block is None) is (code in CLEARED_BY_OPTIONS)
    assert (after.version, after.next_run_at_ms) == (before.version + 1, NOW)


def test_a_changed_option_gives_three_new_candidates(desk: Desk) -> None:
    desk.paid()
    for count in range(3):
        desk.intent(IntentStatus.REFUSED, f"+1415555010{count}")
    assert intents.candidates_used(desk.tx, desk.tenant()) == 3

    flow.options_changed(desk.tx, desk.id, NOW)

    assert intents.candidates_used(desk.tx, desk.tenant()) == 0


@pytest.mark.parametrize("code", list(Blocked))
def test_a_changed_option_lets_go_of_a_number_that_wants_papers_and_of_no_other(desk: Desk, code: Blocked) -> None:
    desk.paid()
    desk.intent(IntentStatus.CHOSEN)
    desk.blocked(code)

    flow.options_changed(desk.tx, desk.id, NOW)

    papers = (Blocked.NEEDS_ADDRESS, Blocked.NEEDS_BUNDLE)
    assert desk.statuses() == ["dropped" if code in papers else "chosen"]


def test_a_block_is_told_once_and_keeps_its_first_moment(desk: Desk) -> None:
    for later_ms in (0, 1000, 2000):
        block = Block(Blocked.NO_NUMBERS, "none left", Step.BUY_NUMBER, Wanted.ACTIVE, NOW + later_ms)
        flow.block(desk.tx, desk.tenant(), block, NOW + later_ms)

    stored = desk.tenant().block
    assert stored is not None
    assert stored.at_ms == NOW
    assert desk.lines() == [("blocked", "no_numbers")]
    ((kind, body),) = desk.messages()
    assert (kind, body["blocked"], body["message"]) == ("tenant.blocked", "no_numbers", "none left")


@pytest.mark.parametrize(
    ("code", "message"), [(Blocked.NUMBER_TAKEN, "none left"), (Blocked.NO_NUMBERS, "another sentence")]
)
def test_another_reason_is_told_anew(desk: Desk, code: Blocked, message: str) -> None:
    desk.blocked(Blocked.NO_NUMBERS, message="none left")

    flow.block(desk.tx, desk.tenant(), Block(code, message, None, Wanted.ACTIVE, NOW + 5), NOW + 5)

    stored = desk.tenant().block
    assert stored is not None
    assert stored.at_ms == NOW + 5
    assert len(desk.messages()) == 1


def test_what_is_not_blocked_is_not_said_to_be_unblocked(desk: Desk) -> None:
    flow.unblock(desk.tx, desk.tenant(), "why not", NOW)

    assert desk.lines() == []


# --- what should be set ----------------------------------------------------------------------------------------------


def test_the_target_follows_the_tenants_own_assistant(desk: Desk) -> None:
    subscriptions.set_option(desk.tx, desk.id, "subscription", "assistant_id", "a-own", NOW)
    own = options.parse({"assistant_id": "a-own"}, RULES)

    assert flow.target_for(desk.tx, desk.tenant(), Wanted.ACTIVE, RULES) == target_of(
        answering_for("acme", own, Wanted.ACTIVE, RULES)
    )


def test_an_assistant_that_makes_no_sense_is_no_target_and_does_not_hinder_a_suspension(desk: Desk) -> None:
    silent = flow.target_for(desk.tx, desk.tenant(), Wanted.SUSPENDED, RULES)
    subscriptions.set_option(desk.tx, desk.id, "subscription", "assistant_id", "not an id!", NOW)

    assert flow.target_for(desk.tx, desk.tenant(), Wanted.ACTIVE, RULES) is None
    assert flow.target_for(desk.tx, desk.tenant(), Wanted.SUSPENDED, RULES) == silent


def test_other_options_that_make_no_sense_do_not_hinder_the_assistant(desk: Desk) -> None:
    before = flow.target_for(desk.tx, desk.tenant(), Wanted.ACTIVE, RULES)
    subscriptions.set_option(desk.tx, desk.id, "subscription", "area_code", "banana", NOW)

    assert flow.target_for(desk.tx, desk.tenant(), Wanted.ACTIVE, RULES) == before


def test_a_wish_whose_end_moves_makes_the_tenant_due_again(desk: Desk) -> None:
    desk.paid()
    desk.holds_all()
    desk.reconsider()
    desk.tx.do("UPDATE tenants SET changes_at_ms = :at_ms, next_run_at_ms = NULL", at_ms=NOW + DAY_MS)

    after = desk.reconsider()

    assert (after.changes_at_ms, after.next_run_at_ms) == (None, NOW)
