"""The audit inside the database: the journal replayed, and everything that is derived from it compared.

`verify` checks an export from outside; this checks what an export does not hold: that the rows stand as the leaves
say, that legs, balances, cases and tiles follow from the journal, and that the head and the newest checkpoint cover
all of it. It streams, and reads one snapshot. Findings bear the codes of `ledger.proof.report`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ledger.book import tree
from ledger.book.accounts import Account
from ledger.book.cases import CAPTURED, EXPIRED, HELD, MOVED, RELEASED, Case
from ledger.book.cities import CityKeys, Head
from ledger.book.entries import Entry
from ledger.book.legs import SIDES, Leg, Opening
from ledger.book.seal import latest
from ledger.proof import handles
from ledger.proof.checkpoint import CheckpointError, verify
from ledger.proof.encoding import EncodingError, parse_strict, timestamp
from ledger.proof.merkle import Frontier, leaf_hash
from ledger.proof.replay import Replay
from ledger.proof.report import Report
from ledger.proof.rules import STILL, check_entry_shape

PAGE = 1_000
_Legs = dict[tuple[int, str], Leg | Opening]


def audit(session: Session, city: str, keys: CityKeys) -> Report:
    """Check a city's book and log inside the database; `report.ok` says whether all of it holds."""
    report = Report(origin=keys.origin, city=city)
    replay = Replay(report.add, opened=True)
    ends: dict[int, tuple[str, int, int]] = {}
    frontier = Frontier()
    for row, legs in _entries(session, city):
        frontier = frontier.append([leaf_hash(row.leaf)])
        entry = _leaf(report, row, replay.size)
        if entry is None:
            return report
        replay.apply(entry, _opened(report, entry, legs))
        _compare_legs(report, entry, legs)
        _follow_case(ends, entry)
    replay.finish()
    report.size, report.root, report.totals = frontier.size, frontier.root(), replay.totals()
    report.activities, report.shops = dict(replay.rewards), dict(replay.sales)
    report.checked.append("leaves, legs, openings, cases and floors at every entry")
    _check_projections(session, report, city, replay)
    _check_versions(session, report, city)
    _check_cases(session, report, city, ends)
    _check_seal(session, report, city, keys, frontier)
    return report


def _entries(session: Session, city: str) -> Iterator[tuple[Entry, _Legs]]:
    start = 0
    while True:
        rows = session.scalars(
            select(Entry).where(Entry.city == city, Entry.seq >= start).order_by(Entry.seq).limit(PAGE)
        ).all()
        if not rows:
            return
        legs: defaultdict[int, _Legs] = defaultdict(dict)
        tables: tuple[type[Leg] | type[Opening], ...] = (Leg, Opening)
        for table in tables:
            within = (table.city == city, table.seq >= rows[0].seq, table.seq <= rows[-1].seq)
            for leg in cast("Iterator[Leg | Opening]", session.scalars(select(table).where(*within))):
                legs[leg.seq][leg.line, SIDES[leg.side]] = leg
        for row in rows:
            yield row, legs[row.seq]
        start = rows[-1].seq + 1
        session.expunge_all()


def _leaf(report: Report, row: Entry, expected: int) -> dict[str, Any] | None:
    """The entry that a row's leaf holds; None where the replay cannot go on."""
    if row.seq != expected:
        report.add("SEQUENCE_GAP", row.seq, f"entry {expected} should stand here")
        return None
    try:
        entry: dict[str, Any] = parse_strict(row.leaf)
    except EncodingError as fault:
        report.add("HASH_MISMATCH", row.seq, f"the leaf is not canonical JSON: {fault}")
        return None
    if fault_ := check_entry_shape(entry):
        report.add("CASE_VIOLATION", row.seq, fault_)
        return None
    if leaf_hash(row.leaf) != row.leaf_hash:
        report.add("HASH_MISMATCH", row.seq, "the stored hash is not that of the leaf")
    columns = (row.city, row.seq, row.id, row.kind, timestamp(row.at), row.origin)
    if columns != (
        *(entry[name] for name in ("city", "seq", "id", "kind", "at")),
        entry["ref"].get("origin"),
    ):
        report.add("HASH_MISMATCH", row.seq, "the columns beside the leaf differ from it")
    return entry


def _opened(report: Report, entry: dict[str, Any], legs: _Legs) -> dict[tuple[int, str], str]:
    """The personal accounts of an entry, each checked against the handle that stands for it."""
    accounts: dict[tuple[int, str], str] = {}
    for (line, side), leg in legs.items():
        if isinstance(leg, Opening):
            shown = entry["postings"][line][side] if line < len(entry["postings"]) else None
            if handles.handle(leg.account, leg.nonce) != shown:
                report.add("BALANCE_MISMATCH", entry["seq"], "an opening does not fit the handle in the leaf")
            accounts[line, side] = leg.account
    return accounts


