"""A roster: a CSV file that says which tenant has which number already. Text becomes rows; nobody is asked.

Spreadsheets write such files in many ways, so much is tolerated: a byte order mark, CRLF, semicolons or tabs, columns
in any order, numbers with spaces and brackets. What could mean two things is a problem, told with its line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.domain.keys import is_legal
from gateway.errors import WrongUse

MOST_BYTES = 8 * 1024 * 1024
MOST_ROWS = 20_000
MOST_CHARACTERS = 200
DELIMITERS = (",", ";", "\t")

# Column -> what else people call it. Case, spaces, hyphens and underscores do not count.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "key": ("key", "tenantkey", "tenant", "tenantid"),
    "number": ("number", "phonenumber", "phone"),
    "sid": ("sid", "twiliosid", "pn", "pnsid", "numbersid"),
    "vapi_id": ("vapiid", "vapi", "vapiphonenumberid"),
    "assistant": ("assistant", "assistantid", "vapiassistantid"),
}
BY_NAME = {name: column for column, names in COLUMNS.items() for name in names}

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
SID = re.compile(r"PN[0-9a-f]{32}")
VENDOR_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# 1.41556E+10 is what a spreadsheet makes of a number.
ROUNDED = re.compile(r"[0-9]+([.,][0-9]+)?[eE]\+?[0-9]+")
PUNCTUATION = re.compile(r"[\s().\-\u00a0\u2010-\u2013/]")


@dataclass(frozen=True, slots=True)
class Row:
    """One line: which tenant, and which number by its SID, by itself, or both. An empty column is None."""

    line: int
    key: str
    number: str | None = None
    sid: str | None = None
    vapi_id: str | None = None
    assistant_id: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one line, and what to do."""

    line: int
    says: str


@dataclass(frozen=True, slots=True)
class Roster:
    """What a file says. A line with a problem is no row."""

    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]


def read(content: bytes) -> Roster:
    """Raises WrongUse when the file as a whole cannot be read; what is wrong with one line is a problem of it."""
    records = records_of(text_of(content))
    columns = columns_of(*next(records, (1, [])))
    rows: list[Row] = []
    problems: list[Problem] = []
    for line, cells in records:
        if len(rows) + len(problems) >= MOST_ROWS:
            raise WrongUse(f"The file has more than {MOST_ROWS:,} rows. Split it.")
        says = list(complaints(columns, cells))
        problems += [Problem(line, each) for each in says]
        if not says:
            rows.append(row_of(line, named(columns, cells)))
    doubles = list(doubled(rows))
    bad = {problem.line for problem in doubles}
    kept = tuple(row for row in rows if row.line not in bad)
    return Roster(kept, tuple(sorted([*problems, *doubles], key=lambda problem: problem.line)))


def text_of(content: bytes) -> str:
    if len(content) > MOST_BYTES:
        raise WrongUse(f"The file is larger than {MOST_BYTES // 1024 // 1024} MiB. Split it.")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise WrongUse("The file is UTF-16. Save it as UTF-8 (in Excel: CSV UTF-8).")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise WrongUse(f"Line {line} is not UTF-8. Save the file as UTF-8 (in Excel: CSV UTF-8).") from error


def records_of(text: str) -> Iterator[tuple[int, list[str]]]:
    """(the line it begins on, its cells) of each record that says anything. Raises WrongUse."""
    lines = io.StringIO(text, newline="")
    first = next((line for line in lines if line.strip()), "")
    line = 1
    if first.lower().startswith("sep="):
        # Excel's own line about the delimiter.
        delimiter, line = first[4:5], text[: text.index(first)].count("\n") + 2
    else:
        delimiter = max(DELIMITERS, key=first.count)
        lines.seek(0)
    if delimiter not in DELIMITERS:
        raise WrongUse("The columns must be parted by commas, semicolons or tabs.")
    reader, skipped = csv.reader(lines, delimiter=delimiter, strict=True), line - 1
    try:
        for cells in reader:
            tidy = [cell.replace("\u00a0", " ").strip() for cell in cells]
            if any(tidy):
                yield line, tidy
            line = skipped + reader.line_num + 1
    except csv.Error as error:
        raise WrongUse(f"From line {line} on the file is no CSV: {error}. Is a quotation mark missing?") from error


