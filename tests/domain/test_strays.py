"""Whose a number is that no tenant refers to, as far as its tag can tell."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain import keys
from gateway.domain.drift import SeenNumber
from gateway.domain.strays import Found, Namesake, find, unreferenced

ENV = "prod"


def tag(key: str, generation: int) -> str:
    return keys.tag(ENV, key, generation)


def numbers(*tags: str) -> list[SeenNumber]:
    return [SeenNumber(f"PN{count}", f"+1415555010{count}", each) for count, each in enumerate(tags)]


def tenant(key: str = "acme", generation: int = 1, **given: Any) -> Namesake:
    return Namesake(len(key), key, generation, **given)


def found(tenants: list[Namesake], seen: list[SeenNumber], referred_to: frozenset[str] = frozenset()) -> Found:
    return find(tenants, unreferenced(seen, referred_to, ENV), {number.tag for number in seen}, ENV)


def told(result: Found) -> list[tuple[str, int, int]]:
    return [(claim.tenant_key, claim.generation, len(claim.numbers)) for claim in result.claims]


@pytest.mark.parametrize(
    ("who", "tags", "claims"),
    [
        (tenant(), [tag("acme", 1)], [("acme", 1, 1)]),
        (tenant(is_free=False), [tag("acme", 1)], []),
        (tenant(), [tag("acme", 3)], [("acme", 3, 1)]),
        (tenant(is_free=False), [tag("acme", 3)], [("acme", 3, 1)]),
        (tenant(), [tag("acme", 2), tag("acme", 3)], [("acme", 3, 1)]),
        (tenant(), [tag("acme", 3), tag("acme", 3)], [("acme", 3, 2)]),
        (tenant(generation=2), [tag("acme", 1)], [("acme", 1, 1)]),
        (tenant(generation=2, last_gained=1), [tag("acme", 1)], []),
        (tenant(generation=2, is_free=False), [tag("acme", 1)], []),
        (tenant(last_gained=1), [tag("acme", 1)], []),
        (tenant(former_keys=("sub_1",)), [tag("sub_1", 1)], [("sub_1", 1, 1)]),
        (tenant(former_keys=("sub_1",), is_free=False), [tag("sub_1", 1)], []),
        (tenant(former_keys=("sub_1",)), [tag("sub_1", 1), tag("acme", 1)], [("acme", 1, 1)]),
    ],
    ids=[
        "its generation",
        "it has another",
        "a later generation",
        "a later one beats what it believes",
        "the newest",
        "two of one",
        "an earlier one that it never had",
        "an earlier one that it had",
        "an earlier one beside another",
        "one that was released",
        "a former name",
        "a former name beside another",
        "its own name first",
    ],
)
def test_what_a_tenant_takes_over(who: Namesake, tags: list[str], claims: list[tuple[str, int, int]]) -> None:
    assert told(found([who], numbers(*tags))) == claims


def test_with_its_own_number_still_there_a_later_one_is_left_to_people() -> None:
    seen = numbers(tag("acme", 1), tag("acme", 2))

    result = found([tenant(is_free=False)], seen, frozenset({"PN0"}))

    assert (result.claims, result.strays) == ((), {})


def test_a_key_comes_before_a_name_that_somebody_else_may_have_had() -> None:
    both = [tenant("acme", former_keys=("sub_1",)), tenant("sub_1")]

    assert told(found(both, numbers(tag("sub_1", 1)))) == [("sub_1", 1, 1)]
    assert found(both, numbers(tag("sub_1", 1))).claims[0].tenant_id == both[1].tenant_id


def test_what_nobody_is_known_for_is_a_stray_and_foreign_names_are_nothing() -> None:
    seen = numbers(tag("unknown", 2), "front desk", "rf:other:0123456789abcdef:1", "rf:prod:nonsense:1")

    result = found([tenant()], seen)

    assert result.claims == ()
    assert result.strays == {tag("unknown", 2): seen[0].number}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rf:prod:",
        "rf:prod:0123456789abcdef:0",
        "rf:prod:0123456789ABCDEF:1",
        "rf:prod:0123456789abcdef:1 ",
        "rf:prod:0123456789abcdef:-1",
        "RF:prod:0123456789abcdef:1",
    ],
)
def test_only_a_whole_tag_is_read(text: str) -> None:
    assert keys.read_tag(ENV, text) is None


def test_a_tag_is_read_as_it_was_written() -> None:
    assert keys.read_tag(ENV, tag("acme", 12)) == (keys.digest("acme"), 12)
    assert keys.read_tag("pro", tag("acme", 12)) is None
