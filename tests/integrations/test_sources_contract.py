"""What every source must do. A new one joins `SENDERS` and drops its recordings in `tests/deliveries/`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.model import Delivery, News
from gateway.errors import BodyUnreadable, SettingsError, SignatureInvalid
from tests.integrations.senders import NOW_MS, SENDERS, STANDARD, STRIPE, Sender, read_recorded

RECORDED = [(sender, path) for sender in SENDERS for path in sender.recorded()]

any_sender = pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)


def with_header(delivery: Delivery, name: str, value: str) -> Delivery:
    return replace(delivery, headers={**delivery.headers, name: value})


def refusal(sender: Sender, delivery: Delivery, now_ms: int = NOW_MS) -> str:
    with pytest.raises(SignatureInvalid) as caught:
        sender.source.verify(delivery, now_ms)
    return caught.value.code


# --- recorded deliveries ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sender", "path"), RECORDED, ids=lambda part: getattr(part, "stem", None))
def test_a_recorded_delivery_is_genuine_and_readable(sender: Sender, path: Path) -> None:
    delivery = read_recorded(path)

    sender.source.verify(delivery, delivery.received_at_ms)
    (event,) = sender.source.read(delivery)

    assert event.source == sender.name
    assert event.body == delivery.body
    assert 0 < event.occurred_at_ms <= delivery.received_at_ms
    news = sender.source.interpret(event)
    assert news is None or (news.event_id, news.type, news.source) == (event.event_id, event.type, sender.name)


@any_sender
def test_every_source_has_three_recordings(sender: Sender) -> None:
    assert len(sender.recorded()) >= 3


# --- who sent it -----------------------------------------------------------------------------------------------------


@any_sender
def test_what_the_official_package_signs_is_accepted(sender: Sender) -> None:
    sender.source.verify(sender.delivery(), NOW_MS)


@any_sender
def test_one_flipped_bit_in_the_body_is_refused(sender: Sender) -> None:
    delivery = sender.delivery()
    for at in range(0, len(delivery.body), 7):
        body = bytearray(delivery.body)
        body[at] ^= 1

        assert refusal(sender, replace(delivery, body=bytes(body))) == "signature_invalid"


@any_sender
def test_a_changed_character_anywhere_in_the_signature_is_refused(sender: Sender) -> None:
    delivery = sender.delivery()
    header = delivery.headers[sender.signature_header]
    for at in range(header.index("v1") + 3, len(header) - 1):
        other = "0" if header[at] != "0" else "1"
        changed = header[:at] + other + header[at + 1 :]

        assert refusal(sender, with_header(delivery, sender.signature_header, changed)) == "signature_invalid"


@any_sender
def test_a_changed_time_is_refused(sender: Sender) -> None:
    delivery = sender.delivery()
    second = str(NOW_MS // 1000)
    changed = delivery.headers[sender.time_header].replace(second, str(NOW_MS // 1000 - 1))

    assert refusal(sender, with_header(delivery, sender.time_header, changed)) == "signature_invalid"


@any_sender
@pytest.mark.parametrize(
    "value",
    ["", " ", ",", "v1", "v1,", "v1=", "=", "t=,v1=", "é" * 10, "v1,\N{SNOWMAN}", "\x00", "v1," * 3000, "a" * 10_240],
    ids=lambda value: repr(value[:8]),
)
def test_a_signature_header_of_nonsense_is_refused(sender: Sender, value: str) -> None:
    code = refusal(sender, with_header(sender.delivery(), sender.signature_header, value))

    assert code == ("signature_missing" if value == "" else "signature_invalid")


@any_sender
def test_a_missing_signature_is_named_as_such(sender: Sender) -> None:
    delivery = sender.delivery()
    headers = {name: value for name, value in delivery.headers.items() if name != sender.signature_header}

    assert refusal(sender, replace(delivery, headers=headers)) == "signature_missing"


@any_sender
def test_another_secret_is_refused(sender: Sender) -> None:
    assert refusal(sender, sender.delivery(secret=sender.other_secret)) == "signature_invalid"


@pytest.mark.parametrize(("sender", "forger"), [(STRIPE, STANDARD), (STANDARD, STRIPE)], ids=["stripe", "standard"])
def test_another_sources_delivery_is_refused(sender: Sender, forger: Sender) -> None:
    assert refusal(sender, forger.delivery()) == "signature_missing"


@any_sender
def test_a_body_parsed_and_written_again_is_refused(sender: Sender) -> None:
    delivery = sender.delivery()
    rewritten = json.dumps(json.loads(delivery.body)).encode()

    assert refusal(sender, replace(delivery, body=rewritten)) == "signature_invalid"


@any_sender
def test_a_byte_order_mark_before_a_signed_body_is_refused(sender: Sender) -> None:
    delivery = sender.delivery()

    assert refusal(sender, replace(delivery, body=b"\xef\xbb\xbf" + delivery.body)) == "signature_invalid"


# --- when it was sent ------------------------------------------------------------------------------------------------


@any_sender
@pytest.mark.parametrize("seconds", [-300, -299, 0, 1, 299, 300])
def test_a_signature_within_five_minutes_either_way_is_accepted(sender: Sender, seconds: int) -> None:
    sender.source.verify(sender.delivery(at_ms=NOW_MS + seconds * 1000), NOW_MS)


@any_sender
@pytest.mark.parametrize("seconds", [-31_536_000, -301, 301, 31_536_000])
def test_a_genuine_signature_from_farther_away_is_stale_and_says_by_how_much(sender: Sender, seconds: int) -> None:
    with pytest.raises(SignatureInvalid) as caught:
        sender.source.verify(sender.delivery(at_ms=NOW_MS + seconds * 1000), NOW_MS)

    assert caught.value.code == "timestamp_out_of_tolerance"
    assert caught.value.skew_ms == seconds * 1000


@any_sender
@pytest.mark.parametrize("time", ["", "-1", "+1795341400", "1e400", "1795341400.0", "NaN", "٣", " 1", "9" * 400])
def test_a_time_that_is_not_plain_digits_is_refused(sender: Sender, time: str) -> None:
    delivery = sender.delivery()
    changed = delivery.headers[sender.time_header].replace(str(NOW_MS // 1000), time)

    assert refusal(sender, with_header(delivery, sender.time_header, changed)) in (
        "signature_invalid",
        "signature_missing",
    )


# --- secrets ---------------------------------------------------------------------------------------------------------


@any_sender
def test_while_a_secret_is_rolled_both_are_good_and_afterwards_the_old_one_is_not(sender: Sender) -> None:
    old, new = sender.delivery(), sender.delivery(secret=sender.other_secret)
    during, afterwards = sender.make([sender.other_secret, sender.secret]), sender.make([sender.other_secret])

    during.verify(old, NOW_MS)
    during.verify(new, NOW_MS)
    afterwards.verify(new, NOW_MS)
    with pytest.raises(SignatureInvalid):
        afterwards.verify(old, NOW_MS)


@any_sender
def test_one_of_several_signatures_is_enough(sender: Sender) -> None:
    body = sender.body()
    name = sender.signature_header
    headers = sender.headers(body)
    forged = sender.headers(body, secret=sender.other_secret)[name]
    # Stripe's header repeats `v1`, Standard Webhooks' is a list apart by blanks.
    joined = f"{forged},{headers[name].partition(',')[2]}" if sender is STRIPE else f"{forged} {headers[name]}"

    sender.source.verify(Delivery(sender.name, {**headers, name: joined}, body, NOW_MS), NOW_MS)


@any_sender
@pytest.mark.parametrize("secrets", [[], [""], ["whsec_x", " "]], ids=["none", "empty", "blank"])
def test_an_empty_secret_refuses_to_start(sender: Sender, secrets: list[str]) -> None:
    with pytest.raises(SettingsError):
        sender.make(secrets)


# --- what it holds ---------------------------------------------------------------------------------------------------

UNREADABLE = {
    "empty": b"",
    "not JSON": b"hello",
    "two values": b"{} {}",
    "an array": b"[]",
    "a number": b"1",
    "null": b"null",
    "no id, no type": b"{}",
    "byte order mark": b"\xef\xbb\xbf{}",
    "invalid UTF-8": b'{"type":"\xff"}',
    "UTF-16": '{"type":"a"}'.encode("utf-16"),
    "NaN": b'{"type":NaN}',
    "100 000 levels": b"[" * 100_000,
    "a raw NUL": b'{"type":"a\0b"}',
}
SPOILED = {
    "a NUL": r'"\u0000"',
    "a NUL in a key": r'{"\u0000": 1}',
    "a lone surrogate": r'"\ud800"',
    "a reversed pair": r'"\udc00\ud800"',
    "65 bits": "18446744073709551616",
    "a negative of 65 bits": "-9223372036854775809",
    "3 000 digits": "9" * 3000,
    "1e400": "1e400",
    "101 levels": "[" * 101 + "]" * 101,
}


@any_sender
@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_body_that_is_no_event_is_unreadable(sender: Sender, body: bytes) -> None:
    with pytest.raises(BodyUnreadable):
        sender.source.read(sender.delivery(body))


@any_sender
@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED.keys())
def test_a_body_that_not_every_database_can_hold_is_unreadable(sender: Sender, spoil: str) -> None:
    body = sender.body().replace(b'"Zo\xc3\xab & S\xc3\xb6hne"', spoil.encode())
    assert body != sender.body()

    with pytest.raises(BodyUnreadable):
        sender.source.read(sender.delivery(body))


@any_sender
def test_text_that_only_looks_like_a_nul_is_readable(sender: Sender) -> None:
    body = sender.body().replace("Zoë".encode(), rb"\\u0000")

    (event,) = sender.source.read(sender.delivery(body))

    assert event.body == body


@any_sender
@pytest.mark.parametrize("depth", [0, 50, 90])
def test_a_body_of_reasonable_depth_is_readable(sender: Sender, depth: int) -> None:
    body = sender.body().replace(b'"Zo\xc3\xab & S\xc3\xb6hne"', b"[" * depth + b"1" + b"]" * depth)

    assert len(sender.source.read(sender.delivery(body))) == 1


@any_sender
def test_of_doubled_keys_the_last_one_counts(sender: Sender) -> None:
    body = sender.body().replace(b'"type": ', b'"type": "x", "type": ')

    (event,) = sender.source.read(sender.delivery(body))

    assert event.type == json.loads(sender.body())["type"]


@any_sender
@pytest.mark.parametrize("event_id", ["", "a" * 256, "evt\n1", "evt\x7f", "évt"], ids=ascii)
def test_an_id_that_is_not_short_visible_ascii_is_unreadable(sender: Sender, event_id: str) -> None:
    headers = {**sender.delivery().headers, "webhook-id": event_id}

    with pytest.raises(BodyUnreadable):
        sender.source.read(Delivery(sender.name, headers, sender.body(event_id), NOW_MS))


@any_sender
@given(
    body=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["id", "type", "created", "data", "object"]), inner)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_no_body_whatever_raises_anything_else(sender: Sender, body: bytes) -> None:
    try:
        events = sender.source.read(Delivery(sender.name, {"webhook-id": "msg_1"}, body, NOW_MS))
    except BodyUnreadable:
        return

    for event in events:
        sender.source.interpret(event)


# --- what identifies it ----------------------------------------------------------------------------------------------


@any_sender
def test_the_same_event_written_differently_says_the_same(sender: Sender) -> None:
    value = sender.event("evt_1")
    plain = json.dumps(value, sort_keys=True).encode()
    (first,) = sender.source.read(sender.delivery())

    (second,) = sender.source.read(sender.delivery(plain))

    assert (first.event_id, first.says_hash) == (second.event_id, second.says_hash)


@any_sender
@pytest.mark.parametrize("part", ["type", "data"])
def test_the_same_id_with_another_meaning_says_something_else(sender: Sender, part: str) -> None:
    value = sender.event("evt_1")
    if part == "type":
        value["type"] = "other"
    else:
        value["data"]["object" if "object" in value["data"] else "metadata"]["status"] = "paused"
    (first,) = sender.source.read(sender.delivery())

    (second,) = sender.source.read(sender.delivery(json.dumps(value).encode()))

    assert first.event_id == second.event_id
    assert first.says_hash != second.says_hash


@any_sender
def test_neither_signatures_nor_credentials_are_kept(sender: Sender) -> None:
    delivery = with_header(with_header(sender.delivery(), "authorization", "Bearer x"), "user-agent", "Sender/1")

    (event,) = sender.source.read(delivery)

    assert event.headers == {"content-type": "application/json; charset=utf-8", "user-agent": "Sender/1"}


@any_sender
def test_what_a_type_says_that_we_do_not_know_is_nothing(sender: Sender) -> None:
    value = sender.event("evt_1") | {"type": "something.new"}
    (event,) = sender.source.read(sender.delivery(json.dumps(value).encode()))

    assert sender.source.interpret(event) is None


@any_sender
def test_options_are_the_keys_of_a_signup_and_nothing_else(sender: Sender) -> None:
    value = sender.event("evt_1")
    holder = value["data"].get("object", value["data"])
    holder["metadata"] = {"tenant_id": "acme", "area_code": 415, "plan": "pro", "locality": "", "choose": None}
    (event,) = sender.source.read(sender.delivery(json.dumps(value).encode()))

    news = sender.source.interpret(event)

    assert isinstance(news, News)
    assert (news.tenant_key, dict(news.options)) == ("acme", {"area_code": "415"})