def columns_of(line: int, header: list[str]) -> list[str]:
    """Each column's own name, in the file's order. Raises WrongUse."""
    found: list[str] = []
    for title in header:
        column = BY_NAME.get(re.sub(r"[\s_-]", "", title).lower())
        if column is None:
            raise WrongUse(
                f"Line {line}: the column {shown(title)} is not known. There are: key, number, sid, vapi_id, "
                "assistant. The first line must name the columns."
            )
        if column in found:
            raise WrongUse(f"Line {line}: two columns are called {column}.")
        found.append(column)
    if "key" not in found or not {"number", "sid"} & set(found):
        raise WrongUse("The file must have the columns key and number (or sid), named in its first line.")
    return found


def named(columns: list[str], cells: list[str]) -> dict[str, str]:
    return {name: cell for name, cell in zip(columns, cells, strict=False) if cell}


def complaints(columns: list[str], cells: list[str]) -> Iterator[str]:
    """Every reason why a line cannot be read, each in a sentence."""
    if any(cells[len(columns) :]):
        yield f"It has {len(cells)} cells, and there are {len(columns)} columns: put text with a comma in quotes."
        return
    said = named(columns, cells)
    unfit = [name for name, cell in said.items() if len(cell) > MOST_CHARACTERS or not cell.isprintable()]
    if unfit:
        yield f"Its {' and '.join(unfit)} is longer than {MOST_CHARACTERS} characters, or holds invisible ones."
        return
    yield from complaints_about_key(said.get("key"))
    yield from complaints_about_number(said)
    for name in ("vapi_id", "assistant"):
        if name in said and not VENDOR_ID.fullmatch(said[name]):
            yield f"Its {name} {shown(said[name])} is not an id of Vapi's."


def complaints_about_key(key: str | None) -> Iterator[str]:
    if key is None:
        yield "It has no key: say whose number it is."
    elif not is_legal(key):
        yield f"{shown(key)} is no legal key: 1 to 64 of A-Z a-z 0-9 . _ -, first a letter or digit."


def complaints_about_number(said: Mapping[str, str]) -> Iterator[str]:
    number, sid = place_of(said)
    if number is None and sid is None:
        yield "It has neither a number nor a SID: say which number is meant."
    if number is not None and ROUNDED.fullmatch(number):
        yield f"{shown(number)} is a rounded number: format that column as text, and write the numbers anew."
    elif number is not None and not E164.fullmatch(tidied(number)):
        yield f"{shown(number)} is no phone number in international form, such as +14155550123."
    if sid is not None and not SID.fullmatch(sid):
        yield f"{shown(sid)} is no SID of a number: PN and 32 of 0-9 a-f."


def place_of(said: Mapping[str, str]) -> tuple[str | None, str | None]:
    """(number, SID), whichever of the two columns holds which."""
    number, sid = said.get("number"), said.get("sid")
    if number is not None and number.startswith("PN") and sid is None:
        return None, number
    if sid is not None and not sid.startswith("PN") and number is None:
        return sid, None
    return number, sid


def tidied(number: str) -> str:
    """Without what people put between the digits. Spreadsheets drop the plus."""
    digits = PUNCTUATION.sub("", number)
    return f"+{digits}" if digits.isascii() and digits.isdigit() else digits


def row_of(line: int, said: Mapping[str, str]) -> Row:
    number, sid = place_of(said)
    return Row(line, said["key"], tidied(number) if number else None, sid, said.get("vapi_id"), said.get("assistant"))


def doubled(rows: list[Row]) -> Iterator[Problem]:
    """Every line that names what another one names too: nobody can say which of them is meant."""
    for name in ("key", "number", "sid", "vapi_id"):
        lines: dict[str, list[int]] = {}
        for row in rows:
            value = getattr(row, name)
            if value is not None:
                lines.setdefault(value, []).append(row.line)
        for value, found in lines.items():
            if len(found) > 1:
                text = f"The {name} {value} stands on lines {', '.join(map(str, found))}. Leave one of them."
                yield from (Problem(line, text) for line in found)


def shown(text: str) -> str:
    """What a file says, short and in quotes, so that no spreadsheet or terminal takes it for an order."""
    printable = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return f"'{printable[:40]}{'…' if len(printable) > 40 else ''}'"
