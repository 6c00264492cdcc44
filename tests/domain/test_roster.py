"""A roster as spreadsheets write it: much is tolerated, and what could mean two things is told with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import roster
from gateway.domain.roster import MOST_BYTES, MOST_CHARACTERS, MOST_ROWS, Problem, Roster, Row, read
from gateway.errors import WrongUse

NUMBER, SID = "+14155550123", "PN" + "0" * 31 + "a"
VAPI_ID = "a1a1a1a1-0000-4000-8000-000000000001"
WHOLE = Row(2, "acme", NUMBER, None, VAPI_ID, "asst_1")


@pytest.mark.parametrize(
    "content",
    [
        f"key,number,vapi_id,assistant\nacme,{NUMBER},{VAPI_ID},asst_1\n",
        f"key,number,vapi_id,assistant\r\nacme,{NUMBER},{VAPI_ID},asst_1\r\n",
        f"key,number,vapi_id,assistant\racme,{NUMBER},{VAPI_ID},asst_1",
        f"\ufeffkey,number,vapi_id,assistant\nacme,{NUMBER},{VAPI_ID},asst_1",
        f"key;number;vapi_id;assistant\nacme;{NUMBER};{VAPI_ID};asst_1",
        f"key\tnumber\tvapi_id\tassistant\nacme\t{NUMBER}\t{VAPI_ID}\tasst_1",
        f"Assistant ID,Vapi-ID,Phone Number,TENANT KEY\nasst_1,{VAPI_ID},{NUMBER},acme",
        f'"key","number","vapi_id","assistant"\n"acme","{NUMBER}","{VAPI_ID}","asst_1"',
        f"key , number , vapi_id , assistant \n acme ,\u00a0{NUMBER} , {VAPI_ID} ,asst_1 ",
        f"key,number,vapi_id,assistant\nacme,+1 (415) 555-0123,{VAPI_ID},asst_1",
        f"key,number,vapi_id,assistant\nacme,14155550123,{VAPI_ID},asst_1",
        f"key,number,vapi_id,assistant\nacme,1.415.555.0123,{VAPI_ID},asst_1",
        f"key,sid,vapi_id,assistant\nacme,{NUMBER},{VAPI_ID},asst_1",
        f"key,number,vapi_id,assistant\nacme,{NUMBER},{VAPI_ID},asst_1,,,\n,,,\n\n",
    ],
    ids=[
        *("plain", "CRLF", "CR", "byte order mark", "semicolons", "tabs", "another order", "quoted", "spaces"),
        *("brackets", "no plus", "dots", "a number as SID", "empty cells and lines"),
    ],
)
def test_a_row_is_read_however_it_was_written(content: str) -> None:
    assert read(content.encode()) == Roster((WHOLE,), ())


def test_excels_own_line_about_the_delimiter_is_passed_over() -> None:
    assert read(f"sep=;\r\nkey;number\r\nacme;{NUMBER}\r\n".encode()).rows == (Row(3, "acme", NUMBER),)


def test_a_sid_may_stand_for_the_number_or_beside_it() -> None:
    assert read(f"key,number\nacme,{SID}".encode()).rows == (Row(2, "acme", None, SID),)
    assert read(f"key,number,sid\nacme,{NUMBER},{SID}".encode()).rows == (Row(2, "acme", NUMBER, SID),)


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    content = f'key,number\n\n"ac\nme",{NUMBER}\n\nbeta,+1\ngamma,+14155550124\n'

    found = read(content.encode())

    assert [row.line for row in found.rows] == [7]
    assert [problem.line for problem in found.problems] == [3, 6]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f",{NUMBER},,", "It has no key"),
        (f"-acme,{NUMBER},,", "'-acme' is no legal key"),
        (f"{'a' * 65},{NUMBER},,", "is no legal key"),
        (f"=HYPERLINK(1),{NUMBER},,", r"'=HYPERLINK(1)' is no legal key"),
        ("acme,,,", "neither a number nor a SID"),
        ("acme,12,,", "'12' is no phone number in international form"),
        ("acme,0041 44 000 00 00,,", "is no phone number in international form"),
        ("acme,1.41556E+10,,", "'1.41556E+10' is a rounded number"),
        ("acme,PN123,,", "'PN123' is no SID"),
        (f"acme,{NUMBER},no id!,", "Its vapi_id 'no id!' is not an id"),
        (f"acme,{NUMBER},,=cmd|calc", "Its assistant '=cmd|calc' is not an id"),
        (f"acme,{NUMBER},,,more", "It has 5 cells, and there are 4 columns"),
        (f"acme,{NUMBER},,\x1b[31m", "holds invisible ones"),
        (f"acme,{NUMBER}\x00,,", "holds invisible ones"),
        (f"acme,\u202a{NUMBER}\u202c,,", "holds invisible ones"),
        (f"acme,{NUMBER},{'x' * (MOST_CHARACTERS + 1)},", "longer than 200 characters"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_in_a_sentence(line: str, says: str) -> None:
    found = read(f"key,number,vapi_id,assistant\nbeta,+14155550124,,\n{line}\n".encode())

    assert [row.key for row in found.rows] == ["beta"]
    assert {problem.line for problem in found.problems} == {3}
    assert says in found.problems[0].says
    assert all(problem.says.isprintable() and len(problem.says) < 400 for problem in found.problems)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "must have the columns"),
        (b"key\nacme", "must have the columns"),
        (b"number\n+14155550123", "must have the columns"),
        (b"acme,+14155550123\n", "the column 'acme' is not known"),
        (b"key,number,Key\n", "two columns are called key"),
        (b"key,number\nacme,+14155550123\ncaf\xe9,+14155550124", "Line 3 is not UTF-8"),
        ("key,number".encode("utf-16"), "The file is UTF-16"),
        (b'key,number\nacme,"+1415', "From line 2 on the file is no CSV"),
        (b'key,number\nacme,"a"b', "From line 2 on the file is no CSV"),
        (b"key,number\n" + b"x" * 200_000, "From line 2 on the file is no CSV"),
        (b"sep=|\nkey|number\n", "parted by commas, semicolons or tabs"),
        (b"x" * (MOST_BYTES + 1), "larger than 8 MiB"),
        (b"key,number\n" + b"acme,+14155550123\n" * (MOST_ROWS + 1), "more than 20,000 rows"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_a_file_that_cannot_be_read_as_a_whole_is_wrong_use(content: bytes, says: str) -> None:
    with pytest.raises(WrongUse, match=says.replace("(", r"\(")):
        read(content)


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        (f"acme,{NUMBER},,", "acme,+14155550124,,", "key acme"),
        (f"acme,{NUMBER},,", "beta,+1 415 555 0123,,", f"number {NUMBER}"),
        (f"acme,{SID},,", f"beta,{SID},,", f"sid {SID}"),
        (f"acme,{NUMBER},{VAPI_ID},", f"beta,+14155550124,{VAPI_ID},", f"vapi_id {VAPI_ID}"),
    ],
)
def test_of_lines_that_name_one_thing_none_is_taken(first: str, second: str, what: str) -> None:
    found = read(f"key,number,vapi_id,assistant\n{first}\n{second}\ngamma,+14155550199,,\n".encode())

    says = f"The {what} stands on lines 2, 3. Leave one of them."
    assert found.problems == (Problem(2, says), Problem(3, says))
    assert [row.key for row in found.rows] == ["gamma"]


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_give_rows_problems_or_wrong_use(content: bytes) -> None:
    try:
        found = read(b"key,number\n" + content)
    except WrongUse:
        return

    assert all(problem.says.isprintable() for problem in found.problems)
    assert all(roster.E164.fullmatch(row.number or "") or row.sid for row in found.rows)
