"""The list of an airdrop: what is read, what is refused with its line, and what a spreadsheet gets back."""

from __future__ import annotations

import csv
import io

import pytest

from ledger.errors import ValidationFailed
from ledger.programme import airdrop_files
from ledger.programme.airdrop_verdicts import Row

ONE, TWO = "a" * 26, "b" * 26


def read(content: bytes | str) -> list[Row]:
    """The rows of a list of a city whose amounts have two digits behind the point."""
    return list(airdrop_files.read(content.encode() if isinstance(content, str) else content, 2).rows)


def remedy(content: bytes | str) -> str:
    """What the refusal of a list says."""
    with pytest.raises(ValidationFailed) as refusal:
        read(content)
    assert list(refusal.value.fields) == ["csv"]
    return refusal.value.fields["csv"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_usual_ways_of_saving_a_table(separator: str, mark: str, end: str) -> None:
    """Comma, semicolon or tab, with or without the mark, either line end: the same rows."""
    lines = ["Note;LEARNER;name; amount ", f"อ่าน;{ONE};สมชาย;12.5", f";learner:{TWO.upper()};;5"]
    content = mark + end.join(lines).replace(";", separator) + end
    assert read(content) == [Row(2, ONE, "12.5", 1250, "อ่าน", "ok"), Row(3, TWO, "5", 500, "", "ok")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp874"])
def test_what_spreadsheets_in_thailand_write(encoding: str) -> None:
    """Thai names of columns and Thai notes come through in every encoding that a spreadsheet saves in."""
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    content = f"{mark}ลำดับ;ผู้เรียน;จำนวน;หมายเหตุ\r\n๑;{ONE};๑๒.๕๐;สัปดาห์การอ่าน\r\n".encode(encoding)
    assert read(content) == [Row(2, ONE, "๑๒.๕๐", 1250, "สัปดาห์การอ่าน", "ok")]


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    """Empty lines and a note over two lines do not shift the numbers of the rows after them."""
    content = f'learner,amount,note\n\n{ONE},1,"two\nlines"\n , ,\n{TWO},2,\n'
    assert [(row.line, row.learner) for row in read(content)] == [(3, ONE), (6, TWO)]


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("5", 500),
        ("12.50", 1250),
        ("12.500", 1250),
        ("1,250.00", 125_000),
        ("๑๒.๕", 1250),
        ("0.01", 1),
        ("0", None),
        ("0.001", None),
        ("-5", None),
        ("+5", None),
        ("5 KGO", None),
        ("12,50", None),
        ("1e3", None),
        ("", None),
        (".5", None),
        ("9" * 14, None),
        ("90071992547409.93", None),
    ],
)
def test_amounts(text: str, minor: int | None) -> None:
    """Decimal, at most as fine as the city's scale, above zero; anything that could mean two things is refused."""
    assert airdrop_files.amount_of(text, 2) == minor


def test_a_city_without_fractions() -> None:
    """Scale 0 takes whole tokens alone."""
    assert (airdrop_files.amount_of("5.0", 0), airdrop_files.amount_of("5.5", 0)) == (5, None)


def test_what_is_wrong_with_one_row_is_its_own_fault() -> None:
    """Too many cells, no amount, nobody's id: the row keeps what stood there, harmless and cut to length."""
    rows = read(f"learner,amount\n{ONE},1,2\n{ONE}\nSom\x00chai,1\n{'x' * 500},{'9' * 500}\n")
    assert [row.verdict for row in rows] == ["bad_row", "bad_amount", "ok", "bad_amount"]
    assert [row.learner for row in rows[2:]] == ["Som\ufffdchai", "x" * airdrop_files.LEARNER_LENGTH]
    assert len(rows[3].given) == airdrop_files.AMOUNT_LENGTH


def test_an_id_is_read_as_people_write_it() -> None:
    """Capitals, groups and the account's whole name are the same learner."""
    grouped = "AAAA-aaaa aaaa-aaaaaaaaaaaaaa"
    assert [row.learner for row in read(f"learner,amount\n{grouped},1\nlearner:{ONE},1\n")] == [ONE, ONE]


def test_an_unreadable_list_is_refused_with_line_and_remedy() -> None:
    """Header, encoding, quotation marks, no rows, too many, too large."""
    assert remedy("learner,points\na,1").startswith("Line 1: name the columns")
    assert remedy("").startswith("Line 1: name the columns")
    assert remedy(f"learner,amount\n{ONE},1\n".encode() + b"\xff\xdb,1").startswith("Line 3: save the list")
    assert remedy("learner,amount\nก,1".encode("utf-16-le")).startswith("Line 1: save the list")
    assert remedy("learner,amount\na,1".encode("utf-16") + b"x").startswith("Line 2: save the list")
    assert remedy(f'learner,amount\n{ONE},1\n"{TWO},1\n{ONE},1\n').startswith("Line 3: close the quotation mark")
    assert remedy("learner,amount\n\n").startswith("Line 2: add the learners")
    assert remedy("learner,amount\n" + "a,1\n" * (airdrop_files.MAX_ROWS + 1)).startswith("Line 20002: give at most")
    assert remedy(b"x" * (airdrop_files.MAX_BYTES + 1)).startswith("Give at most 1000000 bytes")
    assert len(read("learner,amount\n" + "a,1\n" * airdrop_files.MAX_ROWS)) == airdrop_files.MAX_ROWS


def test_verdicts_are_safe_in_a_spreadsheet() -> None:
    """A cell that would be carried out as a formula is text; everything else comes back as it was."""
    rows = [Row(2, "=1+1", "-5", None, "@cmd", "bad_amount"), Row(3, ONE, "5", 500, 'a "b", c', "paid", 17)]
    written = "".join(airdrop_files.write(rows))
    assert written.startswith("\ufeffline,learner,amount,note,verdict,entry\r\n")
    back = list(csv.reader(io.StringIO(written.removeprefix("\ufeff"))))[1:]
    assert back == [["2", "'=1+1", "'-5", "'@cmd", "bad_amount", ""], ["3", ONE, "5", 'a "b", c', "paid", "17"]]
