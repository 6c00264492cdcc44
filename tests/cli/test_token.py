"""`token`: what it prints is what the settings take and the API knows."""

from __future__ import annotations

import re

import pytest

from gateway.settings import load
from gateway.web.api.access import known
from tests.cli.conftest import Run

pytestmark = pytest.mark.sqlite_file


def test_the_printed_line_lets_the_printed_token_in_and_does_not_hold_it(run: Run) -> None:
    result = run("token", "billing", "--role", "operator")

    token, line = (found.split()[-1] for found in result.out.splitlines())
    assert result.status == 0
    assert re.fullmatch(r"rf_[A-Za-z0-9_-]{43}", token)
    assert token not in line
    caller = known(load({"API_TOKENS": line}).web.api_tokens, f"Bearer {token}")
    assert caller is not None
    assert (caller.name, caller.role) == ("api:billing", "operator")


def test_two_tokens_are_two_and_look_only_unless_told(run: Run) -> None:
    first, second = run("token", "a").out, run("token", "a").out

    assert first != second
    assert ":viewer:" in first


@pytest.mark.parametrize("arguments", [["A B"], ["a,b"], ["a:b"], [""], ["a" * 33], ["a", "--role", "root"]])
def test_a_name_or_role_that_settings_would_refuse_is_wrong_use(run: Run, arguments: list[str]) -> None:
    result = run("token", *arguments)

    assert result.status == 2
    assert "rf_" not in result.out
