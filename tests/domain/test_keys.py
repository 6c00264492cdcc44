"""Which keys are legal, and what a tag looks like."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import keys


@pytest.mark.parametrize("key", ["a", "9", "Acme.Co_2-b", "a" * 64, "sub_1PQr", "0"])
def test_letters_digits_and_three_marks_make_a_legal_key(key: str) -> None:
    assert keys.is_legal(key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        " acme",
        "acme ",
        "a" * 65,
        ".acme",
        "-acme",
        "_acme",
        "ac me",
        "acme\n",
        "äcme",
        "acme/1",
        "a:b",
        "a\x00",
        "٣",
    ],
    ids=ascii,
)
def test_anything_else_is_not_a_legal_key(key: str) -> None:
    assert not keys.is_legal(key)


def test_a_tag_holds_environment_hash_and_generation() -> None:
    digest = hashlib.sha256(b"acme").hexdigest()

    assert keys.tag("prod", "acme", 1) == f"rf:prod:{digest[:16]}:1"


def test_keys_that_differ_in_case_have_different_tags() -> None:
    assert keys.tag("prod", "acme", 1) != keys.tag("prod", "Acme", 1)


@given(
    env=st.from_regex(r"[a-z0-9-]{1,16}", fullmatch=True),
    key=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
    generation=st.integers(1, 999),
)
def test_every_tag_fits_every_provider(env: str, key: str, generation: int) -> None:
    tag = keys.tag(env, key, generation)

    assert len(tag) <= 40
    assert re.fullmatch(r"rf:[a-z0-9-]{1,16}:[0-9a-f]{16}:[0-9]+", tag)
    assert keys.is_tag(tag)


def test_a_generation_that_does_not_fit_is_refused_rather_than_cut() -> None:
    with pytest.raises(ValueError, match="no tag fits"):
        keys.tag("a" * 16, "acme", 1000)
