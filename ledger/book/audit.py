"""The audit inside the database: the journal replayed, and everything that is derived from it compared.

`verify` checks an export from outside; this checks what an export does not hold: that the rows stand as the leaves
say, that legs, balances, cases and tiles follow from the journal, and that the head and the newest checkpoint cover
all of it. It reads one snapshot, page by page; what it keeps in memory grows with the accounts alone, not with the
entries, cases or checkpoints. Findings bear the codes of `ledger.proof.report`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ledger.book import tree
from ledger.book.accounts import Account
from ledger.book.cases import Case
from ledger.book.cities import CityKeys, Head
from ledger.book.ends import MOST, End, Ends
from ledger.book.entries import Entry
from ledger.book.legs import SIDES, Leg, Opening
from ledger.book.seal import SignedCheckpoint
from ledger.book.tree import Tile
from ledger.proof import handles
from ledger.proof.checkpoint import CheckpointError, verify
from ledger.proof.encoding import EncodingError, parse_strict, timestamp
from ledger.proof.merkle import Frontier, leaf_hash, root_of
from ledger.proof.replay import Replay
from ledger.proof.report import Report
from ledger.proof.rules import STILL, check_entry_shape
from ledger.verifier.cases import CaseBook
from ledger.verifier.walks import Walk

PAGE = 1_000
_SIDES = dict(enumerate(SIDES))
_Legs = dict[tuple[int, str], Leg | Opening]
_Stand = tuple[int, int, int]
"""Version, posted and held: where the legs of an account have led to."""


def audit(session: Session, city: str, keys: CityKeys) -> Report:
    """Check a city's book and log inside the database; `report.ok` says whether all of it holds."""
    report = Report(origin=keys.origin, city=city)
    with Walk(None, keys.origin, keys.vkey) as store, Ends() as ends:  # temporary files
        _audit(session, report, keys, Replay(report.add, opened=True, cases=CaseBook(store)), ends)
    return report


def _audit(session: Session, report: Report, keys: CityKeys, replay: Replay, ends: Ends) -> None:
    city = str(report.city)
    stands: dict[str, _Stand] = {}
    frontier, nodes = Frontier(), _Nodes()
    _check_checkpoint(report, keys, _checkpoints(session, city, 0, 0).get(0), frontier, nodes)
    for row, legs, case, checkpoint in _entries(session, city):
        frontier = frontier.append([leaf_hash(row.leaf)], nodes.note)
        if frontier.size % tree.WIDTH == 0:
            nodes.take()  # the tile has them
        _check_checkpoint(report, keys, checkpoint, frontier, nodes)
        entry = _leaf(report, row, replay.size)
        if entry is None:
            return
        named = _opened(report, entry, legs)
        replay.apply(entry, named)
        _compare_legs(report, entry, legs)
        _follow_legs(report, entry, legs, replay, stands)
        _compare_case(report, entry, named, case)
        ends.follow(entry)
    replay.finish()
    report.size, report.root, report.totals = frontier.size, frontier.root(), replay.totals()
    report.activities, report.shops = dict(replay.rewards), dict(replay.sales)
    report.checked.append("leaves, legs, openings, cases and floors at every entry")
    _check_projections(session, report, city, replay, stands)
    _check_cases(session, report, city, ends)
    _check_seal(session, report, city, frontier)
    _check_tiles(session, report, city, frontier.size)


def _entries(session: Session, city: str) -> Iterator[tuple[Entry, _Legs, Case | None, SignedCheckpoint | None]]:
    """Each entry with its legs, the case that it began if that has a row, and the checkpoint that ends with it."""
    start = 0
    while True:
        rows = session.scalars(
            select(Entry).where(Entry.city == city, Entry.seq >= start).order_by(Entry.seq).limit(PAGE)
        ).all()
        if not rows:
            return
        first, last = rows[0].seq, rows[-1].seq
        legs: defaultdict[int, _Legs] = defaultdict(dict)
        tables: tuple[type[Leg] | type[Opening], ...] = (Leg, Opening)
        for table in tables:
            within = (table.city == city, table.seq >= first, table.seq <= last)
            for leg in cast("Iterator[Leg | Opening]", session.scalars(select(table).where(*within))):
                legs[leg.seq][leg.line, _SIDES.get(leg.side, "neither")] = leg
        cases = {
            case.seq: case
            for case in session.scalars(select(Case).where(Case.city == city, Case.seq >= first, Case.seq <= last))
        }
        signed = _checkpoints(session, city, first + 1, last + 1)
        for row in rows:
            yield row, legs[row.seq], cases.get(row.seq), signed.get(row.seq + 1)
        start = last + 1
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
            shown = entry["postings"][line].get(side) if 0 <= line < len(entry["postings"]) else None
            if len(leg.nonce) != handles.NONCE_BYTES or handles.handle(leg.account, leg.nonce) != shown:
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


