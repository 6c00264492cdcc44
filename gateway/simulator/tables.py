"""The pretend world's memory: tables of JSON records, kept on disk when asked to.

Every change is one line in a journal, written before the answer leaves, so a killed world goes on from what it had
already said. A snapshot replaces the journal at each start and whenever the journal has grown long. Not for anything
that matters: it is written, but not synced, to disk.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

Record = dict[str, Any]
COMPACT_AFTER_BYTES = 64 * 1024 * 1024


class Index:
    """Records by one of their values, whole or by how it begins; kept by its table."""

    def __init__(self, table: Mapping[str, Record], key_of: Callable[[Record], str]) -> None:
        self._table = table
        self._key_of = key_of
        self._keys: dict[str, dict[str, None]] = {}
        self._values: list[str] = []
        for key, record in table.items():
            self.add(key, record)

    def exact(self, value: str) -> list[Record]:
        return [self._table[key] for key in self._keys.get(value, ())]

    def starting(self, prefix: str) -> list[Record]:
        found = []
        for value in islice(self._values, bisect_left(self._values, prefix), None):
            if not value.startswith(prefix):
                break
            found += self.exact(value)
        return found

    def add(self, key: str, record: Record) -> None:
        value = self._key_of(record)
        if value not in self._keys:
            insort(self._values, value)
        self._keys.setdefault(value, {})[key] = None

    def remove(self, key: str, record: Record) -> None:
        value = self._key_of(record)
        del self._keys[value][key]
        if not self._keys[value]:
            del self._keys[value]
            del self._values[bisect_left(self._values, value)]


class Table(dict[str, Record]):
    """Records by key. Assign a record anew after changing it: one changed in place is neither kept nor found."""

    def __init__(self, name: str, pending: list[str] | None) -> None:
        super().__init__()
        self._name = name
        self._pending = pending
        self._indexes: list[Index] = []

    def index(self, key_of: Callable[[Record], str]) -> Index:
        self._indexes.append(Index(self, key_of))
        return self._indexes[-1]

    def __setitem__(self, key: str, value: Record) -> None:
        old = self.get(key)
        for index in self._indexes:
            if old is not None:
                index.remove(key, old)
            index.add(key, value)
        super().__setitem__(key, value)
        if self._pending is not None:
            self._pending.append(json.dumps([self._name, key, value], separators=(",", ":")))

    def __delitem__(self, key: str) -> None:
        for index in self._indexes:
            index.remove(key, self[key])
        super().__delitem__(key)
        if self._pending is not None:
            self._pending.append(json.dumps([self._name, key, None], separators=(",", ":")))

    def clear(self) -> None:
        """Forget the records, and the indexes too."""
        self._indexes.clear()
        super().clear()

    def load(self, key: str, value: Record | None) -> None:
        """Put or remove a record that is on disk already; before there is any index."""
        if value is None:
            self.pop(key, None)
        else:
            super().__setitem__(key, value)


class Tables:
    """All tables, by name; `commit` writes what changed since the last one."""

    def __init__(self, path: Path | None) -> None:
        """path: the snapshot's file, its journal beside it; None keeps everything in memory only."""
        self._path = path
        self._journal_path = path.with_suffix(".journal") if path else None
        self._pending: list[str] = []
        self._tables: dict[str, Table] = {}
        self._journal = -1
        self._journal_bytes = 0
        if path is not None:
            self._read()
            self._compact()

    def __getitem__(self, name: str) -> Table:
        if name not in self._tables:
            self._tables[name] = Table(name, self._pending if self._path else None)
        return self._tables[name]

    def index(self, name: str, key_of: Callable[[Record], str]) -> Index:
        """The records of a table by a value of theirs."""
        return self[name].index(key_of)

    def commit(self) -> None:
        """Write the changes; with no path, nothing to do."""
        if not self._pending:
            return
        lines = ("\n".join(self._pending) + "\n").encode()
        self._pending.clear()
        os.write(self._journal, lines)
        self._journal_bytes += len(lines)
        if self._journal_bytes > COMPACT_AFTER_BYTES:
            self._compact()

    def clear(self) -> None:
        """Forget everything, on disk too."""
        for table in self._tables.values():
            table.clear()
        self._pending.clear()
        if self._path is not None:
            self._compact()

    def close(self) -> None:
        if self._journal >= 0:
            self.commit()
            os.close(self._journal)
            self._journal = -1

    def _read(self) -> None:
        assert self._path is not None
        assert self._journal_path is not None
        if self._path.exists():
            for name, records in json.loads(self._path.read_bytes()).items():
                for key, value in records.items():
                    self[name].load(key, value)
        if self._journal_path.exists():
            for line in self._journal_path.read_bytes().split(b"\n"):
                try:
                    name, key, value = json.loads(line)
                except ValueError:
                    # The last line of a world that was killed while writing; its request was never answered.
                    continue
                self[name].load(key, value)

    def _compact(self) -> None:
        assert self._path is not None
        assert self._journal_path is not None
        if self._journal >= 0:
            os.close(self._journal)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._tables, separators=(",", ":")))
        os.replace(fresh, self._path)
        # A crash between these two lines replays the journal over the snapshot: every line is a whole record, so
        # the end is the same.
        self._journal = os.open(self._journal_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._journal_bytes = 0
