"""`numbers`: look, buy and give back by hand, as people and scripts type it, beside a pretend world of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.simulator.address import stop_world
from tests.cli.test_sandbox import Place

pytestmark = pytest.mark.chaos


class Desk:
    """An installation without any worker: only commands."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def type(self, *words: str, **more: str) -> tuple[int, str, str]:
        return self.place.run(*words, GATEWAY_MODE="sandbox", COLUMNS="200", **more)

    def done(self, *words: str) -> str:
        status, out, err = self.type(*words)
        assert status == 0, err
        return out

    def json(self, *words: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.done(*words, "--json").splitlines()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(Place(tmp_path))
    made.done("migrate")
    yield made
    stop_world(tmp_path / "var")
    stop_world(tmp_path)


REASON = ("--yes", "--reason", "stocking up")


def test_a_number_is_bought_listed_given_and_given_back(desk: Desk) -> None:
    (bought,) = desk.json("numbers", "buy", "--area-code", "406", *REASON)
    assert bought["outcome"] == "done"
    assert bought["phone_number"].startswith("+1406")
    assert bought["tenant_key"] is None

    (listed,) = desk.json("numbers", "list")
    assert (listed["phone_number"], listed["whose"], listed["state"]) == (bought["phone_number"], "spare", "active")
    assert desk.json("tenants", "list") == []
    assert [line["tenant_key"] for line in desk.json("tenants", "list", "--spare")] == [
        f"spare:{listed['phone_number']}"
    ]

    (given,) = desk.json("numbers", "buy", bought["phone_number"], "--tenant", "acme", *REASON)
    assert (given["outcome"], given["twilio_sid"], given["tenant_key"]) == ("done", bought["twilio_sid"], "acme")
    table = desk.done("numbers", "list")
    assert "acme" in table
    assert "active" in table

    (released,) = desk.json("numbers", "release", bought["phone_number"], *REASON)
    assert released["outcome"] == "given_back"
    assert desk.done("numbers", "list", "--foreign") == "No such numbers.\n"
    assert "Operator: buy" in desk.done("tenants", "show", "acme")


def test_wrong_use_is_status_2_and_changes_nothing(desk: Desk) -> None:
    for words in (
        ("numbers", "buy", "--reason", "x", "--yes"),
        ("numbers", "buy", "+14155550123", "--yes"),
        ("numbers", "buy", "+14155550123", "--reason", "x"),
        ("numbers", "buy", "12", "--reason", "x", "--yes"),
        ("numbers", "buy", "--area-code", "1", "--reason", "x", "--yes"),
        ("numbers", "release", "acme", "--reason", "x", "--yes"),
        ("numbers", "release", "+14155550123", "--reason", "x"),
    ):
        status, out, err = desk.type(*words)
        assert (status, out) == (2, ""), words
        assert err.strip(), words

    assert desk.done("numbers", "list") == "No numbers.\n"


def test_what_cannot_be_done_is_status_1_and_a_sentence(desk: Desk) -> None:
    status, _, err = desk.type("numbers", "release", "+14155550123", *REASON)
    assert status == 1
    assert "no number that we hold" in err

    status, _, err = desk.type("numbers", "buy", "--area-code", "406", *REASON, MAX_PURCHASES_PER_HOUR="0")
    assert status == 1
    assert "MAX_PURCHASES_PER_HOUR is 0" in err
    assert "Traceback" not in err


def test_a_search_shows_people_and_scripts_what_is_for_sale(desk: Desk) -> None:
    (offer, *_) = desk.json("numbers", "search", "--area-code", "415", "--limit", "2")
    assert offer["phone_number"].startswith("+1415")
    assert set(offer) == {
        *("phone_number", "display", "locality", "region", "country", "number_type", "capabilities"),
        *("address_requirements", "price", "currency"),
    }

    table = desk.done("numbers", "search", "--country", "UK", "--limit", "3").splitlines()
    assert table[0].split() == ["NUMBER", "E.164", "TYPE", "LOCALITY", "REGION", "CAN", "ADDRESS", "A", "MONTH"]
    assert table[1].startswith("+44 ")
    assert desk.done("numbers", "search", "--contains", "9999999999") == "Twilio has none that fit.\n"
    for words in (("--country", "Atlantis"), ("--area-code", "1"), ("--type", "pigeon"), ("--near", "12")):
        status, out, err = desk.type("numbers", "search", *words)
        assert (status, out) == (2, ""), (words, err)


def test_prices_and_addresses_are_shown_and_an_address_is_put_on_file_once(desk: Desk) -> None:
    (listed,) = desk.json("pricing", "US")
    assert (listed["country"], listed["currency"]) == ("US", "USD")
    assert {"number_type", "base_price", "current_price"} == set(listed["prices"][0])
    assert "local" in desk.done("pricing", "uk")
    assert desk.type("pricing", "Atlantis")[0] == 2
    assert desk.type("pricing", "QQ")[0] == 1

    address = ("--name", "Acme", "--street", "1 Main Road", "--city", "Cape Town", "--postal-code", "8001")
    (first,) = desk.json("addresses", "add", *address, "--region", "WC", "--country", "ZA")
    (second,) = desk.json("addresses", "add", *address, "--region", "WC", "--country", "ZA")
    assert first == second
    assert desk.json("addresses", "list") == [first]
    assert desk.json("addresses", "list", "--country", "US") == []
    assert first["address_sid"] in desk.done("addresses", "list", "--country", "ZA")
    assert desk.type("addresses", "add", "--name", "Acme")[0] == 2
