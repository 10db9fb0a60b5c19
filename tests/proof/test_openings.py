"""Openings: each named learner fits the handle that stands there, and what fits nothing is found."""

import pytest

from ledger.proof.openings import Openings
from tests.proof.logs import Log, day


def openings_of(log: Log, rows: list[bytes]) -> tuple[list[str], list[dict[tuple[int, str], str]]]:
    """Hand out `rows` along `log`; return the codes found and what each entry got."""
    found: list[str] = []
    openings = Openings([(row, None) for row in rows], lambda code, *_: found.append(code))
    named = [openings.accounts(leaf) for leaf in log.leaves]
    openings.accounts(None)
    return found, named


def test_openings_name_the_learner_behind_each_handle() -> None:
    """Every personal posting of the sample day gets its account, entry by entry."""
    log = day()
    found, named = openings_of(log, log.opening_lines())
    assert found == []
    assert sum(map(len, named)) == len(log.openings)
    for row in log.openings:
        assert named[row["seq"]][row["line"], row["side"]] == row["account"]


def test_openings_that_open_nothing_are_found() -> None:
    """Another account, another nonce, an institution's posting, an entry that is not there, a doubled row."""
    log = day()
    rows = log.opening_lines()
    other = log.openings[1]["account"].encode()
    wrong = [
        rows[0].replace(log.openings[0]["account"].encode(), other),
        rows[0].replace(log.openings[0]["nonce"].encode(), log.openings[1]["nonce"].encode()),
        rows[0].replace(b'"side":"to"', b'"side":"from"'),
        rows[0].replace(b'"line":0', b'"line":1'),
    ]
    for row in wrong:
        found, named = openings_of(log, [row, *rows[1:]])
        assert found == ["HASH_MISMATCH"]
        assert named[3] == {}
    assert openings_of(log, [*rows, rows[-1].replace(b'"seq":14', b'"seq":99')])[0] == ["HASH_MISMATCH"]
    for disorder in ([rows[0], rows[0], *rows[1:]], [rows[1], rows[0], *rows[2:]]):
        assert openings_of(log, disorder)[0] == ["SEQUENCE_GAP"]


@pytest.mark.parametrize(
    "row",
    [
        b"",
        b"{}",
        b"null",
        b"[" * 50_000,
        b"x" * 70_000,
        b'{"account":"learner:' + b"a" * 26 + b'","line":0,"nonce":"","seq":3,"side":"to"}',
        b'{"account":"shop:cafe","line":0,"nonce":"' + b"A" * 43 + b'=","seq":3,"side":"to"}',
        b'{"account": "learner:' + b"a" * 26 + b'","line":0,"nonce":"' + b"A" * 43 + b'=","seq":3,"side":"to"}',
        b'{"account":"learner:' + b"a" * 26 + b'","line":0,"nonce":"' + b"A" * 42 + b'B=","seq":3,"side":"to"}',
        b'{"account":"learner:' + b"a" * 26 + b'","line":00,"nonce":"' + b"A" * 43 + b'=","seq":3,"side":"to"}',
        b'{"account":"learner:' + b"a" * 26 + b'","line":0,"nonce":"' + b"A" * 43 + b'=","seq":3,"side":"up"}',
    ],
    ids=range(11),
)
def test_malformed_openings_are_found_and_passed_over(row: bytes) -> None:
    """One canonical form; a row that has another is named, and the rest still counts."""
    log = day()
    found, named = openings_of(log, [row, *log.opening_lines()])
    assert found == ["HASH_MISMATCH"]
    assert sum(map(len, named)) == len(log.openings)


def test_a_damaged_line_is_no_opening() -> None:
    """What a source could not read whole is named, however it begins."""
    log = day()
    found: list[str] = []
    Openings([(log.opening_lines()[0], "the line is cut off")], lambda code, *_: found.append(code))
    assert found == ["HASH_MISMATCH"]
