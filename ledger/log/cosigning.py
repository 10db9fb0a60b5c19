"""Collecting cosignatures: each city's newest checkpoint goes to the witnesses that the policy names.

Of every witness is kept how large the log was when it last cosigned, which is where the next consistency proof starts.
A witness that knows another size says so (409), and is asked again from there. What it returns is verified before it is
stored. One that fails is left alone for a while, twice as long each time.

Nothing waits for witnesses: entries are acknowledged under the city's own signature. Any number of processes may
collect at once; they store the same things. The installation's own witness, where the policy names it, is asked by a
call instead of HTTP, through the same function that answers HTTP.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book import seal, tree
from ledger.book.seal import SignedCheckpoint
from ledger.db import Base, Database, Instant
from ledger.log.checkpoints import Cosignature, Quorum
from ledger.log.policies import Rule
from ledger.log.submission import Submit, Unreachable, request_body
from ledger.log.witness import SIZE, Reply
from ledger.proof.checkpoint import CheckpointError, signatures_of
from ledger.proof.cosignature import cosigned_at
from ledger.proof.policy import Party, Policy
from ledger.rows import run
from ledger.signing import signature_line
from ledger.values import to_milliseconds

AT_ONCE = 8
"""How many witnesses are asked at a time."""

MOST_TRIES = 3
"""How often a witness is asked in one round: it may know another size, and another process may be asking it too."""

FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
"""How long a witness that failed is left alone."""

_size = re.compile(r"(0|[1-9][0-9]{0,18})\n").fullmatch
_REFUSALS = {400: "refused_malformed", 403: "refused_key", 404: "refused_log", 422: "refused_proof"}
log = logging.getLogger(__name__)


class Submission(Base):
    """How a city stands with a witness.

    Attributes:
        city: whose log.
        witness: the name and the id of the witness's key.
        size: what the witness cosigned last, as far as is known.
        failures: how often it has failed since.
        problem: in a word, how it failed last; None if it did not.
        tried_at: when it was asked last.
        retry_at: when it may be asked again, after a failure.
    """

    __tablename__ = "submissions"

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    witness: Mapped[str] = mapped_column(Text, primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    failures: Mapped[int] = mapped_column(BigInteger)
    problem: Mapped[str | None] = mapped_column(Text)
    tried_at: Mapped[datetime] = mapped_column(Instant)
    retry_at: Mapped[datetime | None] = mapped_column(Instant)


@dataclass(frozen=True)
class Standing:
    """How a city stands with a witness of the policy.

    Attributes:
        name: what the policy calls the witness.
        vkey: its verifier key.
        size: what it cosigned last; 0 for nothing yet.
        problem: how it failed last, if it has since; None otherwise.
        tried_at: when it was asked last, if ever.
    """

    name: str
    vkey: str
    size: int = 0
    problem: str | None = None
    tried_at: datetime | None = None


@dataclass(frozen=True)
class _Asked:
    """What came of asking a witness: the size it has now, a line for the checkpoint of that size, or a problem."""

    size: int
    line: str | None = None
    at: int = 0
    problem: str | None = None


def key_of(party: Party) -> str:
    """What a witness's key is filed under: name and key id, unique as far as signatures go."""
    return f"{party.key.name}+{party.key.key_id.hex()}"


def standings(session: Session, city: str, policy: Policy) -> list[Standing]:
    """How a city stands with each witness of a policy, in the order of the file."""
    known = {row.witness: row for row in session.scalars(select(Submission).where(Submission.city == city))}
    found = []
    for name, party in policy.witnesses.items():
        row = known.get(key_of(party))
        facts = (row.size, row.problem, row.tried_at) if row else ()
        found.append(Standing(name, party.vkey, *facts))
    return found


def collect(
    database: Database,
    city: str,
    rule: Rule,
    submitters: Mapping[str, Submit],
    clock: Callable[[], datetime],
    *,
    insist: bool = False,
) -> list[Standing]:
    """Ask every witness that has not cosigned the newest checkpoint of a city; how it stands with each then.

    Args:
        database: where the log is, and where cosignatures go.
        city: whose log.
        rule: the policy.
        submitters: how to reach the witnesses, by their names in the policy; one that is left out is not asked.
        clock: the current instant.
        insist: whether witnesses that failed lately are asked again.
    """
    now = clock()
    with database.read() as session:
        newest = seal.latest(session, city)
        known = {row.witness: row for row in session.scalars(select(Submission).where(Submission.city == city))}
        cosigned = _cosigners(session, city, newest.size)
    wanted: dict[str, Party] = {}
    for name, party in rule.policy.witnesses.items():
        row = known.get(key_of(party))
        waiting = row is not None and row.retry_at is not None and row.retry_at > now and not insist
        if name in submitters and not waiting and key_of(party) not in cosigned:
            wanted[name] = party

    def ask_one(name: str) -> _Asked:
        row = known.get(key_of(wanted[name]))
        return _ask(database, newest, wanted[name], submitters[name], row.size if row else 0)

    asked = _at_once(ask_one, list(wanted))
    _store(database, city, known, {key_of(wanted[name]): one for name, one in asked.items()}, now)
    _note_quorum(database, city, rule, newest.size)
    with database.read() as session:
        return standings(session, city, rule.policy)


