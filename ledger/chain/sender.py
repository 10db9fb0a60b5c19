"""Carries out the calls that wait in the outbox, whatever happens to the process, the node or the chain meanwhile.

`Sender.drain` looks at every call that is not settled, once, and returns; a job repeats it. All it goes by is in the
database and on the chain, so that it may break off anywhere and may run in several processes at a time:

* First the gas is estimated, which tells what the contract would refuse. A refusal counts only when the state it rests
  on is final: the chain may still be taken back, and a node may lag.
* Then nonce and signed bytes are stored by one transaction, and only then are the bytes handed to the node. A nonce
  comes from the city's own row, or from the chain where that is ahead, never from what a node holds as pending.
* From then on the receipt of each attempt is asked for. One that is final settles the call. While there is none, the
  newest attempt is handed to the node again if the node has not got it, and replaced by one that offers more if it
  waits for too long. "Known" and "nonce used" are no failures: each attempt is looked up in the next round.
* A nonce that is used in the final state, while no attempt has a receipt, went to somebody who has the same key. Only
  once the chain has gone on by `LOST_BLOCKS` final blocks does the call get another nonce, for of several nodes behind
  one address some lag.
* A nonce below one that is in flight, which no attempt of ours has and no block uses, holds all above it up: whoever
  used it with the same key was taken back with the chain. It is filled with a payment of nothing to ourselves, a call
  like every other. The call above keeps its nonce, for the same call at two nonces might be mined twice. One that was
  ours, of a call that was settled for good and is taken back all the same, gets its bytes once more.
* Before anything is stored the node is asked again whose it is, since what is stored is never taken back.

Offers never exceed the limit given; a call that would need more waits, and the log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from ledger.chain import client, outbox
from ledger.chain.artifacts import artifact
from ledger.chain.client import Block, Node, Receipt
from ledger.chain.errors import NodeRefused, Reverted
from ledger.chain.keys import Fees, Signed, Transaction, address_of, sign
from ledger.chain.outbox import Call, ChainAttempt, ChainCall, ChainNonce, Role, Wish
from ledger.db import Database

GWEI = 10**9

STUCK = timedelta(minutes=3)
"""How long a transaction may wait before one that offers more takes its place."""

MOST_IN_FLIGHT = 8
"""How many calls of one sender may be on their way at once."""

LOST_BLOCKS = 16
"""For how many final blocks a used nonce has to stay without a receipt before it counts as somebody else's."""

FILL = "fill"
"""The purpose of calls that do nothing but use a nonce; their keys name sender and nonce."""

log = logging.getLogger(__name__)


@dataclass
class Drained:
    """What a round did: how many calls it sent, replaced, saw done or reverted, and how many are not settled yet."""

    sent: int = 0
    replaced: int = 0
    done: int = 0
    reverted: int = 0
    waiting: int = 0


