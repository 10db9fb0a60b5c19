"""The audit inside the database: the journal replayed, and everything that is derived from it compared.

`verify` checks an export from outside; this checks what an export does not hold: that the rows stand as the leaves
say, that legs, balances, cases and tiles follow from the journal, and that the head and the newest checkpoint cover
all of it. It reads one snapshot, page by page; what it keeps in memory grows with the accounts alone, not with the
entries, cases or checkpoints. Findings bear the codes of `ledger.proof.report`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from ledger.book import tree
from ledger.book.accounts import Account
from ledger.book.cases import Case
from ledger.book.cities import CityKeys, Head
from ledger.book.ends import MOST, End, Ends
from ledger.book.entries import Entry
from ledger.book.legs import SIDES, Leg, Opening
from ledger.book.seal import BEFORE_ALL, SignedCheckpoint
from ledger.book.tree import Tile
from ledger.proof import handles
from ledger.proof.checkpoint import CheckpointError, verify
from ledger.proof.encoding import EncodingError, parse_strict, timestamp
from ledger.proof.merkle import Frontier, leaf_hash, root_of
from ledger.proof.replay import Replay
from ledger.proof.report import Report
from ledger.proof.rules import STILL, check_entry_shape
from ledger.rows import Entities, Look
from ledger.verifier.cases import CaseBook
from ledger.verifier.walks import Walk

PAGE = 1_000
_SIDES = dict(enumerate(SIDES))
_LEG = Entities(Leg)
_LEGS = Look(_LEG.columns, "legs WHERE city = ? AND account = keys.path AND seq >= ? AND seq <= ?", "path")
_Legs = list[Leg | Opening]
_Read = dict[str, Any] | tuple[str, str]
"""The entry that a leaf holds; or the code of the finding, and why it holds none."""
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
    grown, followed = _Grown(), 0
    begun: datetime | None = None  # when the running batch was
    if empty := _checkpoints(session, city, 0, 0).get(0):
        _check_checkpoint(report, keys, empty, grown, {BEFORE_ALL})
    for row, read, legs, case, checkpoint in _entries(session, city):
        hashed = leaf_hash(row.leaf)
        grown.add(hashed)
        begun = begun or row.at
        if checkpoint is not None:
            _check_checkpoint(report, keys, checkpoint, grown, {begun, row.at})
            begun = None
        entry = _leaf(report, row, read, hashed, replay.size)
        if entry is None:
            return
        named = _opened(report, entry, legs)
        replay.apply(entry, named)
        _compare_legs(report, entry, legs)
        _follow_legs(report, entry, legs, replay, stands)
        followed += sum(not isinstance(leg, Opening) for leg in legs)
        _compare_case(report, entry, named, case)
        ends.follow(entry)
    replay.finish()
    frontier = grown.edge()
    report.size, report.root, report.totals = frontier.size, frontier.root(), replay.totals()
    report.activities, report.shops = dict(replay.rewards), dict(replay.sales)
    report.checked.append("leaves, legs, openings, cases and floors at every entry")
    _check_projections(session, report, city, replay, stands)
    _check_strays(session, report, city, replay.size, followed)
    _check_cases(session, report, city, ends)
    _check_seal(session, report, city, frontier)
    _check_tiles(session, report, city, frontier.size)


def _entries(session: Session, city: str) -> Iterator[tuple[Entry, _Read, _Legs, Case | None, SignedCheckpoint | None]]:
    """Each entry as it stands and is read, its legs, the case it began if that has a row, the checkpoint it ends."""
    start = 0
    while True:
        rows = session.scalars(
            select(Entry).where(Entry.city == city, Entry.seq >= start).order_by(Entry.seq).limit(PAGE)
        ).all()
        if not rows:
            return
        first, last = rows[0].seq, rows[-1].seq
        read = [_read(row.leaf) for row in rows]
        named = sorted(set[str]().union(*map(_institutions, read)))
        legs: defaultdict[int, _Legs] = defaultdict(list)
        for columns in _LEGS.find(session, [(path,) for path in named], city, first, last):
            leg = _LEG.of(*columns)
            legs[leg.seq].append(leg)
        opened = select(Opening).where(Opening.city == city, Opening.seq >= first, Opening.seq <= last)
        for opening in session.scalars(opened):
            legs[opening.seq].append(opening)
        cases = {
            case.seq: case
            for case in session.scalars(select(Case).where(Case.city == city, Case.seq >= first, Case.seq <= last))
        }
        signed = _checkpoints(session, city, first + 1, last + 1)
        for row, entry in zip(rows, read, strict=True):
            yield row, entry, legs[row.seq], cases.get(row.seq), signed.get(row.seq + 1)
        start = last + 1
        session.expunge_all()


def _read(leaf: bytes) -> _Read:
    """What a leaf holds; whatever its bytes are."""
    try:
        entry: dict[str, Any] = parse_strict(leaf)
    except EncodingError as fault:
        return "HASH_MISMATCH", f"the leaf is not canonical JSON: {fault}"
    problem = check_entry_shape(entry)
    return ("CASE_VIOLATION", problem) if problem else entry


def _institutions(read: _Read) -> Iterable[str]:
    """The institutional accounts that an entry names; none where it is no entry."""
    if isinstance(read, tuple):
        return ()
    paths = {posting[side] for posting in read["postings"] for side in SIDES}
    return [path for path in paths if not path.startswith("learner:")]


def _leaf(report: Report, row: Entry, entry: _Read, hashed: bytes, expected: int) -> dict[str, Any] | None:
    """The entry that a row's leaf holds; None where the replay cannot go on."""
    if row.seq != expected:
        report.add("SEQUENCE_GAP", row.seq, f"entry {expected} should stand here")
        return None
    if isinstance(entry, tuple):
        code, problem = entry
        report.add(code, row.seq, problem)
        return None
    if hashed != row.leaf_hash:
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
    for leg in legs:
        if isinstance(leg, Opening):
            line, side = leg.line, _SIDES.get(leg.side, "neither")
            shown = entry["postings"][line].get(side) if 0 <= line < len(entry["postings"]) else None
            if len(leg.nonce) != handles.NONCE_BYTES or handles.handle(leg.account, leg.nonce) != shown:
                report.add("BALANCE_MISMATCH", entry["seq"], "an opening does not fit the handle in the leaf")
            accounts[line, side] = leg.account
    return accounts


