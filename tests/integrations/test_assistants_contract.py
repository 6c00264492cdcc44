"""What every assistants' platform must do for the steps, tried on each one against its pretend self."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from gateway.errors import ProviderError, Refused, TryLater, Unclear
from gateway.ports import Answering, Assistants, NumberWish
from gateway.simulator import defaults
from tests.integrations.pretend_world import TAG, Pretend
from tests.integrations.providers import said_of

PLATFORMS: dict[str, Callable[[Pretend], Assistants]] = {"vapi": lambda pretend: pretend.vapi()}
STRANGERS: dict[str, Callable[[Pretend], Assistants]] = {"vapi": lambda pretend: pretend.vapi("wrong")}
ASSISTANT = defaults.ASSISTANT_ID
NOWHERE = str(uuid.UUID(int=7))
SENTENCE = "This number is not available at the moment."


@pytest.fixture
def pretend() -> Pretend:
    return Pretend()


@pytest.fixture(params=PLATFORMS)
def platform(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def assistants(platform: str, pretend: Pretend) -> Assistants:
    return PLATFORMS[platform](pretend)


def buy(pretend: Pretend) -> str:
    telephony = pretend.twilio()
    number = telephony.search(NumberWish("US"), 1, pretend.deadline)[0].number
    telephony.buy(number, TAG, pretend.deadline)
    return number


@pytest.fixture
def number(pretend: Pretend) -> str:
    return buy(pretend)


def test_an_imported_number_is_found_by_number_by_id_and_in_the_list(
    assistants: Assistants, pretend: Pretend, number: str
) -> None:
    entry = assistants.import_number(number, TAG, pretend.deadline)

    assert (entry.number, entry.tag, entry.account_sid) == (number, TAG, defaults.ACCOUNT_SID)
    assert entry.answering == Answering(None)
    assert assistants.find(number, pretend.deadline) == [entry]
    assert assistants.get(entry.id, pretend.deadline) == entry
    assert assistants.list_all(pretend.deadline) == [entry]


def test_an_import_sends_the_number_s_calls_to_the_platform(
    assistants: Assistants, pretend: Pretend, number: str
) -> None:
    assistants.import_number(number, TAG, pretend.deadline)

    owned = pretend.twilio().find_by_number(number, pretend.deadline)

    assert owned is not None
    assert assistants.answers_at(owned.voice_url)


def test_a_number_sends_its_calls_nowhere_before_its_import(
    assistants: Assistants, pretend: Pretend, number: str
) -> None:
    owned = pretend.twilio().find_by_number(number, pretend.deadline)

    assert owned is not None
    assert not assistants.answers_at(owned.voice_url)


def test_only_the_exact_number_is_found(assistants: Assistants, pretend: Pretend, number: str) -> None:
    assistants.import_number(number, TAG, pretend.deadline)

    assert assistants.find(number[:-1], pretend.deadline) == []
    assert assistants.find("+", pretend.deadline) == []
    assert assistants.find(TAG, pretend.deadline) == []


@pytest.mark.parametrize("policy", ["refuse", "conflict", "other_org"])
def test_a_second_import_says_that_it_exists(
    policy: str, assistants: Assistants, pretend: Pretend, number: str
) -> None:
    pretend.world.set_policies({"import_twice": policy})
    entry = assistants.import_number(number, TAG, pretend.deadline)

    with pytest.raises(Refused) as caught:
        assistants.import_number(number, TAG, pretend.deadline)

    assert caught.value.kind == "exists"
    assert assistants.find(number, pretend.deadline) == [entry]


def test_where_a_second_import_is_allowed_both_entries_are_found(
    assistants: Assistants, pretend: Pretend, number: str
) -> None:
    pretend.world.set_policies({"import_twice": "allow"})
    entries = [assistants.import_number(number, TAG, pretend.deadline) for _ in range(2)]

    assert {entry.id for entry in assistants.find(number, pretend.deadline)} == {entry.id for entry in entries}


def test_a_number_the_platform_does_not_see_yet_is_told_apart(
    assistants: Assistants, pretend: Pretend, number: str
) -> None:
    pretend.fault("vapi.import", "not_found_yet")

    with pytest.raises(Refused) as caught:
        assistants.import_number(number, TAG, pretend.deadline)

    assert caught.value.kind == "not_found_at_telephony"
    assert assistants.find(number, pretend.deadline) == []


def test_whether_an_assistant_exists(assistants: Assistants, pretend: Pretend) -> None:
    assert assistants.assistant_exists(ASSISTANT, pretend.deadline)
    assert not assistants.assistant_exists(NOWHERE, pretend.deadline)
    assert not assistants.assistant_exists("front-desk", pretend.deadline)


ANSWERINGS = {
    "an assistant": Answering(ASSISTANT),
    "an assistant and a server": Answering(ASSISTANT, "https://app.example.com/vapi/acme"),
    "a sentence instead": Answering(ASSISTANT, "https://app.example.com/vapi/acme", SENTENCE),
    "nobody": Answering(None),
}


@pytest.mark.parametrize("before", ANSWERINGS.values(), ids=ANSWERINGS)
@pytest.mark.parametrize("after", ANSWERINGS.values(), ids=ANSWERINGS)
def test_assigning_sets_all_that_it_names_whatever_was_set_before_and_is_safe_to_repeat(
    before: Answering, after: Answering, assistants: Assistants, pretend: Pretend, number: str
) -> None:
    entry = assistants.import_number(number, TAG, pretend.deadline)
    assistants.assign(entry.id, before, pretend.deadline)
    expected = Answering(after.assistant_id or before.assistant_id, after.server_url or before.server_url, after.says)

    for _ in range(2):
        assert assistants.assign(entry.id, after, pretend.deadline).answering == expected
    (found,) = assistants.find(number, pretend.deadline)
    assert found.answering == expected


def test_a_new_name_changes_nothing_else_and_is_safe_to_repeat(
    assistants: Assistants, pretend: Pretend, number: str
) -> None:
    entry = assistants.import_number(number, TAG, pretend.deadline)
    set_now = assistants.assign(entry.id, Answering(ASSISTANT, "https://x.example", SENTENCE), pretend.deadline)

    for _ in range(2):
        renamed = assistants.rename(entry.id, "rf:test:0123456789abcdef:2", pretend.deadline)

        assert (renamed.tag, renamed.answering) == ("rf:test:0123456789abcdef:2", set_now.answering)
        assert assistants.get(entry.id, pretend.deadline) == renamed


def test_a_removal_is_for_good_and_safe_to_repeat(assistants: Assistants, pretend: Pretend, number: str) -> None:
    entry = assistants.import_number(number, TAG, pretend.deadline)

    assert assistants.remove(entry.id, pretend.deadline) is True
    assert assistants.remove(entry.id, pretend.deadline) is False
    assert assistants.get(entry.id, pretend.deadline) is None
    assert assistants.find(number, pretend.deadline) == []


def test_lists_longer_than_a_page_are_whole(assistants: Assistants, pretend: Pretend) -> None:
    for placed in pretend.world.place_numbers({"friendly_name": TAG, "count": 260}):
        assistants.import_number(placed["phone_number"], TAG, pretend.deadline)

    assert len({entry.id for entry in assistants.list_all(pretend.deadline)}) == 260


OPERATIONS: dict[str, Callable[[Assistants, Pretend], Any]] = {
    "check_account": lambda assistants, pretend: assistants.check_account(pretend.deadline),
    "assistant_exists": lambda assistants, pretend: assistants.assistant_exists(ASSISTANT, pretend.deadline),
    "find": lambda assistants, pretend: assistants.find("+14155550123", pretend.deadline),
    "get": lambda assistants, pretend: assistants.get(NOWHERE, pretend.deadline),
    "list_all": lambda assistants, pretend: assistants.list_all(pretend.deadline),
    "import_number": lambda assistants, pretend: assistants.import_number(buy(pretend), TAG, pretend.deadline),
    "rename": lambda assistants, pretend: assistants.rename(NOWHERE, TAG, pretend.deadline),
    "assign": lambda assistants, pretend: assistants.assign(NOWHERE, Answering(ASSISTANT), pretend.deadline),
    "remove": lambda assistants, pretend: assistants.remove(NOWHERE, pretend.deadline),
}
WRITES = ("import_number", "assign", "rename", "remove")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_wrong_credentials_concern_every_operation(operation: str, platform: str, pretend: Pretend) -> None:
    stranger = STRANGERS[platform](pretend)

    with pytest.raises(Refused) as caught:
        OPERATIONS[operation](stranger, pretend)

    assert caught.value.kind == "credentials"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_too_many_requests_say_when_to_come_back(operation: str, assistants: Assistants, pretend: Pretend) -> None:
    pretend.fault("vapi.*", "rate_limit", retry_after=7, times=None)

    with pytest.raises(TryLater) as caught:
        OPERATIONS[operation](assistants, pretend)

    assert (caught.value.rate_limited, caught.value.retry_after_seconds) == (True, 7.0)


LOST = ("lost_before", "lost_after", "error_before", "error_after", "truncated", "html", "empty", "hang", "trickle")


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_without_a_clear_answer_a_write_is_unclear_and_a_read_is_for_later(
    operation: str, kind: str, assistants: Assistants, pretend: Pretend
) -> None:
    pretend.fault("vapi.*", kind, times=None, **({"seconds": 60} if kind in ("hang", "trickle") else {}))

    with pytest.raises(ProviderError) as caught:
        OPERATIONS[operation](assistants, pretend)

    assert said_of(caught.value) == (("Unclear" if operation in WRITES else "TryLater"), None)


AFTER = {"lost_after": True, "error_after": True, "hang": True, "lost_before": False, "error_before": False}


@pytest.mark.parametrize("kind", AFTER)
def test_after_an_unclear_import_a_look_by_number_tells(
    kind: str, assistants: Assistants, pretend: Pretend, number: str
) -> None:
    pretend.fault("vapi.import", kind)

    with pytest.raises(Unclear):
        assistants.import_number(number, TAG, pretend.deadline)

    assert bool(assistants.find(number, pretend.deadline)) is AFTER[kind]
    assert pretend.world.calls()["vapi.import"] == 1


def test_an_entry_that_is_gone_cannot_be_assigned(assistants: Assistants, pretend: Pretend) -> None:
    with pytest.raises(Refused) as caught:
        assistants.assign(NOWHERE, Answering(ASSISTANT), pretend.deadline)

    assert caught.value.status == 404
