"""Two gateways on one PostgreSQL database never undo or overlook what the other did, whichever comes between."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from gateway.errors import OperatorError, StorageUnavailable
from gateway.flow import export, operate
from gateway.store import inbox, tenants
from gateway.wiring import Gateway
from tests import databases
from tests.chaos.crowded import CrowdedSandbox
from tests.chaos.interleavings import SCENARIOS, Scenario, Told, tell
from tests.chaos.test_chaos import A_NEW_SEED

# About where a whole life is over.
FARTHEST = 190
PLACES_TO_TRY = (40, 20, 10, 60, 5, 0)

pytestmark = pytest.mark.skipif(not databases.POSTGRES_URL, reason="TEST_POSTGRES_URL is not set")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_what_comes_between_two_statements_is_neither_lost_nor_done_twice(scenario: Scenario, tmp_path: Path) -> None:
    """One place by the commit's own seed; `python -m tests.chaos.interleavings` tries all."""
    place = Random(f"{A_NEW_SEED}/{scenario}").randrange(FARTHEST)

    while not happened(scenario, tmp_path, place):
        assert place > 0, f"{scenario}: nothing comes between, wherever"
        # Some stories are shorter.
        place //= 3


def happened(scenario: Scenario, folder: Path, place: int) -> bool:
    with databases.using("postgres"):
        told = tell(scenario, folder, place)
    assert [str(violation) for violation in told.violations] == [], f"{scenario}, at {place}"
    return told.happened


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[CrowdedSandbox]:
    with databases.using("postgres"):
        made = CrowdedSandbox(tmp_path)
        yield made
        made.close()


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_the_second_one_really_comes_between(crowded: CrowdedSandbox, place: int) -> None:
    """What it stores is there for the next statement of the very transaction that stands still, and not before."""
    event = crowded.event("checkout.completed")
    crowded.interrupt(place, lambda: crowded.second_send(event))

    with crowded.database.transaction() as tx:
        seen = [inbox.backlog(tx).new for _ in range(2)]

    # Four statements each, of which the first counts.
    assert seen == [0 if place else 1, 1]


def test_at_a_place_that_does_not_exist_nothing_comes_between(crowded: CrowdedSandbox) -> None:
    acted: list[int] = []
    crowded.interrupt(1, lambda: acted.append(1))

    with crowded.database.transaction() as tx:
        inbox.next_due_at_ms(tx)
        before = list(acted)
    with crowded.database.read() as tx:
        inbox.next_due_at_ms(tx)

    # It is before the commit that the second place is, and each comes once.
    assert (before, acted) == ([], [1])


def test_the_second_one_changes_the_tenant_for_which_the_first_one_stands_still(crowded: CrowdedSandbox) -> None:
    """In the midst of the first one's step it applies a cancellation and works for nobody else's lease."""
    crowded.deliver("checkout.completed")
    claims = crowded.claim("first")
    states: list[str] = []

    def meanwhile() -> None:
        crowded.second_send(crowded.event("subscription.deleted"))
        crowded.second_turn()
        states.append(crowded.query(lambda tx: tenants.by_key(tx, "acme")).wanted)

    crowded.interrupt(0, meanwhile)
    crowded.advance(claims)

    assert states == ["released"]
    assert crowded.purchases() == []


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_in_every_scenario_there_are_places_at_which_the_second_one_acts(scenario: Scenario, tmp_path: Path) -> None:
    """Kept out everywhere it would show nothing. The first places may be those of news being applied, under a lock."""
    with databases.using("postgres"):
        acted = next((place for place in PLACES_TO_TRY if tell_in(scenario, tmp_path, place).has_acted), None)

    assert acted is not None


def tell_in(scenario: Scenario, folder: Path, place: int) -> Told:
    own = folder / str(place)
    own.mkdir()
    return tell(scenario, own, place)


def adopt(gateway: Gateway, key: str, sid: str) -> str:
    """What an operator is told."""
    try:
        operate.adopt(gateway.steps, key, sid, operate.Operator("tester", "a story"))
    except (OperatorError, StorageUnavailable) as error:
        return str(error)
    return "adopted"


def test_of_two_tenants_that_adopt_one_number_one_gets_it_and_the_other_is_told_why(tmp_path: Path) -> None:
    """At every place of the first adoption; whoever has to wait for the other one does so for a moment only."""
    for place in itertools.count():
        told = adopted_twice(tmp_path, place)
        if told is None:
            break
        assert sorted(told)[-1] == "adopted", (place, told)
        assert REFUSED.search(sorted(told)[0]), (place, told)

    assert place > 20


REFUSED = re.compile("another tenant|in favour of another|is busy")


def adopted_twice(folder: Path, place: int) -> list[str] | None:
    """What the two are told, the first one first; None: there is no such place."""
    own = folder / str(place)
    own.mkdir()
    with databases.using("postgres"):
        crowded = CrowdedSandbox(own)
        sid = crowded.world.place_numbers({"friendly_name": "front desk"})[0]["sid"]
        told: list[str] = []
        crowded.interrupt(place, lambda: told.append(adopt(crowded.second, "beta", sid)))
        first = adopt(crowded.gateway, "acme", sid)
        crowded.settle(600)
        held = [line for line in crowded.query(lambda tx: list(export.lines(tx, crowded.gateway.rules)))
                if line["twilio_sid"]]  # fmt: skip
        names = [number["friendly_name"] for number in crowded.numbers()]
        crowded.close()
    if not told:
        return None
    assert [line["friendly_names"] for line in held] == [names], place
    return [first, *told]
