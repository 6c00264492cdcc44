"""What only ever grows: the journal, the ledger and the messages out."""

from __future__ import annotations

import json
from dataclasses import replace

from gateway.domain.model import Tenant
from gateway.store import journal, ledger, outbox
from gateway.store.database import Transaction
from tests.store.conftest import NOW_MS

# --- journal ---------------------------------------------------------------------------------------------------------


def test_a_line_comes_back_as_it_was_written(tx: Transaction, acme: Tenant) -> None:
    journal.write(
        tx, acme.id, NOW_MS, "operator", "set", {"options": {"area_code": "415"}, "n": 1}, actor="ann", inbox_id=7
    )

    (line,) = journal.of_tenant(tx, acme.id)
    assert line == {
        "id": line["id"], "tenant_id": acme.id, "at_ms": NOW_MS, "kind": "operator", "name": "set",
        "detail": {"options": {"area_code": "415"}, "n": 1}, "actor": "ann", "inbox_id": 7,
    }  # fmt: skip


def test_a_line_without_detail_or_tenant_is_a_line(tx: Transaction) -> None:
    journal.write(tx, None, NOW_MS, "note", "started")

    (line,) = journal.after(tx, 0)
    assert (line["tenant_id"], line["detail"], line["actor"], line["inbox_id"]) == (None, {}, None, None)


def test_the_newest_lines_of_a_tenant_are_given_oldest_first(tx: Transaction, acme: Tenant, beta: Tenant) -> None:
    for count in range(4):
        journal.write(tx, acme.id, NOW_MS - count, "note", f"line {count}")
        journal.write(tx, beta.id, NOW_MS, "note", "another's")

    assert [line["name"] for line in journal.of_tenant(tx, acme.id, limit=3)] == ["line 1", "line 2", "line 3"]


def test_what_came_after_a_line_is_given_oldest_first_of_all_tenants(
    tx: Transaction, acme: Tenant, beta: Tenant
) -> None:
    for name, tenant in (("first", acme), ("second", beta), ("third", acme), ("fourth", beta)):
        journal.write(tx, tenant.id, NOW_MS, "note", name)
    (first, *_) = journal.after(tx, 0)

    assert [line["name"] for line in journal.after(tx, first["id"], limit=2)] == ["second", "third"]


def test_a_lifted_brake_lets_its_own_tenant_through_for_a_while(tx: Transaction, acme: Tenant, beta: Tenant) -> None:
    journal.write(tx, acme.id, NOW_MS, "operator", journal.BRAKE_LIFTED)

    assert journal.brake_was_lifted(tx, acme.id, NOW_MS - 1)
    assert not journal.brake_was_lifted(tx, acme.id, NOW_MS)
    assert not journal.brake_was_lifted(tx, beta.id, NOW_MS - 1)


# --- ledger ----------------------------------------------------------------------------------------------------------


def post(tx: Transaction, tenant: Tenant, thing: str, change: str, ref: str) -> None:
    ledger.write(tx, tenant, thing, change, "bought", "twilio", ref, "+14155550100", NOW_MS)


def test_a_row_of_the_ledger_says_whose_what_and_how(tx: Transaction, acme: Tenant) -> None:
    ledger.write(tx, replace(acme, generation=2), "entry", "lost", "removed", "vapi", "e1", "+14155550100", NOW_MS)

    (row,) = ledger.of_tenant(tx, acme.id)
    assert {**row, "id": 0} == {
        "id": 0, "tenant_id": acme.id, "generation": 2, "thing": "entry", "change": "lost", "how": "removed",
        "provider": "vapi", "ref": "e1", "number": "+14155550100", "at_ms": NOW_MS,
    }  # fmt: skip


def test_what_was_gained_and_not_lost_since_is_ours(tx: Transaction, acme: Tenant, beta: Tenant) -> None:
    post(tx, acme, "number", "gained", "PN1")
    post(tx, acme, "number", "lost", "PN1")
    post(tx, acme, "number", "gained", "PN2")
    post(tx, beta, "number", "lost", "PN9")
    post(tx, beta, "number", "gained", "PN1")
    post(tx, beta, "entry", "gained", "e1")

    assert ledger.refs(tx, "number") == {"PN2": acme.id, "PN1": beta.id}
    assert ledger.refs(tx, "entry") == {"e1": beta.id}


# --- outbox ----------------------------------------------------------------------------------------------------------


def test_the_same_message_twice_is_one_message(tx: Transaction, acme: Tenant) -> None:
    outbox.put(tx, "msg_1", acme.id, "tenant.active", {"state": "active"}, NOW_MS)
    outbox.put(tx, "msg_1", acme.id, "tenant.active", {"state": "another"}, NOW_MS + 1)

    (message,) = outbox.unsent(tx, 10)
    assert json.loads(message["body"]) == {"state": "active"}
    assert (message["message_id"], message["created_at_ms"], message["sent_at_ms"]) == ("msg_1", NOW_MS, None)


def test_messages_wait_oldest_first_until_they_are_sent(tx: Transaction, acme: Tenant, beta: Tenant) -> None:
    for count, tenant in enumerate((acme, beta, acme)):
        outbox.put(tx, f"msg_{count}", tenant.id, "tenant.active", {}, NOW_MS)
    tx.do("UPDATE outbox SET sent_at_ms = 1 WHERE message_id = 'msg_0'")

    assert [message["message_id"] for message in outbox.unsent(tx, 1)] == ["msg_1"]
    assert outbox.count_of_tenant(tx, acme.id) == 2
