"""The story of a tenant: why it is where it is, and what happens next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.domain.model import Block, Blocked, Held, Hold, Holding, State, Step, Tenant, Wanted
from gateway.flow.timeline import Line, outlook, text_of, timeline
from tests.stories.sandbox import Sandbox

NOW = 1_800_000_000_000
HELD = {step: Holding(step, Held.YES) for step in Step}
DOUBTFUL = {**HELD, Step.IMPORT_NUMBER: Holding(Step.IMPORT_NUMBER, Held.MAYBE)}
AT_REST = Tenant(
    id=1,
    tenant_key="acme",
    state=State.ACTIVE,
    wanted=Wanted.ACTIVE,
    reason="It is paid.",
    changes_at_ms=None,
    generation=1,
    version=1,
    fence=1,
    lease_owner=None,
    lease_until_ms=None,
    next_run_at_ms=None,
    hold=None,
    block=None,
    tries=0,
    self_named=False,
    created_at_ms=NOW - 1000,
    updated_at_ms=NOW,
)

SUSPENDED = replace(AT_REST, state=State.SUSPENDED, wanted=Wanted.SUSPENDED)


def blocked(code: Blocked) -> Block:
    return Block(code, f"Because of {code}.", Step.BUY_NUMBER, Wanted.ACTIVE, NOW)


@pytest.mark.parametrize(
    ("tenant", "held", "why", "says", "next_at_ms"),
    [
        pytest.param(AT_REST, HELD, "It is paid.", "as it should be", None, id="at rest"),
        pytest.param(
            replace(AT_REST, lease_until_ms=NOW + 5, next_run_at_ms=NOW + 5),
            HELD, "It is paid.", "in hand right now", NOW + 5, id="being worked for",
        ),
        pytest.param(replace(AT_REST, next_run_at_ms=NOW), HELD, "It is paid.", "It is due", NOW, id="due"),
        pytest.param(
            replace(AT_REST, lease_until_ms=NOW - 5, next_run_at_ms=NOW - 5),
            HELD, "It is paid.", "It is due", NOW - 5, id="its worker died",
        ),
        pytest.param(
            replace(AT_REST, next_run_at_ms=NOW + 9), DOUBTFUL, "It is paid.", "in doubt (import)", NOW + 9, id="doubt"
        ),
        pytest.param(
            replace(AT_REST, block=blocked(Blocked.NO_NUMBERS)),
            HELD, "Because of no_numbers.", "tenants retry acme", None, id="blocked until a person acts",
        ),
        pytest.param(
            replace(AT_REST, block=blocked(Blocked.SPEND_CAP), next_run_at_ms=NOW + 9),
            HELD, "Because of spend_cap.", "by itself", NOW + 9, id="blocked until its cause goes",
        ),
        pytest.param(
            replace(AT_REST, changes_at_ms=NOW + 9, next_run_at_ms=NOW + 9),
            HELD, "It is paid.", "it is suspended", NOW + 9, id="grace",
        ),
        pytest.param(
            replace(SUSPENDED, changes_at_ms=NOW + 9, next_run_at_ms=NOW + 9),
            HELD, "It is paid.", "given back", NOW + 9, id="waits for its release",
        ),
        pytest.param(replace(AT_REST, hold=Hold.SUSPEND), HELD, "It is paid.", "tenants resume acme", None, id="held"),
    ],
)  # fmt: skip
def test_the_outlook_says_why_and_what_next(
    tenant: Tenant, held: dict[Step, Holding], why: str, says: str, next_at_ms: int | None
) -> None:
    ahead = outlook(tenant, held, NOW)

    assert ahead.why == why
    assert says in ahead.next
    assert ahead.next_at_ms == next_at_ms


def test_a_line_of_an_unknown_kind_or_with_fields_missing_is_still_told() -> None:
    assert text_of("outcome", "buy_number.bought", {}) == "Bought ?"
    assert text_of("outcome", "buy_number.never_heard_of", {"number": "+1"}) == "Number: never heard of, +1"
    assert text_of("something", "new", {"a": 1, "b": None}) == "new (a=1)"


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    made = Sandbox(tmp_path)
    yield made
    made.close()


def story(sandbox: Sandbox, key: str = "acme") -> list[Line]:
    tenant = sandbox.tenant(key)
    with sandbox.database.read() as tx:
        return timeline(tx, tenant)


def test_a_purchase_whose_answer_was_lost_can_be_read_in_the_story(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "lost_after")
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)

    texts = " / ".join(line.text for line in story(sandbox))

    assert "no clear answer" in texts or "unclear" in texts
    assert "State: active" in texts


def test_a_call_that_nobody_heard_the_end_of_is_shown_as_such(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.crash_at("twilio.buy", before=True)
    assert sandbox.turn_and_crash()
    sandbox.restart()

    (line,) = [line for line in story(sandbox) if line.kind == "attempt"]

    assert line.text.startswith("Number: buy +1")
    assert "no answer is known" in line.text


def test_an_event_that_contradicts_a_link_is_in_the_story_and_not_applied(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    sandbox.deliver("subscription.updated", set={"metadata.tenant_id": "somebody-else"})
    sandbox.settle(60)

    assert any("not applied (link_conflict)" in line.text for line in story(sandbox))


def test_the_story_is_told_oldest_first_and_can_be_cut(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    lines = story(sandbox)
    tenant = sandbox.tenant()

    with sandbox.database.read() as tx:
        newest = timeline(tx, tenant, 2)

    assert [line.at_ms for line in lines] == sorted(line.at_ms for line in lines)
    assert newest == lines[-2:]
