"""A database belongs to one mode, environment and account, for good."""

from __future__ import annotations

import pytest

from gateway.errors import OperatorError, OtherInstallation
from gateway.store import installation
from gateway.store.database import Database

SID, OTHER_SID = "AC" + "0" * 32, "AC" + "1" * 32


def test_the_first_start_says_whose_it_is_and_the_next_agrees(database: Database) -> None:
    with database.transaction() as tx:
        first = installation.bind(tx, "live", "prod", SID)
    with database.transaction() as tx:
        second = installation.bind(tx, "live", "prod", SID)

    assert (first, second) == (True, False)


@pytest.mark.parametrize(
    ("mode", "env", "account", "named"),
    [
        pytest.param("sandbox", "prod", SID, "GATEWAY_MODE", id="another mode"),
        pytest.param("live", "staging", SID, "GATEWAY_ENV", id="another environment"),
        pytest.param("live", "prod", OTHER_SID, "TWILIO_ACCOUNT_SID", id="another account"),
    ],
)
def test_any_difference_refuses_and_changes_nothing(
    database: Database, mode: str, env: str, account: str, named: str
) -> None:
    with database.transaction() as tx:
        installation.bind(tx, "live", "prod", SID)

    with pytest.raises(OtherInstallation, match=named), database.transaction() as tx:
        installation.bind(tx, mode, env, account)
    with database.transaction() as tx:
        assert installation.bind(tx, "live", "prod", SID) is False


def test_all_differences_are_named_at_once(database: Database) -> None:
    with database.transaction() as tx:
        installation.bind(tx, "live", "prod", SID)

    with pytest.raises(OtherInstallation) as caught, database.read() as tx:
        installation.check(tx, "sandbox", "dev", OTHER_SID)

    for name in ("GATEWAY_MODE", "GATEWAY_ENV", "TWILIO_ACCOUNT_SID"):
        assert name in str(caught.value)


def test_a_sandbox_moves_its_clock_forward_and_keeps_it(database: Database) -> None:
    with database.transaction() as tx:
        installation.bind(tx, "sandbox", "dev", SID)
        installation.move_clock(tx, 1000)
    with database.transaction() as tx:
        installation.move_clock(tx, 500)

    with database.read() as tx:
        assert installation.clock_offset_ms(tx) == 1500


def test_a_live_clock_is_never_moved(database: Database) -> None:
    with database.transaction() as tx:
        installation.bind(tx, "live", "prod", SID)

    with pytest.raises(OperatorError), database.transaction() as tx:
        installation.move_clock(tx, 1)


@pytest.mark.parametrize("by_ms", [-1, installation.FARTHEST_MS + 1])
def test_the_clock_does_not_go_back_nor_to_the_end_of_time(database: Database, by_ms: int) -> None:
    with database.transaction() as tx:
        installation.bind(tx, "sandbox", "dev", SID)

    with pytest.raises(OperatorError), database.transaction() as tx:
        installation.move_clock(tx, by_ms)