def _compare_legs(report: Report, entry: dict[str, Any], legs: _Legs) -> None:
    """Each leg moves what its posting says; where postings move, both sides have a leg."""
    kind, places = entry["kind"], {(leg.line, _SIDES.get(leg.side)): leg for leg in legs}
    if len(places) < len(legs):
        report.add("BALANCE_MISMATCH", entry["seq"], "several legs stand in one place")
    for line, posting in enumerate(entry["postings"]):
        for side, sign in (("from", -1), ("to", 1)):
            leg = places.get((line, side))
            moved = 0 if kind in STILL else sign * posting["amount"]
            if leg is None:
                erased = posting[side].startswith("learner:")
                if (moved or side == "from") and not erased:
                    report.add("BALANCE_MISMATCH", entry["seq"], f"the leg of {posting[side]} is missing")
            elif leg.posted_change != moved:
                report.add("BALANCE_MISMATCH", entry["seq"], f"the leg of {posting[side]} moves {leg.posted_change}")
            elif not isinstance(leg, Opening) and leg.account != posting[side]:
                report.add("BALANCE_MISMATCH", entry["seq"], f"{leg.account} has the leg of {posting[side]}")


def _follow_legs(report: Report, entry: dict[str, Any], legs: _Legs, replay: Replay, stands: dict[str, _Stand]) -> None:
    """An account's legs follow one another, and leave it where the replay does; no leg stands outside the postings."""
    seq, last = entry["seq"], dict[str, Leg | Opening]()
    for leg in sorted(legs, key=lambda leg: leg.version):
        if leg.side not in _SIDES or not 0 <= leg.line < len(entry["postings"]):
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
    """The saved balances are those of the replay, and they add up to nothing."""
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


