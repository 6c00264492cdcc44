"""A world goes on where the one before it stopped, also when that one was killed while writing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulator.tables import Tables
from gateway.simulator.world import World
from tests.simulator.pretend import NUMBER, NUMBERS, TAG, Caller, StillClock


def test_everything_is_there_again(tmp_path: Path, clock: StillClock) -> None:
    world = World(seed="tests", now=clock, state_path=tmp_path / "state.json")
    call = Caller(world)
    call.buy()
    entry = call.bring().json()
    call.world("POST", "/policies", {"buy_owned": "update"})
    call.world("POST", "/stripe/deliveries", {"tenant": "acme"})
    before = world.state() | {"log": world.log()}

    again = World(seed="tests", now=clock, state_path=tmp_path / "state.json")

    assert again.state() | {"log": again.log()} == before
    assert Caller(again).vapi("GET", f"/phone-number/{entry['id']}").json() == entry


def test_ids_and_order_go_on_and_repeat_nothing(tmp_path: Path, clock: StillClock) -> None:
    sids = []
    for last in range(4):
        call = Caller(World(seed="tests", now=clock, state_path=tmp_path / "state.json"))
        sids.append(call.buy(f"+1415555010{last}").json()["sid"])

    assert len(set(sids)) == 4
    assert [number["sid"] for number in call.listed()] == sids[::-1]


def test_a_released_number_stays_released_and_a_late_effect_still_comes(tmp_path: Path, clock: StillClock) -> None:
    path = tmp_path / "state.json"
    call = Caller(World(seed="tests", now=clock, state_path=path))
    call.twilio("DELETE", f"{NUMBERS}/{call.buy().json()['sid']}.json")
    call.world("POST", "/faults", {"operation": "twilio.buy", "kind": "late_effect", "seconds": 30, "status": 503})
    call.buy("+14155550124")

    clock.advance(60)
    again = World(seed="tests", now=clock, state_path=path)

    assert [number["phone_number"] for number in again.state()["numbers"]] == ["+14155550124"]
    assert again.state()["taken"] == [NUMBER]


def test_the_moved_clock_stays_moved(tmp_path: Path) -> None:
    World(state_path=tmp_path / "state.json").advance(3600)

    assert World(state_path=tmp_path / "state.json").offset_ms == 3_600_000


def test_half_a_line_at_the_end_of_the_journal_is_a_request_that_never_was(tmp_path: Path, clock: StillClock) -> None:
    path = tmp_path / "state.json"
    Caller(World(seed="tests", now=clock, state_path=path)).buy()
    journal = tmp_path / "state.journal"
    whole = journal.read_bytes()

    journal.write_bytes(whole + b'["numbers","PN1",{"phone')

    again = World(seed="tests", now=clock, state_path=path)
    assert [number["tag"] for number in again.state()["numbers"]] == [TAG]


def test_a_reset_forgets_on_disk_too(tmp_path: Path, clock: StillClock) -> None:
    world = World(seed="tests", now=clock, state_path=tmp_path / "state.json")
    Caller(world).buy()

    world.reset()

    assert World(seed="tests", now=clock, state_path=tmp_path / "state.json").state()["numbers"] == []


def test_a_world_that_lost_its_state_hands_out_other_ids(tmp_path: Path, clock: StillClock) -> None:
    sids = [Caller(World(now=clock, state_path=tmp_path / f"{n}.json")).buy().json()["sid"] for n in range(2)]

    assert sids[0] != sids[1]


RECORDS = st.tuples(st.sampled_from("abcdef"), st.none() | st.text(alphabet="+12", max_size=3))


@given(st.lists(RECORDS, max_size=40), st.text(alphabet="+12", max_size=3))
def test_an_index_finds_what_a_look_at_every_record_finds(changes: list[tuple[str, str | None]], wanted: str) -> None:
    tables = Tables(None)
    tables["t"]["a"] = {"name": "+1"}
    index = tables.index("t", lambda record: str(record["name"]))

    for key, name in changes:
        if name is not None:
            tables["t"][key] = {"name": name, "key": key}
        elif key in tables["t"]:
            del tables["t"][key]

    def names(records: list[dict[str, str]]) -> list[str]:
        return sorted(record["name"] for record in records)

    everything = list(tables["t"].values())
    assert names(index.exact(wanted)) == names([r for r in everything if r["name"] == wanted])
    assert names(index.starting(wanted)) == names([r for r in everything if r["name"].startswith(wanted)])


def test_a_long_journal_becomes_a_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.simulator.tables.COMPACT_AFTER_BYTES", 1000)
    tables = Tables(tmp_path / "state.json")

    for index in range(200):
        tables["numbers"][str(index % 10)] = {"n": index}
        tables.commit()

    assert (tmp_path / "state.journal").stat().st_size < 2000
    assert Tables(tmp_path / "state.json")["numbers"] == {str(n % 10): {"n": n} for n in range(190, 200)}
