"""Anchors: checkpoints of the log on the chain, each proven there to extend the one before (RFC 9162).

Two jobs that go by the contract and the database alone, and may break off and be repeated anywhere, in any process:

* `follow` reads what became final since it looked last and keeps it, in the contract's order, each extending the one
  before. The contract's own state at the same block says where the last one must end: a node that leaves an event
  out without a word is noticed (`AnchorsMissing`) and nothing of it is kept.
* `wish` asks the outbox for the next anchor once it is due: after so many new entries, or so much time if there is any
  new one. From where, the contract says and not the memory. It is wished for once: while one is on its way there is
  no other, and what a lagging node has said wrongly, the contract refuses (`StaleAnchor`).

An anchor of a root that this log never had, or of more entries than it has, means that the database was restored from
an older copy or belongs to another history, or that somebody else holds the anchorer's key: nothing is anchored then
(`LogBehindAnchor`, `SplitView`), and the log says so. Where it is final, `guard` has the city's writer sign nothing
more until the log leads to it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, LargeBinary, Text, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book import entries, seal, tree
from ledger.book.seal import Published
from ledger.chain import client, outbox
from ledger.chain.artifacts import artifact
from ledger.chain.client import Event
from ledger.chain.deployment import Site
from ledger.chain.errors import ChainError
from ledger.chain.outbox import Wish
from ledger.db import Base, Database, Instant
from ledger.proof.checkpoint import parse
from ledger.values import from_milliseconds

log = logging.getLogger(__name__)

PURPOSE = "anchor"

RETRY = timedelta(minutes=10)
"""How long after the contract refused an anchor the next one is tried."""


class Anchor(Base):
    """A final anchor: the log had `size` entries and this root, said the contract in a block of the time `at`."""

    __tablename__ = "anchors"

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    contract: Mapped[str] = mapped_column(Text, primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    old_size: Mapped[int] = mapped_column(BigInteger)
    root: Mapped[bytes] = mapped_column(LargeBinary)
    transaction: Mapped[str] = mapped_column(Text)
    block_number: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(Instant)


class AnchorReading(Base):
    """Up to which final block a contract's anchors are known."""

    __tablename__ = "anchor_readings"

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    contract: Mapped[str] = mapped_column(Text, primary_key=True)
    block_number: Mapped[int] = mapped_column(BigInteger)


class AnchorsMissing(ChainError):
    """A node does not tell all anchors that the contract speaks of. Nothing is lost: another round will."""

    code = "chain_anchors_missing"


class LogBehindAnchor(ChainError):
    """More was anchored than the log has: it lost its tail, or it is not the log that was anchored."""

    code = "log_behind_anchor"


class SplitView(ChainError):
    """A root was anchored that this log never had."""

    code = "anchor_split_view"


@dataclass(frozen=True)
class AnchorView:
    """An anchor as it is listed.

    Attributes:
        chain_id: of the chain.
        contract: the token's address.
        size: the entries it covers.
        root: their root, as the contract has it.
        transaction: the hash of the transaction that made it.
        block_number: where that was mined.
        at: the block's time.
        agrees: whether the log has that root at that size; None where it has fewer entries.
    """

    chain_id: int
    contract: str
    size: int
    root: bytes
    transaction: str
    block_number: int
    at: datetime
    agrees: bool | None


def list_(session: Session, city: str, limit: int = 50) -> list[AnchorView]:
    """The final anchors of a city, of all its contracts, the newest first."""
    size = entries.size(session, city)
    query = select(Anchor).where(Anchor.city == city).order_by(Anchor.at.desc(), Anchor.size.desc()).limit(limit)
    return [
        AnchorView(
            one.chain_id, one.contract, one.size, one.root, one.transaction, one.block_number, one.at,
            tree.root_at(session, city, one.size) == one.root if one.size <= size else None,
        )
        for one in session.scalars(query)
    ]  # fmt: skip


def count(session: Session, city: str) -> int:
    """How many final anchors there are, on all contracts."""
    return session.scalar(select(func.count()).where(Anchor.city == city)) or 0


def sizes(session: Session, city: str, chain_id: int, contract: str, limit: int = 4) -> list[int]:
    """The sizes of a contract's last final anchors, ascending; the last four are those that claims may rest on."""
    query = select(Anchor.size).where(
        Anchor.city == city, Anchor.chain_id == chain_id, Anchor.contract == contract
    )  # fmt: skip
    return sorted(session.scalars(query.order_by(Anchor.size.desc()).limit(limit)))