@dataclass(frozen=True)
class Sender:
    """Carries out one city's calls on one chain.

    Attributes:
        database: where the outbox is.
        city: whose.
        node: a node of the chain.
        keys: private keys by role; a call whose role has no key here waits.
        clock: the current instant.
        final: asks for the newest block that the chain will not take back.
        fee_limit: the most to offer for a unit of gas, in wei.
        stuck: how long a transaction may wait before it is replaced.
    """

    database: Database
    city: str
    node: Node
    keys: Mapping[Role, bytes] = field(repr=False)
    clock: Callable[[], datetime]
    final: Callable[[], Block]
    fee_limit: int = 500 * GWEI
    stuck: timedelta = STUCK

    def drain(self) -> Drained:
        """Look at every call once.

        Raises:
            Unreachable: the node gave no answer; nothing is lost, the next round goes on.
        """
        calls, done = self._open(), Drained()
        if not calls:
            return done
        client.confirm(self.node)
        final = self.final()
        for call in sorted((one for one in calls if one.state == outbox.SENT), key=lambda one: one.nonce or 0):
            self._follow(call, final, done)
        for call in calls:
            if call.state == outbox.QUEUED:
                self._send(call, final, done)
        done.waiting = len(self._open())
        return done

    def _open(self) -> list[Call]:
        with self.database.read() as session:
            return [one for one in outbox.open_(session, self.city) if one.wish.chain_id == self.node.chain_id]

    # What is on its way

    def _follow(self, call: Call, final: Block, done: Drained) -> None:
        """Settle a call if an attempt is final, and otherwise see that the node has it."""
        # Asked first: whoever says that the nonce is used has had every chance to show the receipt.
        used = client.nonce(self.node, call.sender or "", final.number) > (call.nonce or 0)
        with self.database.read() as session:
            attempts = outbox.attempts(session, self.city, call)
        for attempt in reversed(attempts):
            receipt = client.receipt(self.node, attempt.hash)
            if receipt is None:
                continue
            if receipt.block_number <= final.number and self._is_on_chain(receipt):
                self._settle(call, receipt, attempt.gas, done)
            return
        if used:
            self._lose(call, final)
        else:
            self._urge(call, attempts[-1], done)

    def _is_on_chain(self, receipt: Receipt) -> bool:
        return client.block(self.node, receipt.block_number).hash == receipt.block_hash

    def _settle(self, call: Call, receipt: Receipt, gas: int, done: Drained) -> None:
        facts = {"transaction": receipt.hash, "block_number": receipt.block_number, "ended_at": self.clock()}
        if receipt.succeeded:
            deployed = receipt.contract
            done.done += self._change(
                call, state=outbox.DONE, deployed=deployed, lost_at=None, reason=None, params=None, **facts
            )
            return
        reason, params = self._why(call, receipt, gas)
        if self._change(call, state=outbox.REVERTED, lost_at=None, reason=reason, params=params, **facts):
            done.reverted += 1
            log.warning("%s: the contract refused %s %s: %s", self.city, call.wish.purpose, call.wish.key, reason)

    def _why(self, call: Call, receipt: Receipt, gas: int) -> tuple[str, dict[str, str]]:
        """Why a transaction failed, as far as can be told afterwards: tried again in the state before its block."""
        if receipt.gas_used >= gas:
            return "out_of_gas", {}
        try:
            self._attempt(call, call.sender or "", receipt.block_number - 1)
        except Reverted as reverted:
            return reverted.reason or "reverted", _as_text(reverted)
        except NodeRefused:
            log.info("%s keeps no state of block %s", self.node.host, receipt.block_number - 1)
        return "reverted", {}

    def _lose(self, call: Call, final: Block) -> None:
        """Give a call another nonce, once it is certain that its own went to somebody else."""
        if call.lost_at is None:
            self._change(call, lost_at=final.number)
        elif final.number >= call.lost_at + LOST_BLOCKS:
            log.warning("%s: somebody else used nonce %s of %s", self.city, call.nonce, call.sender)
            if call.wish.purpose == FILL:  # which is as good
                self._change(call, state=outbox.REVERTED, reason="nonce_used", ended_at=self.clock())
            else:
                self._change(call, state=outbox.QUEUED, nonce=None, sender=None, lost_at=None)

    def _urge(self, call: Call, newest: ChainAttempt, done: Drained) -> None:
        """See that the node has the newest attempt; if it waits for too long, clear its way or offer more."""
        overdue = self.clock() - newest.signed_at >= self.stuck
        blocked = overdue and self._clear_way(call, done)
        if not client.is_known(self.node, newest.hash):
            if self._broadcast(call, newest) == "underpriced":
                self._replace(call, newest, done)
        elif overdue and not blocked:
            self._replace(call, newest, done)

    def _clear_way(self, call: Call, done: Drained) -> bool:
        """Fill the nonces that nobody uses below a call's own; whether there were any, or such a filler is on its way.

        What the node holds as pending is not asked for: who has waited with this key for as long is stuck as well.
        """
        sender, nonce = call.sender or "", call.nonce or 0
        count = client.nonce(self.node, sender)
        between = range(count, nonce)
        if not between:
            return False
        with self.database.read() as session:
            ours = outbox.newest(session, self.city, self.node.chain_id, sender, between)
            below = [one for one in outbox.open_(session, self.city) if one.sender == sender and one.nonce in ours]
        settled = sorted(ours.keys() - {one.nonce for one in below})[:MOST_IN_FLIGHT]
        lost = [one for one in settled if not client.is_known(self.node, ours[one].hash)]
        for one in lost:
            log.warning("%s: the chain took back what was final: nonce %s of %s is sent again", self.city, one, sender)
            self._broadcast(call, ours[one])
        gaps = [one for one in between if one not in ours][:MOST_IN_FLIGHT]
        for gap in gaps:
            self._fill(call, gap, done)
        return bool(lost or gaps) or any(one.wish.purpose == FILL for one in below)

    def _fill(self, call: Call, nonce: int, done: Drained) -> None:
        """Use up a nonce that holds a call up, and nothing else: it pays nothing to its own sender."""
        sender, role = call.sender or "", call.wish.role
        key = self.keys.get(role)
        if key is None or address_of(key) != sender:
            log.warning("%s: nonce %s of %s is not used, and its key is not here", self.city, nonce, sender)
            return
        wanted = Wish(FILL, f"{sender} {nonce}", self.node.chain_id, role, call.wish.contract, sender, b"")
        try:
            gas = client.estimate_gas(self.node, artifact(wanted.contract), sender, sender, b"")
        except NodeRefused as refused:
            self._note(call, refused)
            return
        fees = client.fees(self.node)
        if self._too_dear(fees):
            return
        with self.database.write() as session:
            self._hold_nonce(session, sender)
            if not outbox.wish(session, self.city, wanted, self.clock()):
                return  # another process was faster
            filler = outbox.get(session, self.city, FILL, wanted.key)
            made = self._sign(filler, key, nonce, 0, gas + gas // 4, fees)
            row = self._row(session, filler)
            row.state, row.sender, row.nonce = outbox.SENT, sender, nonce
            session.add(made)
            session.commit()
        log.warning("%s: nobody uses nonce %s of %s any more: it is filled", self.city, nonce, sender)
        done.sent += 1
        self._broadcast(_stored(filler, made), made)

    def _replace(self, call: Call, newest: ChainAttempt, done: Drained) -> None:
        """Sign the same call with the same nonce once more, and offer more."""
        fees = client.fees(self.node).replacing(Fees(newest.most, newest.tip))
        key = self.keys.get(call.wish.role)
        if key is None or address_of(key) != call.sender:
            log.warning("%s: %s is stuck, and the key of %s is not here", self.city, newest.hash, call.sender)
            return
        if self._too_dear(fees):
            return
        with self.database.write() as session:
            self._hold_nonce(session, newest.sender)
            known = outbox.attempts(session, self.city, call)
            if known[-1].number != newest.number or self._row(session, call).state != outbox.SENT:
                return  # another process was faster
            made = self._sign(call, key, newest.nonce, newest.number + 1, newest.gas, fees)
            session.add(made)
            session.commit()
        done.replaced += 1
        self._broadcast(call, made)

    # What waits

    def _send(self, call: Call, final: Block, done: Drained) -> None:
        """Take a nonce for a call, store the signed bytes, and then hand them to the node."""
        key = self.keys.get(call.wish.role)
        if key is None:
            return
        sender, wanted = address_of(key), call.wish
        latest = client.block(self.node, "latest")
        try:
            gas = client.estimate_gas(self.node, artifact(wanted.contract), sender, wanted.address, wanted.data)
        except Reverted as refused:
            self._refuse(call, sender, refused, latest, final, done)
            return
        except NodeRefused as refused:
            self._note(call, refused)
            return
        fees, count = client.fees(self.node), client.nonce(self.node, sender)
        if self._too_dear(fees):
            return
        client.confirm(self.node, *([wanted.address] if wanted.address else []))
        made = self._store(call, key, sender, count, gas + gas // 4, fees)
        if made is not None:
            done.sent += 1
            self._broadcast(_stored(call, made), made)

    def _too_dear(self, fees: Fees) -> bool:
        if fees.most > self.fee_limit:
            log.warning("%s: the chain asks for %s wei per gas, above the limit", self.city, fees.most)
        return fees.most > self.fee_limit

    def _store(
        self, call: Call, key: bytes, sender: str, count: int, gas: int, fees: Fees
    ) -> ChainAttempt | None:  # fmt: skip
        """Take a nonce and store what uses it; None if somebody else did so, or too much is on its way."""
        with self.database.write() as session:
            row = self._hold_nonce(session, sender)
            kept = self._row(session, call)
            flying = select(func.count()).where(
                ChainCall.city == self.city, ChainCall.ended_at.is_(None), ChainCall.sender == sender
            )
            if kept.state != outbox.QUEUED or (session.scalar(flying) or 0) >= MOST_IN_FLIGHT:
                return None
            nonce = max(row.next, count)
            made = self._sign(call, key, nonce, 0, gas, fees)
            row.next = nonce + 1
            kept.state, kept.sender, kept.nonce = outbox.SENT, sender, nonce
            kept.refused_at = kept.reason = kept.params = None
            session.add(made)
            session.commit()
        return made

    def _refuse(
        self, call: Call, sender: str, refused: Reverted, latest: Block, final: Block, done: Drained
    ) -> None:  # fmt: skip
        """Note that the contract refuses; settle the call once the refusal rests on what is final."""
        facts = {"reason": refused.reason or "reverted", "params": _as_text(refused)}
        since = latest.number if call.refused_at is None else call.refused_at
        if final.number < since or not self._refuses(call, sender, final):
            self._change(call, refused_at=since, **facts)
        elif self._change(call, state=outbox.REVERTED, refused_at=since, ended_at=self.clock(), **facts):
            done.reverted += 1
            log.warning("%s: the contract refuses %s %s: %s", self.city, call.wish.purpose, call.wish.key, refused)

    def _refuses(self, call: Call, sender: str, at: Block) -> bool:
        try:
            self._attempt(call, sender, at.number)
        except Reverted:
            return True
        return call.wish.address is None  # a constructor cannot be tried so, and reads nothing of the chain

    # The node

    def _attempt(self, call: Call, sender: str, at: int) -> None:
        if call.wish.address is not None:
            client.attempt(
                self.node, artifact(call.wish.contract), sender, call.wish.address, call.wish.data, at=at
            )  # fmt: skip

    def _broadcast(self, call: Call, attempt: ChainAttempt) -> str | None:
        """Hand signed bytes to the node; of what kind its refusal is, if it refuses."""
        try:
            client.broadcast(self.node, Signed(attempt.raw, attempt.hash, attempt.sender))
        except NodeRefused as refused:
            if refused.reason not in ("known", "nonce_used"):
                self._note(call, refused)
            return refused.reason
        if call.reason is not None:
            self._change(call, reason=None, params=None)
        return None

    def _note(self, call: Call, refused: NodeRefused) -> None:
        """Keep what stands in a call's way; it may pass by itself, or want an operator."""
        log.warning("%s: the node refuses %s %s: %s", self.city, call.wish.purpose, call.wish.key, refused)
        self._change(call, reason=refused.reason, params={"message": str(refused.params["message"])})

    # The database

    def _sign(
        self, call: Call, key: bytes, nonce: int, number: int, gas: int, fees: Fees
    ) -> ChainAttempt:  # fmt: skip
        signed = sign(Transaction(self.node.chain_id, nonce, call.wish.address, call.wish.data, gas, fees), key)
        return ChainAttempt(
            city=self.city, chain_id=self.node.chain_id, sender=signed.sender, nonce=nonce, number=number,
            hash=signed.hash, raw=signed.raw, gas=gas, most=fees.most, tip=fees.tip, signed_at=self.clock(),
        )  # fmt: skip

    def _hold_nonce(self, session: Session, sender: str) -> ChainNonce:
        """Hold the sender's row until the transaction ends; it is made if there is none."""
        place = {"city": self.city, "chain_id": self.node.chain_id, "sender": sender}
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        session.execute(insert(ChainNonce).values(**place, next=0).on_conflict_do_nothing())
        return session.get_one(ChainNonce, place, with_for_update=True)

    def _row(self, session: Session, call: Call) -> ChainCall:
        """A call's row as it is now, held."""
        return session.get_one(ChainCall, (self.city, call.wish.purpose, call.wish.key), with_for_update=True)

    def _change(self, call: Call, **changes: object) -> bool:
        """Change a call, unless it is not any more as it was seen; whether it was changed."""
        with self.database.write() as session:
            row = self._row(session, call)
            if (row.state, row.nonce) != (call.state, call.nonce):
                return False
            for name, value in changes.items():
                setattr(row, name, value)
            session.commit()
        return True


def _stored(call: Call, made: ChainAttempt) -> Call:
    """A call as it stands once an attempt of it is stored."""
    return replace(call, state=outbox.SENT, sender=made.sender, nonce=made.nonce, reason=None)


def _as_text(reverted: Reverted) -> dict[str, str]:
    """The arguments of a contract's error, as they are kept."""
    return {
        name: f"0x{value.hex()}" if isinstance(value, bytes) else str(value) for name, value in reverted.params.items()
    }