def _follow_legs(report: Report, entry: dict[str, Any], legs: _Legs, replay: Replay, stands: dict[str, _Stand]) -> None:
    """An account's legs follow one another, and leave it where the replay does; no leg stands outside the postings."""
    seq, last = entry["seq"], dict[str, Leg | Opening]()
    for leg in sorted(legs.values(), key=lambda leg: leg.version):
        if not 0 <= leg.line < len(entry["postings"]):
            report.add("BALANCE_MISMATCH", seq, f"a leg of {leg.account} belongs to no posting")
        version, posted, held = stands.get(leg.account, (0, 0, 0))
        reached = leg.version, leg.posted_after, leg.held_after
        if reached != (version + 1, posted + leg.posted_change, held + leg.held_change):
            report.add("BALANCE_MISMATCH", seq, f"the leg of {leg.account} does not follow the one before it")
        stands[leg.account] = reached
        last[leg.account] = leg
    for account, leg in last.items():
        expected = replay.balances.get(account, 0), replay.held.get(account, 0)
        if (leg.posted_after, leg.held_after) != expected:
            report.add("BALANCE_MISMATCH", seq, f"the leg of {account} leaves other balances than the journal")


def _compare_case(report: Report, entry: dict[str, Any], named: dict[tuple[int, str], str], case: Case | None) -> None:
    """What a case's row says of its beginning is what its first entry says."""
    if case is None or not entry["postings"]:
        return
    first, until = entry["postings"][0], case.expires_at
    stored = case.entry_id, case.amount_minor, until and timestamp(until)
    expected = entry["id"], sum(posting["amount"] for posting in entry["postings"]), entry["ref"].get("expires_at")
    for side, account in (("from", case.source), ("to", case.target)):
        shown = named.get((0, side), first[side])
        erased = (0, side) not in named and shown.startswith("learner:")
        if stored != expected or (account != shown and not erased):
            report.add("CASE_VIOLATION", entry["seq"], "the case's row says another beginning than the entry")
            return


def _check_cases(session: Session, report: Report, city: str, ends: Ends) -> None:
    """The row of each case says how far it has gone; page by page of the rows."""
    columns = (Case.state, Case.moved_minor, Case.refunded_minor, Case.reversed_by, Case.ended_by, Case.ended_at)
    query, start = select(Case.seq, *columns).where(Case.city == city).order_by(Case.seq).limit(PAGE), -MOST
    while True:
        rows = session.execute(query.where(Case.seq >= start)).all()
        stop = rows[-1].seq + 1 if len(rows) == PAGE else MOST
        stored = {seq: End._make((*end, at and timestamp(at))) for seq, *end, at in rows}
        for seq, end in ends.within(start, stop):
            if seq not in stored:
                report.add("CASE_VIOLATION", seq, "the projection of this case is missing")
            elif stored.pop(seq) != end:
                report.add("CASE_VIOLATION", seq, "the projection of this case differs from the journal")
        for seq in stored:
            report.add("CASE_VIOLATION", seq, "the projection of this case differs from the journal")
        if stop == MOST:
            break
        start = stop
    report.checked.append("cases against the journal")


def _check_projections(session: Session, report: Report, city: str, replay: Replay, stands: dict[str, _Stand]) -> None:
    """The saved balances are those of the replay, they add up to nothing, and every leg was met."""
    total = 0
    for account in session.scalars(select(Account).where(Account.city == city).order_by(Account.path)):
        total += account.posted
        expected = replay.balances.get(account.path, 0), replay.held.get(account.path, 0)
        if (account.posted, account.held) != expected:
            saved = f"{account.path} is saved as {account.posted} ({account.held} held)"
            message = f"{saved}, the journal makes {expected[0]} ({expected[1]} held)"
            report.add("BALANCE_MISMATCH", None, message)
        if account.version != stands.get(account.path, (0, 0, 0))[0]:
            report.add("BALANCE_MISMATCH", None, f"{account.path} is saved at another version than its last leg")
    if total:
        report.add("BALANCE_MISMATCH", None, f"all balances add up to {total}")
    report.checked.append("balances against the journal")
    tables: tuple[type[Leg] | type[Opening], ...] = (Leg, Opening)
    for table in tables:
        beyond = select(table.seq, table.account).where(table.city == city, table.seq >= replay.size)
        for seq, path in session.execute(beyond):
            report.add("BALANCE_MISMATCH", seq, f"the leg of {path} belongs to no entry")
    report.checked.append("as-of balances leg by leg")


