"""Logs: one line for each thing, with no secret, no whole phone number, and nothing that forges another line."""

from __future__ import annotations

import base64
import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import logs
from gateway.settings import load
from tests.conftest import levels_now, put_back_levels

CANARY = "whsec_canary+canary/canary=7f"
TOKEN = "canary0123456789abcdef0123456789"
SID = "AC" + "0" * 32
log = logging.getLogger("gateway.test")


@pytest.fixture
def logging_state() -> Iterator[None]:
    root = logging.getLogger()
    handlers, levels = list(root.handlers), levels_now()
    hooks = threading.excepthook, logs.sys.excepthook, logging.raiseExceptions  # type: ignore[attr-defined]
    yield
    root.handlers[:] = handlers
    put_back_levels(levels)
    threading.excepthook, logs.sys.excepthook, logging.raiseExceptions = hooks  # type: ignore[attr-defined]
    logging.captureWarnings(False)


def start(form: str = "json", **more: str) -> io.StringIO:
    stream = io.StringIO()
    settings = load(
        {
            "GATEWAY_MODE": "sandbox",
            "LOG_FORMAT": form,
            "STRIPE_WEBHOOK_SECRET": CANARY,
            "TWILIO_AUTH_TOKEN": TOKEN,
            **more,
        }
    )
    logs.set_up(settings, stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.usefixtures("logging_state")
class TestOneLine:
    def test_a_finished_thing_is_a_name_and_fields(self) -> None:
        stream = start()

        log.info("attempt.finished", extra={"fields": {"tenant": "acme", "outcome": "adopted", "duration_ms": 412}})

        (line,) = lines(stream)
        assert line["event"] == "attempt.finished"
        assert (line["tenant"], line["outcome"], line["duration_ms"]) == ("acme", "adopted", 412)
        assert (line["level"], line["logger"]) == ("info", "gateway.test")
        assert line["at"].endswith("Z")

    def test_text_for_people_reads_as_pairs(self) -> None:
        stream = start("text")

        logs.log_event(log, "attempt.finished", tenant="acme", code=None, reason="two words", duration_ms=412)

        line = stream.getvalue()
        assert line.endswith('INFO    attempt.finished tenant=acme reason="two words" duration_ms=412\n')

    @pytest.mark.parametrize("form", ["json", "text"])
    @pytest.mark.parametrize("evil", ['a\n{"level":"info"}', "a\r\nb", "a\u2028b", "a\x1b[2Jb", "a\u202eb", "a\x85b"])
    def test_a_tenants_name_cannot_begin_a_new_line(self, form: str, evil: str) -> None:
        stream = start(form)

        logs.log_event(log, evil, tenant=evil, **{evil: 1})

        assert stream.getvalue()[:-1].isprintable()
        assert len(stream.getvalue().splitlines()) == 1

    def test_a_field_cannot_forge_level_time_or_event(self) -> None:
        stream = start()

        log.info("real", extra={"fields": {"event": "forged", "level": "critical", "at": "never"}})

        (line,) = lines(stream)
        assert (line["event"], line["level"]) == ("real", "info")
        assert line["at"] != "never"

    def test_what_cannot_be_formatted_is_still_a_line(self) -> None:
        class Broken:
            def __str__(self) -> str:
                raise RuntimeError(CANARY)

        stream = start()

        logs.log_event(log, "thing", broken=Broken())
        log.info("wrong %s %s", "one")

        assert [line["event"] for line in lines(stream)] == ["log.unformattable", "log.unformattable"]
        assert "canary" not in stream.getvalue()

    def test_huge_values_are_cut_and_odd_ones_survive(self) -> None:
        stream = start()

        logs.log_event(log, "x", big="a" * 10_000, nan=float("nan"), huge=10**400, raw=b"body", deep=[{"a": [1]}])

        (line,) = lines(stream)
        assert len(line["big"]) == logs.MAX_VALUE + 1
        assert line["raw"] == "[4 bytes]"
        assert line["deep"] == [{"a": [1]}]


@pytest.mark.usefixtures("logging_state")
class TestNothingGetsOut:
    @pytest.mark.parametrize("form", ["json", "text"])
    @pytest.mark.parametrize(
        "spelling",
        [
            pytest.param(CANARY, id="as it is"),
            pytest.param(f"before {CANARY} after", id="inside text"),
            pytest.param(CANARY.removeprefix("whsec_"), id="without its prefix"),
            pytest.param(quote(CANARY, safe=""), id="url-encoded"),
            pytest.param(base64.b64encode(CANARY.encode()).decode(), id="base64"),
            pytest.param(TOKEN, id="token"),
            pytest.param("Basic " + base64.b64encode(f"{SID}:{TOKEN}".encode()).decode(), id="basic auth"),
            pytest.param(base64.b64encode(f"A:{TOKEN}\n".encode()).decode(), id="basic auth, other place"),
            pytest.param(base64.b64encode(f"AB:{TOKEN}!".encode()).decode(), id="basic auth, third place"),
        ],
    )
    def test_a_secret_is_hidden_in_every_spelling_and_place(self, form: str, spelling: str) -> None:
        stream = start(form, LOG_LEVEL="DEBUG")

        log.debug("message %s", spelling)
        log.info("a", extra={"fields": {"value": spelling, "deep": {"list": [spelling]}, spelling: 1}})
        try:
            raise ValueError(spelling) from KeyError(spelling)
        except ValueError:
            log.exception("failed")

        written = stream.getvalue()
        assert spelling not in written
        assert "canary" not in written
        assert TOKEN[8:20] not in written
        assert base64.b64encode(TOKEN.encode()).decode()[8:20] not in written

    @given(before=st.text(max_size=6), after=st.text(max_size=6))
    def test_a_secret_between_any_texts_is_hidden_in_base64_too(self, before: str, after: str) -> None:
        redactor = logs.Redactor([TOKEN])
        coded = base64.b64encode((before + TOKEN + after).encode()).decode()

        shown = redactor.text(coded)

        middle = base64.b64decode(shown.split("…")[0][: len(shown.split("…")[0]) // 4 * 4])
        assert TOKEN.encode() not in middle
        assert len(shown) <= len(coded) - len(TOKEN)

    def test_names_that_hold_secrets_are_hidden_whatever_they_hold(self) -> None:
        stream = start()

        logs.log_event(log, "x", Authorization="zzz", twilioAuthToken="zzz", api_key="zzz", password="zzz", body="zzz")

        assert "zzz" not in stream.getvalue()

    def test_an_exception_shows_its_places_and_never_its_local_values(self) -> None:
        stream = start()

        def fail() -> None:
            local_value = "a local value"
            raise ValueError(f"failed with {len(local_value)}")

        try:
            fail()
        except ValueError:
            log.warning("step.failed", exc_info=True)

        (line,) = lines(stream)
        assert line["error"] == "ValueError: failed with 13"
        assert "a local value" not in stream.getvalue()
        assert line["trace"][-1].startswith("tests/test_logs.py:")
        assert line["trace"][-1].endswith(" fail")

    def test_a_thread_that_dies_leaves_a_line_without_secrets(self) -> None:
        stream = start()

        def die() -> None:
            raise RuntimeError(f"token {TOKEN}")

        thread = threading.Thread(target=die, name="steps-1")
        thread.start()
        thread.join()

        (line,) = lines(stream)
        assert (line["event"], line["thread"]) == ("uncaught", "steps-1")
        assert TOKEN not in stream.getvalue()

    def test_other_peoples_debug_lines_stay_silent(self) -> None:
        stream = start(LOG_LEVEL="DEBUG")

        for name in ("urllib3.connectionpool", "twilio.http_client", "stripe", "apscheduler.executors"):
            logging.getLogger(name).info("everything")
        logging.getLogger("apscheduler.scheduler").warning("a tick was skipped")
        logging.getLogger("urllib3").warning("worth knowing")

        assert [line["event"] for line in lines(stream)] == ["worth knowing"]

    def test_a_short_secret_is_hidden_where_it_stands_alone(self) -> None:
        redactor = logs.Redactor(["abc"])

        assert redactor.text("abc") == "…"
        assert redactor.text("abcdef") == "abcdef"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("+14155550123", "+1415***0123"),
        ("call +14155550123 now", "call +1415***0123 now"),
        ("PhoneNumber=%2B14155550123&x=1", "PhoneNumber=+1415***0123&x=1"),
        ("+1 (415) 555-0123", "+1415***0123"),
        ("+4930123456", "+4930***56"),
        ("1415555012", "1415555012"),
        ("2026-11-22T10:00:00+00:00", "2026-11-22T10:00:00+00:00"),
    ],
)
def test_phone_numbers_are_masked(text: str, shown: str) -> None:
    assert logs.mask_numbers(text) == shown


@given(st.integers(1, 9), st.text("0123456789", min_size=6, max_size=14))
def test_no_whole_number_survives(first: int, rest: str) -> None:
    number = f"+{first}{rest}"

    assert number not in logs.mask_numbers(f"a {number} b")
