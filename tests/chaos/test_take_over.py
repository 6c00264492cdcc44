"""An import beside other work: whatever comes between two of its statements, a number has one owner and is kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from gateway.domain import keys, roster
from gateway.errors import GatewayError
from gateway.flow.operate import Operator
from gateway.flow.take_over import carry_out
from gateway.flow.take_over_plan import plan
from gateway.wiring import Gateway
from tests import databases
from tests.chaos.crowded import CrowdedSandbox
from tests.chaos.test_chaos import A_NEW_SEED

ANN = Operator("ann", "moving in")
# About where a row is taken over.
FARTHEST = 130
PLACES_A_RUN = 4
PLACES_TO_TRY = (40, 60, 20, 80, 30, 10, 0)

pytestmark = pytest.mark.skipif(not databases.POSTGRES_URL, reason="TEST_POSTGRES_URL is not set")


def carried_out(crowded: CrowdedSandbox, gateway: Gateway, content: bytes) -> list[str]:
    def pause() -> None:
        crowded.clock.at_ms += 2_000

    intended = plan(gateway.steps, roster.read(content), crowded.settings.twilio.account_sid)
    return [str(result.became) for result in carry_out(gateway.steps, intended, ANN, pause)]


class Others:
    """What the second gateway does meanwhile; each is given the sandbox, the file, and how often it was asked."""

    @staticmethod
    def a_worker_applies_a_signup(crowded: CrowdedSandbox, content: bytes) -> None:
        crowded.second_send(crowded.event("checkout.completed", at_ms=crowded.clock.at_ms))
        for _ in range(3):
            crowded.second_turn()

    @staticmethod
    def somebody_else_imports_the_same_file(crowded: CrowdedSandbox, content: bytes) -> None:
        intended = plan(crowded.second.steps, roster.read(content), crowded.settings.twilio.account_sid)
        # Without patience: the first one stands still.
        list(zip(carry_out(crowded.second.steps, intended, ANN, lambda: None), range(1), strict=False))

    @staticmethod
    def the_same_number_is_imported_for_another_tenant(crowded: CrowdedSandbox, content: bytes) -> None:
        Others.somebody_else_imports_the_same_file(crowded, content.replace(b"acme", b"beta"))


@pytest.mark.parametrize("is_known", [False, True], ids=["a new tenant", "a paying tenant"])
@pytest.mark.parametrize(
    "meanwhile",
    [
        Others.a_worker_applies_a_signup,
        Others.somebody_else_imports_the_same_file,
        Others.the_same_number_is_imported_for_another_tenant,
    ],
)
def test_whatever_comes_between_a_number_has_one_owner_and_nothing_is_bought(
    tmp_path: Path, meanwhile: Callable[[CrowdedSandbox, bytes], None], is_known: bool
) -> None:
    """A few places by the commit's own seed; EVERY_PLACE=1 tries all."""
    random = Random(f"{A_NEW_SEED}/{meanwhile.__name__}/{is_known}")
    places = range(FARTHEST) if os.environ.get("EVERY_PLACE") else random.sample(range(FARTHEST), PLACES_A_RUN)
    acted = [happened(tmp_path / str(place), place, meanwhile, is_known) for place in places]

    # Some places are beyond the end, and at some the second one is kept out: there must be others.
    assert any(acted) or any(
        happened(tmp_path / f"more-{place}", place, meanwhile, is_known) for place in PLACES_TO_TRY
    )


def happened(folder: Path, place: int, meanwhile: Callable[[CrowdedSandbox, bytes], None], is_known: bool) -> bool:
    folder.mkdir()
    with databases.using("postgres"):
        crowded = CrowdedSandbox(folder)
        if is_known:
            crowded.deliver("checkout.completed", metadata={"choose": "yes"})
            crowded.settle(60)
        hand = by_hand(crowded)
        content = f"key,number,vapi_id\nacme,{hand['number']},{hand['vapi_id']}\n".encode()
        acted: list[bool] = []

        def act() -> None:
            acted.append(False)
            try:
                meanwhile(crowded, content)
            except GatewayError:
                return
            acted[-1] = True

        crowded.interrupt(place, act)
        told = carried_out(crowded, crowded.gateway, content)
        crowded.interrupt(None, act)
        crowded.settle(3600)
        owners = [key for key in ("acme", "beta") if crowded.known(key) and crowded.export(key)["twilio_sid"]]
        if owners != ["beta"]:
            told += carried_out(crowded, crowded.gateway, content)
        crowded.settle(3600)
        check(crowded, hand, place, told)
        crowded.close()
    return any(acted)


def by_hand(crowded: CrowdedSandbox) -> dict[str, str]:
    placed = crowded.world.place_numbers(
        {"friendly_name": "Desk", "voice_url": "https://api.vapi.ai/twilio/inbound_call"}
    )[0]
    made = crowded.world.place_entry(
        {
            "number": placed["phone_number"],
            "name": "Desk",
            "twilioAccountSid": crowded.settings.twilio.account_sid,
            "assistantId": str(crowded.settings.vapi.assistant_id),
        }
    )
    return {"sid": placed["sid"], "number": placed["phone_number"], "vapi_id": made["id"]}


def check(crowded: CrowdedSandbox, hand: dict[str, str], place: int, told: list[str]) -> None:
    """One owner, under its tag at both providers, active, with the entry that was there.

    A tenant whose signup came before the row was committed to has bought its number already: then the row is a problem
    of a person's, and what was made by hand is left as it was.
    """
    lines = [crowded.export(key) for key in ("acme", "beta") if crowded.known(key)]
    where = (place, told, lines)
    owners = [line for line in lines if line["twilio_sid"] == hand["sid"]]
    names = {number["sid"]: number["friendly_name"] for number in crowded.numbers()}
    entries = {entry["id"]: entry["name"] for entry in crowded.entries()}
    if not owners:
        assert (told[-1], len(crowded.purchases())) == ("problem", 1), where
        assert (names[hand["sid"]], entries[hand["vapi_id"]]) == ("Desk", "Desk"), where
        return
    (owner,) = owners
    tag = keys.tag("dev", owner["tenant_key"], 1)
    assert (owner["state"], owner["blocked"], owner["vapi_id"]) == ("active", None, hand["vapi_id"]), where
    assert (names, entries) == ({hand["sid"]: tag}, {hand["vapi_id"]: tag}), where
    assert crowded.purchases() == [], where
    assert told[-1] in ("taken_over", "already") or owner["tenant_key"] == "beta", where