def _checkpoints(session: Session, city: str, low: int, high: int) -> dict[int, SignedCheckpoint]:
    """The checkpoints of the sizes from `low` to `high`, both of them included, by size."""
    signed = select(SignedCheckpoint).where(SignedCheckpoint.city == city)
    rows = session.scalars(signed.where(SignedCheckpoint.size >= low, SignedCheckpoint.size <= high))
    return {row.size: row for row in rows}


class _Nodes:
    """The nodes within a tile, above its hashes, that were completed since they were taken last."""

    def __init__(self) -> None:
        self._found: list[bytes] = []

    def note(self, level: int, _index: int, node: bytes) -> None:
        """Take in a node; for `Frontier.append`."""
        if 0 < level < tree.HEIGHT:
            self._found.append(node)

    def take(self) -> bytes:
        """What there is, end to end, and begin anew."""
        found, self._found = b"".join(self._found), []
        return found


def _check_checkpoint(
    report: Report, keys: CityKeys, row: SignedCheckpoint | None, frontier: Frontier, nodes: _Nodes
) -> None:
    """The checkpoint of this size, if one was made, is signed and says what the leaves say, and so do its nodes."""
    if row is None:
        return
    if row.nodes not in (None, b"".join(frontier.peaks) + nodes.take()):
        report.add("HASH_MISMATCH", None, f"the nodes beside the checkpoint of {row.size} are not those of the leaves")
    try:
        checkpoint = verify(row.note, keys.vkey)
    except CheckpointError as fault:
        report.add("BAD_SIGNATURE", None, f"the checkpoint of {frontier.size} entries: {fault}")
        return
    if (checkpoint.size, checkpoint.root) != (frontier.size, frontier.root()):
        report.add("HASH_MISMATCH", None, f"the checkpoint of {frontier.size} entries is not that of the leaves")


def _check_seal(session: Session, report: Report, city: str, frontier: Frontier) -> None:
    """The head is that of the leaves, and the newest checkpoint, which was judged where it stands, covers them all."""
    head = session.get(Head, city)
    if head is None or (head.size, head.frontier) != (frontier.size, frontier.to_bytes()):
        report.add("HASH_MISMATCH", None, "the head is not that of the leaves")
    last_at = session.scalar(select(Entry.at).where(Entry.city == city, Entry.seq == frontier.size - 1))
    if head is not None and last_at is not None and head.last_at != last_at:
        report.add("SEQUENCE_GAP", frontier.size - 1, "the head tells another time than the last entry")
    newest = session.scalar(select(func.max(SignedCheckpoint.size)).where(SignedCheckpoint.city == city))
    if newest != frontier.size:
        report.add("SEQUENCE_GAP", frontier.size, f"{newest or 0} entries are signed, {frontier.size} are there")
    report.checked.append("head and checkpoint")


def _check_tiles(session: Session, report: Report, city: str, size: int) -> None:
    """Every full tile is there, holds the hashes below it, and bears their root and the nodes that this completes."""
    level = 0
    while full := size >> tree.HEIGHT * (level + 1):
        above, nodes = Frontier(), _Nodes()
        for index in range(full):
            row = tree.hashes(session, city, level, index * tree.WIDTH, (index + 1) * tree.WIDTH)
            root = root_of(row)
            above = above.append([root], nodes.note)
            tile, content = session.get(Tile, (city, level, index)), b"".join(row)
            above_it, within = (None, nodes.take()), (None, tree.middle(content))  # older rows have none
            if (
                tile is None
                or (tile.hashes, tile.root) != (content, root)
                or tile.nodes not in above_it
                or tile.middle not in within
            ):
                report.add("HASH_MISMATCH", None, f"tile {index} of level {level} is not that of the leaves")
        session.expunge_all()
        level += 1
    report.checked.append("tiles")