def _check_strays(session: Session, report: Report, city: str, size: int, followed: int) -> None:
    """Every leg was met: the openings of all entries were read, and of the legs those of the accounts they name."""
    opened = select(Opening.seq, Opening.account).where(Opening.city == city)
    for seq, path in session.execute(opened.where(or_(Opening.seq < 0, Opening.seq >= size))):
        report.add("BALANCE_MISMATCH", seq, f"the leg of {path} belongs to no entry")
    if session.scalar(select(func.count()).select_from(Leg).where(Leg.city == city)) != followed:
        of_entries = and_(Entry.city == Leg.city, Entry.seq == Leg.seq)
        query = select(Leg.seq, Leg.account, Entry.leaf).join(Entry, of_entries, isouter=True).where(Leg.city == city)
        for seq, path, leaf in session.execute(query, execution_options={"yield_per": PAGE}):
            if not leaf:
                report.add("BALANCE_MISMATCH", seq, f"the leg of {path} belongs to no entry")
            elif path not in _institutions(_read(leaf)):
                report.add("BALANCE_MISMATCH", seq, f"the entry does not name {path}, which has a leg of it")
    report.checked.append("as-of balances leg by leg")


def _checkpoints(session: Session, city: str, low: int, high: int) -> dict[int, SignedCheckpoint]:
    """The checkpoints of the sizes from `low` to `high`, both of them included, by size."""
    signed = select(SignedCheckpoint).where(SignedCheckpoint.city == city)
    rows = session.scalars(signed.where(SignedCheckpoint.size >= low, SignedCheckpoint.size <= high))
    return {row.size: row for row in rows}


class _Nodes:
    """The nodes within a tile, above its hashes, that were completed since they were taken last."""

    def __init__(self) -> None:
        self._found: list[tuple[int, int, bytes]] = []  # the hash that completes it, the level, the node

    def note(self, level: int, index: int, nodes: list[bytes]) -> None:
        """Take in the nodes of a level; for `Frontier.append`."""
        if 0 < level < tree.HEIGHT:
            self._found += [(at + 1 << level, level, node) for at, node in enumerate(nodes, index)]

    def take(self) -> bytes:
        """What there is, end to end, in the order in which hash by hash completes them; and begin anew."""
        found, self._found = b"".join([node for *_, node in sorted(self._found)]), []
        return found


class _Grown:
    """The tree over the leaves so far, and the nodes of its last tile that its next checkpoint has.

    Leaves enter it by the chunk, for level by level costs less than leaf by leaf: as many as there are up to a
    checkpoint, or to the end of a tile, where the nodes begin anew.
    """

    def __init__(self) -> None:
        self.nodes = _Nodes()
        self._frontier = Frontier()
        self._waiting: list[bytes] = []

    def add(self, hashed: bytes) -> None:
        """Append a leaf by its hash."""
        self._waiting.append(hashed)
        if len(self._waiting) == tree.WIDTH - self._frontier.size % tree.WIDTH:
            self.edge()
            self.nodes.take()  # the tile has them

    def edge(self) -> Frontier:
        """The tree's right edge."""
        if self._waiting:
            self._frontier, self._waiting = self._frontier.append(self._waiting, self.nodes.note), []
        return self._frontier


def _check_checkpoint(
    report: Report, keys: CityKeys, row: SignedCheckpoint, grown: _Grown, times: set[datetime]
) -> None:
    """A checkpoint is signed, it and its nodes say what the leaves say, and its time is that of its whole batch."""
    frontier = grown.edge()
    if times != {row.at}:
        report.add("SEQUENCE_GAP", None, f"the checkpoint of {row.size} tells another time than its batch")
    if row.nodes not in (None, b"".join(frontier.peaks) + grown.nodes.take()):
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
    sizes = select(func.min(SignedCheckpoint.size), func.max(SignedCheckpoint.size))
    oldest, newest = session.execute(sizes.where(SignedCheckpoint.city == city)).one()
    if newest != frontier.size or oldest < 0:
        signed = f"the checkpoints are of {oldest or 0} to {newest or 0} entries"
        report.add("SEQUENCE_GAP", frontier.size, f"{signed}, {frontier.size} are there")
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
