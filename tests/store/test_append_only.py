"""What happened stays written: no statement of the program changes or deletes a row of a record."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.domain.model import Hold
from gateway.store.database import Row
from tests.stories.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
RECORDS = ("journal", "attempts", "attempt_outcomes", "ledger")
SOURCES = sorted((ROOT / "gateway").rglob("*.py"))
MIGRATIONS = sorted((ROOT / "migrations").glob("*.sql"))
TABLE = rf"\"?(?P<table>{'|'.join(RECORDS)})\"?\b"
CHANGES = (
    rf"\bUPDATE\s+(OR\s+\w+\s+)?{TABLE}",
    rf"\bDELETE\s+FROM\s+{TABLE}",
    rf"\bTRUNCATE\s+(TABLE\s+)?{TABLE}",
    rf"\bDROP\s+TABLE\s+(IF\s+EXISTS\s+)?{TABLE}",
    rf"\bREPLACE\s+INTO\s+{TABLE}",
    rf"\bINSERT\s+OR\s+\w+\s+INTO\s+{TABLE}",
    rf"\bINSERT\s+INTO\s+{TABLE}(?:(?!INSERT\s+INTO).)*\bDO\s+UPDATE\b",
)


def changes(sql: str) -> list[str]:
    """The records that this text would change rows of."""
    return [found["table"] for pattern in CHANGES for found in re.finditer(pattern, sql, re.IGNORECASE | re.DOTALL)]


def texts(file: Path) -> Iterator[tuple[int, str]]:
    """Every text in a source, the fixed parts of an f-string as one."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else " ? " for part in node.values)
            yield node.lineno, "".join(map(str, parts))


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE journal SET name = :name",
        "update   attempts\n set fence = 1",
        "DELETE FROM attempt_outcomes WHERE id = 1",
        'DELETE FROM "ledger"',
        "INSERT OR REPLACE INTO journal (id) VALUES (1)",
        "INSERT INTO ledger (id) VALUES (1)\n ON CONFLICT (id) DO UPDATE SET id = 2",
        "DROP TABLE IF EXISTS journal",
    ],
)
def test_a_statement_that_changes_a_record_would_be_found(sql: str) -> None:
    assert changes(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO journal (id) VALUES (1)",
        "SELECT * FROM attempts WHERE id = 1",
        "UPDATE intents SET status = 'refused'",
        "INSERT INTO ledger (id) VALUES (1); INSERT INTO x (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET y = 1",
        "DELETE FROM journal_of_somebody_else",
    ],
)
def test_a_statement_that_adds_reads_or_changes_something_else_is_not_accused(sql: str) -> None:
    assert not changes(sql)


def test_no_statement_of_the_program_changes_a_record() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line} changes {', '.join(changed)}"
        for file in SOURCES
        for line, text in texts(file)
        if (changed := changes(text))
    ]

    assert not found, "\n".join(found)


@pytest.mark.parametrize("file", MIGRATIONS, ids=lambda file: file.stem)
def test_no_migration_changes_a_record(file: Path) -> None:
    assert changes(file.read_text(encoding="utf-8")) == []


def test_a_whole_life_adds_to_the_records_and_changes_no_row(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    seen = [rows(sandbox)]
    sandbox.fault("twilio.buy", "lost_after", times=1)
    sandbox.fault("vapi.import", "error_after", times=1)

    sandbox.deliver("checkout.completed")
    for _ in range(12):
        sandbox.turn()
        seen.append(rows(sandbox))
        sandbox.clock.at_ms = max(sandbox.clock.at_ms, sandbox.next_due_ms() or 0)
    sandbox.operate("redo")
    sandbox.operate("set", {"area_code": "415"})
    sandbox.settle(3600)
    seen.append(rows(sandbox))
    sandbox.operate("hold", Hold.RELEASE)
    sandbox.wait(days=1)
    sandbox.reconcile()
    seen.append(rows(sandbox))
    state = sandbox.export()["state"]
    sandbox.close()

    assert state == "released"
    for before, after in pairwise(seen):
        for table in RECORDS:
            assert after[table][: len(before[table])] == before[table], table
    assert all(len(seen[-1][table]) > len(seen[0][table]) for table in RECORDS)


def rows(sandbox: Sandbox) -> dict[str, list[Row]]:
    with sandbox.database.read() as tx:
        return {table: tx.all(f"SELECT * FROM {table} ORDER BY id") for table in RECORDS}
