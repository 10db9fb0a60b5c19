"""Lists of claims: what each wallet may claim in all, committed in the log before anything about it is signed.

    COMMITTED → PROPOSED → ACTIVE        COMMITTED → FAILED        PROPOSED → VETOED

A list is computed from the first `size` entries, where `size` is one that the contract has anchored. One command
computes it, keeps its bytes, appends the `attest` entry that bears its hash, and stages the transaction that proposes
it; so no list is ever signed that the log does not know, and what it holds cannot be cancelled any more.

At most one list is under way. A later list never takes anything from an earlier one, except from one whose veto is
finalized: VETOED is the only end after which its withdrawals are free. FAILED says that the contract refused the
proposal for good; its withdrawals stand in the next list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, Protocol

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, Select, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book import accounts, journal
from ledger.book.unit import Unit
from ledger.chain import bridges, requests
from ledger.chain.artifacts import artifact
from ledger.chain.bridges import Bridge
from ledger.chain.claims import Claim, ClaimsTree, claims_tree
from ledger.db import Base, Instant
from ledger.errors import NotFound
from ledger.proof.encoding import canonical, parse_strict

COMMITTED, PROPOSED, ACTIVE, VETOED, FAILED = "committed", "proposed", "active", "vetoed", "failed"
UNDER_WAY = (COMMITTED, PROPOSED)
LOCKING = (COMMITTED, PROPOSED, ACTIVE, FAILED)
"""The states of a list from which nothing can be cancelled."""


class ClaimList(Base):
    """A list of claims. `seq` is that of its `attest` entry; `document` the bytes that are published."""

    __tablename__ = "claim_lists"
    __table_args__ = (
        CheckConstraint(f"state IN {(COMMITTED, PROPOSED, ACTIVE, VETOED, FAILED)}", name="claim_lists_state"),
        CheckConstraint("size <= seq", name="claim_lists_size"),
        Index("claim_lists_hash", "city", "hash"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    total_minor: Mapped[int] = mapped_column(BigInteger)
    root: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[str] = mapped_column(Text)
    document: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(Text)
    proposal: Mapped[int | None] = mapped_column(BigInteger)
    active_at: Mapped[datetime | None] = mapped_column(Instant)
    made_at: Mapped[datetime] = mapped_column(Instant)


class Outbox(Protocol):
    """Who sends transactions: stages one in the running transaction, once for each key, however often it is asked."""

    def __call__(self, unit: Unit, *, key: str, role: str, to: str, data: bytes) -> None:
        """Stage a call of `to` as the holder of `role`."""
        ...


@dataclass(frozen=True)
class Claiming:
    """What a learner, or anybody, sends to the contract to have a wallet paid.

    Attributes:
        contract: the address to call.
        data: the call.
        wallet: who is paid.
        cumulative_minor: all that the wallet has then received.
    """

    contract: str
    data: bytes
    wallet: str
    cumulative_minor: int

    @property
    def key(self) -> str:
        """By what the outbox knows it: a later list gives the same wallet another proof, and the older one is stale."""
        return f"claim {self.wallet} {self.cumulative_minor} {sha256(self.data).hexdigest()[:16]}"


def commit(unit: Unit, chain_id: int, anchored: Sequence[int], outbox: Outbox) -> ClaimList | None:
    """Make the next list, if there is one to make; None while one is under way or nothing is new.

    Args:
        unit: the running command's.
        chain_id: of the bridge.
        anchored: sizes that the contract can name, in any order.
        outbox: where the proposal is staged.

    Raises:
        Refused: `bridge_paused`.
    """
    bridge = bridges.working(unit, chain_id)
    session = unit.session
    latest = newest(session, bridge, LOCKING)
    if latest is not None and latest.state in UNDER_WAY:
        return None
    least = latest.size if latest is not None else 0
    known = latest.total_minor if latest is not None else 0
    failed = latest is not None and latest.state == FAILED
    for size in sorted({size for size in anchored if least <= size <= unit.next_seq}, reverse=True):
        claims = requests.claims(session, bridge, size)
        if claims is None:
            continue
        total = sum(claim.cumulative for claim in claims)
        if not claims or total < known or (total == known and not failed):
            return None
        return _write(unit, bridge, size, claims, total, outbox)
    return None


def proposal_key(made: ClaimList) -> str:
    """The key under which the proposal of a list is staged."""
    return f"propose {made.seq}"


def proposed(
    unit: Unit, bridge: Bridge, root: bytes, total: int, size: int, proposal: int, active_at: datetime
) -> bool:
    """Note that the contract holds a proposal for good; whether it is one of ours, which anything else is not."""
    found = unit.session.scalar(
        _of(bridge).where(
            ClaimList.root == root, ClaimList.total_minor == total, ClaimList.size == size,
            ClaimList.state.in_((COMMITTED, FAILED)),
        ).order_by(ClaimList.seq.desc()).limit(1)
    )  # fmt: skip
    if found is None:
        return False
    found.state, found.proposal, found.active_at = PROPOSED, proposal, active_at
    return True


def ended(unit: Unit, bridge: Bridge, proposal: int, state: str) -> bool:
    """Note that a proposal was activated or vetoed for good; whether it was one of ours."""
    found = unit.session.scalar(_of(bridge).where(ClaimList.proposal == proposal, ClaimList.state == PROPOSED))
    if found is None:
        return False
    found.state = state
    return True


def fail(unit: Unit, chain_id: int, seq: int) -> None:
    """Note that the contract refused a proposal for good, so that another list can be made."""
    found = unit.session.get(ClaimList, (unit.city.id, chain_id, seq))
    if found is not None and found.state == COMMITTED:
        found.state = FAILED


def activatable(session: Session, bridge: Bridge, now: datetime) -> ClaimList | None:
    """The proposal whose delay is over, if one waits."""
    return session.scalar(_of(bridge).where(ClaimList.state == PROPOSED, ClaimList.active_at <= now))


def current(session: Session, bridge: Bridge) -> ClaimList | None:
    """The list that can be claimed from."""
    return newest(session, bridge, (ACTIVE,))


def all_(session: Session, city: str, chain_id: int) -> list[ClaimList]:
    """Every list of a bridge, the newest first."""
    query = select(ClaimList).where(ClaimList.city == city, ClaimList.chain_id == chain_id)
    return list(session.scalars(query.order_by(ClaimList.seq.desc())))


def document(session: Session, city: str, hashed: str) -> bytes:
    """The bytes of a list, as anybody may read them.

    Raises:
        NotFound: the city has committed to no such list.
    """
    found = session.scalar(select(ClaimList.document).where(ClaimList.city == city, ClaimList.hash == hashed).limit(1))
    if found is None:
        raise NotFound("claims", hashed)
    return found


def claiming(session: Session, bridge: Bridge, wallet: str) -> Claiming:
    """The call that pays a wallet what the active list gives it.

    Raises:
        NotFound: no list is active, or the wallet is not in it.
    """
    listed = current(session, bridge)
    tree = _tree(listed.document) if listed is not None else None
    if listed is None or tree is None or wallet not in tree.claims:
        raise NotFound("claim", wallet)
    cumulative = tree.claims[wallet].cumulative
    data = artifact("KgoToken").call_data("claim", wallet, cumulative, listed.root, tree.proof(wallet))
    return Claiming(bridge.contract, data, wallet, cumulative)


def relay(unit: Unit, chain_id: int, wallet: str, outbox: Outbox) -> Claiming:
    """Have the operator's sender send that call, once for each wallet, amount and list.

    Raises:
        NotFound: as `claiming`.
        Refused: `bridge_paused`.
    """
    bridge = bridges.working(unit, chain_id)
    call = claiming(unit.session, bridge, wallet)
    outbox(unit, key=call.key, role="relayer", to=call.contract, data=call.data)
    unit.promises = True
    return call


def _write(
    unit: Unit, bridge: Bridge, size: int, claims: Iterable[Claim], total: int, outbox: Outbox
) -> ClaimList:  # fmt: skip
    data = canonical(
        {
            "chain_id": bridge.chain_id,
            "city": unit.city.id,
            "claims": [[claim.account, claim.cumulative] for claim in claims],
            "contract": bridge.contract,
            "size": size,
            "total": total,
        }
    )
    root, hashed = _tree(data).root, sha256(data).hexdigest()
    commitment = {
        "chain_id": bridge.chain_id,
        "contract": bridge.contract,
        "list": hashed,
        "root": root.hex(),
        "size": size,
        "total": total,
    }
    ref: dict[str, Any] = {"claims": commitment, "totals": accounts.totals(unit.session, unit.city.id)}
    posted = journal.append(unit, "attest", actor="system", ref=ref)
    made = ClaimList(
        city=unit.city.id, chain_id=bridge.chain_id, seq=posted.seq, size=size, total_minor=total, root=root,
        hash=hashed, document=data, state=COMMITTED, made_at=unit.now,
    )  # fmt: skip
    unit.session.add(made)
    call = artifact("KgoToken").call_data("propose", root, total, size)
    outbox(unit, key=proposal_key(made), role="proposer", to=bridge.contract, data=call)
    return made


def _of(bridge: Bridge) -> Select[ClaimList]:
    return select(ClaimList).where(ClaimList.city == bridge.city, ClaimList.chain_id == bridge.chain_id)


def newest(session: Session, bridge: Bridge, states: Sequence[str]) -> ClaimList | None:
    """The newest list in one of some states."""
    return session.scalar(_of(bridge).where(ClaimList.state.in_(states)).order_by(ClaimList.seq.desc()).limit(1))


@lru_cache(maxsize=16)
def _tree(data: bytes) -> ClaimsTree:
    """The tree of a list; made once for each, since it costs a few hashes a wallet."""
    listed = parse_strict(data)
    claims = [Claim(wallet, cumulative) for wallet, cumulative in listed["claims"]]
    return claims_tree(listed["chain_id"], listed["contract"], claims)