def follow(database: Database, city: str, site: Site) -> int:
    """Keep the anchors that became final since the last look; how many there were.

    Raises:
        AnchorsMissing: the node leaves some out.
        ChainError: it gives no answer, or another chain's.
    """
    token, chain_id = artifact("KgoToken"), site.node.chain_id
    final = site.final()
    with database.read() as session:
        reading = session.get(AnchorReading, (city, chain_id, site.token))
        known = sizes(session, city, chain_id, site.token, 1)
    read_to = reading.block_number if reading else site.deployment.token.block - 1
    if final.number <= read_to:
        return 0
    anchored, _ = client.read(site.node, token, site.token, "anchored", at=final.number)
    place = known[0] if known else 0
    found = list(client.events(site.node, token, site.token, "Anchored", read_to + 1, final.number))
    for event in found:
        if event.arguments["oldSize"] != place:
            raise AnchorsMissing(city=city, after=place, found=event.arguments["oldSize"])
        place = event.arguments["size"]
    if place != anchored:
        raise AnchorsMissing(city=city, after=place, anchored=anchored)
    times = {number: client.block(site.node, number).timestamp for number in {one.block_number for one in found}}
    with database.write() as session:
        row = session.get(AnchorReading, (city, chain_id, site.token), with_for_update=True)
        if (row.block_number if row else site.deployment.token.block - 1) != read_to:
            return 0  # another process was faster
        session.add_all(_row(city, site, event, times[event.block_number]) for event in found)
        session.merge(
            AnchorReading(city=city, chain_id=chain_id, contract=site.token, block_number=final.number)
        )  # fmt: skip
        try:
            session.commit()
        except IntegrityError:
            return 0  # likewise, where there was no row to hold
    return len(found)


def guard(database: Database, published: Published, city: str, site: Site) -> None:
    """Make sure that the log leads to its newest final anchor; otherwise nobody signs any more.

    Where it leads to one that is not final yet as well, the database is trusted from now on.

    Raises:
        LogBehindAnchor, SplitView: it does not.
        ChainError: the node gives no answer.
    """
    newest_size, newest_root = client.read(site.node, artifact("KgoToken"), site.token, "anchored")
    with database.read() as session:
        query = select(Anchor).where(
            Anchor.city == city, Anchor.chain_id == site.node.chain_id, Anchor.contract == site.token
        )  # fmt: skip
        last = session.scalar(query.order_by(Anchor.size.desc()).limit(1))
        size = entries.size(session, city)

        def leads_to(anchored: int, root: bytes) -> bool:
            return anchored == 0 or (size >= anchored and tree.root_at(session, city, anchored) == root)

        if last is None or leads_to(last.size, last.root):
            if leads_to(newest_size, newest_root):
                published.trust(city)
            return
    published.doubt(city, last.size, last.root)
    log.error("%s has %s entries, and %s are anchored for good: nothing is signed any more", city, size, last.size)
    if size < last.size:
        raise LogBehindAnchor(city=city, size=size, anchored=last.size)
    raise SplitView(city=city, size=last.size, anchored=last.root.hex())


def _row(city: str, site: Site, event: Event, timestamp: int) -> Anchor:
    told = event.arguments
    return Anchor(
        city=city, chain_id=site.node.chain_id, contract=site.token, size=told["size"], old_size=told["oldSize"],
        root=told["root"], transaction=event.transaction, block_number=event.block_number,
        at=from_milliseconds(timestamp * 1_000),
    )  # fmt: skip


def wish(database: Database, city: str, site: Site, now: datetime, *, insist: bool = False) -> Wish | None:
    """Wish for the next anchor if it is due; the wish, or None.

    Args:
        database: where log and outbox are.
        city: whose.
        site: its contracts.
        now: the current instant.
        insist: whether to anchor whatever is new, due or not.

    Raises:
        LogBehindAnchor, SplitView: the log is not the one that was anchored.
        ChainError: the node gives no answer.
    """
    token = artifact("KgoToken")
    with database.read() as session:
        if any(one.wish.address == site.token for one in outbox.open_(session, city, PURPOSE)):
            return None
        last = _last(session, city, site)
    old, root = client.read(site.node, token, site.token, "anchored")
    with database.read() as session:
        newest = parse(seal.latest(session, city).note)
        if newest.size < old:
            raise LogBehindAnchor(city=city, size=newest.size, anchored=old)
        if old and tree.root_at(session, city, old) != root:
            raise SplitView(city=city, size=old, anchored=root.hex())
        if newest.size == old or not (insist or _is_due(site, newest.size - old, last, now)):
            return None
        proof = tree.consistency(session, city, old, newest.size)
        refused = outbox.count(session, city, PURPOSE, outbox.REVERTED)
    data = token.call_data("anchor", old, newest.size, newest.root, proof)
    key = f"{site.token} {old}-{newest.size} {refused}"
    wanted = Wish(PURPOSE, key, site.node.chain_id, "anchorer", "KgoToken", site.token, data)
    with database.write() as session:
        try:
            queued = outbox.wish(session, city, wanted, now)
            session.commit()
        except IntegrityError:
            return None  # another process was faster
    return wanted if queued else None


def _last(session: Session, city: str, site: Site) -> tuple[datetime, str] | None:
    """When the last anchor on this contract was wished for, and what became of it."""
    found = [one for one in outbox.settled(session, city, PURPOSE) if one.wish.address == site.token]
    newest = max(found, key=lambda one: one.queued_at, default=None)
    return (newest.queued_at, newest.state) if newest else None


def _is_due(site: Site, new: int, last: tuple[datetime, str] | None, now: datetime) -> bool:
    if last is None:
        return True
    at, state = last
    if state == outbox.REVERTED and now < at + RETRY:
        return False
    return new >= site.deployment.anchor_entries or now >= at + timedelta(seconds=site.deployment.anchor_seconds)