def _compare_legs(report: Report, entry: dict[str, Any], legs: _Legs) -> None:
    """Each leg moves what its posting says; where postings move, both sides have a leg."""
    kind = entry["kind"]
    for line, posting in enumerate(entry["postings"]):
        for side, sign in (("from", -1), ("to", 1)):
            leg = legs.get((line, side))
            moved = 0 if kind in STILL else sign * posting["amount"]
            if leg is None:
                erased = posting[side].startswith("learner:")
                if (moved or side == "from") and not erased:
                    report.add("BALANCE_MISMATCH", entry["seq"], f"the leg of {posting[side]} is missing")
            elif leg.posted_change != moved:
                report.add("BALANCE_MISMATCH", entry["seq"], f"the leg of {posting[side]} moves {leg.posted_change}")
            elif isinstance(leg, Leg) and leg.account != posting[side]:
                report.add("BALANCE_MISMATCH", entry["seq"], f"{leg.account} has the leg of {posting[side]}")


_ENDS = {"hold": HELD, "capture": CAPTURED, "release": RELEASED, "hold_expire": EXPIRED, "redeem": MOVED}


def _follow_case(cases: dict[int, tuple[str, int, int]], entry: dict[str, Any]) -> None:
    """Keep (state, moved, refunded) of each case that has a row; a reversed one has moved all it moved."""
    kind, seq, origin = entry["kind"], entry["seq"], entry["ref"].get("origin")
    amount = sum(posting["amount"] for posting in entry["postings"])
    if kind == "hold":
        cases[seq] = (HELD, 0, 0)
    elif kind == "redeem":
        cases[seq] = (MOVED, amount, 0)
    elif kind == "reverse":
        cases[origin] = (MOVED, amount, 0)
    elif kind == "refund":
        state, moved, refunded = cases.get(origin, ("", 0, 0))
        cases[origin] = (state, moved, refunded + amount)
    elif kind in _ENDS:
        cases[origin] = (_ENDS[kind], amount if kind == "capture" else 0, 0)


def _check_cases(session: Session, report: Report, city: str, cases: dict[int, tuple[str, int, int]]) -> None:
    rows = session.execute(select(Case.seq, Case.state, Case.moved_minor, Case.refunded_minor).where(Case.city == city))
    for seq, *stored in rows:
        if cases.pop(seq, None) != tuple(stored):
            report.add("CASE_VIOLATION", seq, "the projection of this case differs from the journal")
    for seq in cases:
        report.add("CASE_VIOLATION", seq, "the projection of this case is missing")
    report.checked.append("cases against the journal")


def _check_projections(session: Session, report: Report, city: str, replay: Replay) -> None:
    """The saved balances are those of the replay, and they add up to nothing."""
    total = 0
    for account in session.scalars(select(Account).where(Account.city == city).order_by(Account.path)):
        total += account.posted
        expected = replay.balances.get(account.path, 0), replay.held.get(account.path, 0)
        if (account.posted, account.held) != expected:
            saved = f"{account.path} is saved as {account.posted} ({account.held} held)"
            message = f"{saved}, the journal makes {expected[0]} ({expected[1]} held)"
            report.add("BALANCE_MISMATCH", None, message)
    if total:
        report.add("BALANCE_MISMATCH", None, f"all balances add up to {total}")
    report.checked.append("balances against the journal")


def _check_versions(session: Session, report: Report, city: str) -> None:
    """Each leg follows the one before it, and an account's row stands where its last leg does."""
    for table in (Leg, Opening):
        before = (
            select(
                table.seq,
                table.account,
                table.version,
                _previous(table, table.version).label("version_before"),
                (table.posted_after - table.posted_change - _previous(table, table.posted_after)).label("posted"),
                (table.held_after - table.held_change - _previous(table, table.held_after)).label("held"),
            )
            .where(table.city == city)
            .subquery()
        )
        wrong = select(before.c.seq, before.c.account).where(
            (before.c.posted != 0) | (before.c.held != 0) | (before.c.version != before.c.version_before + 1)
        )
        for seq, account in session.execute(wrong):
            report.add("BALANCE_MISMATCH", seq, f"the leg of {account} does not follow the one before it")
    report.checked.append("as-of balances leg by leg")


def _previous(table: type[Leg] | type[Opening], column: Any) -> Any:
    """A column of the account's leg before this one; 0 before the first."""
    return func.lag(column, 1, 0).over(partition_by=table.account, order_by=table.version)


def _check_seal(session: Session, report: Report, city: str, keys: CityKeys, frontier: Frontier) -> None:
    """Head, newest checkpoint and tiles are those of the leaves."""
    head = session.get(Head, city)
    if head is None or (head.size, Frontier.from_bytes(head.frontier)) != (frontier.size, frontier):
        report.add("HASH_MISMATCH", None, "the head is not that of the leaves")
    try:
        checkpoint = verify(latest(session, city).note, keys.vkey)
    except CheckpointError as fault:
        report.add("BAD_SIGNATURE", None, f"the newest checkpoint: {fault}")
    else:
        if checkpoint.size != frontier.size:
            report.add("SEQUENCE_GAP", None, f"{checkpoint.size} entries are signed, {frontier.size} are there")
        elif checkpoint.root != frontier.root():
            report.add("HASH_MISMATCH", None, "the signed root is not that of the leaves")
        elif tree.root_at(session, city, frontier.size) != frontier.root():
            report.add("HASH_MISMATCH", None, "the tiles are not those of the leaves")
    report.checked.append("head, checkpoint and tiles")