def _at_once(ask: Callable[[str], _Asked], names: Sequence[str]) -> dict[str, _Asked]:
    """Ask several witnesses at a time, in threads that no process waits for when it ends."""
    answers: dict[str, _Asked] = {}
    faults: list[Exception] = []
    turns = threading.BoundedSemaphore(AT_ONCE)

    def run_one(name: str) -> None:
        with turns:
            try:
                answers[name] = ask(name)
            except Exception as fault:  # told by the thread that waits
                faults.append(fault)

    threads = [threading.Thread(target=run_one, args=(name,), name=f"witness-{name}", daemon=True) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return answers


def _ask(database: Database, newest: SignedCheckpoint, party: Party, submit: Submit, known: int) -> _Asked:
    """Ask a witness for its cosignature of a checkpoint, from the size that it is thought to have."""
    size, city = known, newest.city
    for _ in range(MOST_TRIES):
        with database.read() as session:
            if known > newest.size:
                return _ahead(session, city, party, known)
            proof = tree.consistency(session, city, known, newest.size)
        try:
            reply = submit(request_body(known, proof, newest.note))
        except Unreachable as fault:
            return _Asked(size, problem=str(fault))
        if reply.status == 200:
            return _accept(party, newest.note, newest.size, reply)
        told = _size(reply.body) if reply.status == 409 and reply.content_type == SIZE else None
        if told is None or int(told[1]) == known:
            problem = "refused_history" if reply.status == 409 else _REFUSALS.get(reply.status, f"http_{reply.status}")
            if problem in ("refused_history", "refused_proof"):
                log.error("%s has seen another history of %s: %s", party.key.name, city, reply.body.strip())
            return _Asked(size, problem=problem)
        known = size = int(told[1])
    return _Asked(size, problem="busy")


def _ahead(session: Session, city: str, party: Party, known: int) -> _Asked:
    """The witness has cosigned a larger checkpoint: another process asked it meanwhile, or the log has lost a part."""
    size = seal.latest(session, city).size
    if known <= size:
        return _Asked(known)
    log.error("%s has cosigned %s entries of %s, which has %s", party.key.name, known, city, size)
    return _Asked(known, problem="ahead")


def _accept(party: Party, note: str, size: int, reply: Reply) -> _Asked:
    """Take the witness's cosignature out of its answer, if it is a valid one."""
    try:
        _, signatures = signatures_of(note + reply.body, party.key)
        for signature in signatures:
            line = signature_line(party.vkey, signature)
            at = cosigned_at(note + line, party.key)
            if at is not None:
                return _Asked(size, line, at)
    except CheckpointError as fault:
        log.warning("%s answered with a cosignature that is none: %s", party.key.name, fault)
    return _Asked(size, problem="bad_cosignature")


def _store(
    database: Database, city: str, known: Mapping[str, Submission], asked: Mapping[str, _Asked], now: datetime
) -> None:
    """Keep what came of a round."""
    if not asked:
        return
    with database.write() as session:
        for key, one in asked.items():
            if one.line is not None:
                run(session, _ADD_LINE, city, one.size, key, one.line, one.at * 1000)
            before = known.get(key)
            failures = 0 if one.problem is None else (before.failures if before else 0) + 1
            pause = min(FIRST_WAIT * 2 ** min(failures - 1, 20), LONGEST_WAIT) if failures else None
            retry_at = None if pause is None else to_milliseconds(now + pause)
            run(session, _PUT_STANDING, city, key, one.size, failures, one.problem, to_milliseconds(now), retry_at)
        session.commit()


def _note_quorum(database: Database, city: str, rule: Rule, size: int) -> None:
    """Note that the checkpoint of a size satisfies the policy, if it does and nobody has; not where none is needed."""
    if rule.policy.satisfied(()):
        return
    with database.read() as session:
        keys = _cosigners(session, city, size)
        noted = session.get(Quorum, (city, rule.name, size))
    names = [name for name, party in rule.policy.witnesses.items() if key_of(party) in keys]
    if noted is None and rule.policy.satisfied(names):
        with database.write() as session:
            run(session, _ADD_QUORUM, city, rule.name, size)
            session.commit()


def _cosigners(session: Session, city: str, size: int) -> set[str]:
    return set(session.scalars(select(Cosignature.witness).where(Cosignature.city == city, Cosignature.size == size)))


_ADD_LINE = """
INSERT INTO cosignatures (city, size, witness, line, "at") VALUES (?, ?, ?, ?, ?)
ON CONFLICT (city, size, witness) DO NOTHING
"""
_ADD_QUORUM = """
INSERT INTO quorums (city, policy, size) VALUES (?, ?, ?) ON CONFLICT (city, policy, size) DO NOTHING
"""
_PUT_STANDING = """
INSERT INTO submissions (city, witness, size, failures, problem, tried_at, retry_at)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (city, witness) DO UPDATE SET size = excluded.size,
failures = excluded.failures, problem = excluded.problem, tried_at = excluded.tried_at, retry_at = excluded.retry_at
"""
