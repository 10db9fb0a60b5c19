"""What has to happen without anybody asking: holds expire, airdrops are paid, checkpoints cosigned and anchored.

Due holds expire, an airdrop that was confirmed and that nobody drives goes on, and each day's totals are attested in
the log. Nothing depends on it being punctual: the writer expires what is due before every batch anyway, and whoever
waits for an airdrop drives it. Every job may run in several processes at once and is repeated without harm.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from ledger.book import accounts, cities, entries, journal, seal
from ledger.book.commands import Command
from ledger.book.entries import Entry
from ledger.book.unit import Unit
from ledger.book.writer import Writer
from ledger.errors import LedgerError
from ledger.installation import Installation
from ledger.log.public import PublicLog
from ledger.people.roles import Principal
from ledger.programme import airdrop_reports, airdrops
from ledger.programme.airdrop_verdicts import RUNNING

EVERY_SECONDS = 30
log = logging.getLogger(__name__)


def run_once(writer: Writer) -> dict[str, int]:
    """Run every job for every city once; how many entries each city's log grew by."""
    with writer.database.read() as session:
        sizes = {city.id: entries.size(session, city.id) for city in cities.all_(session)}
    grown = {}
    for city, before in sizes.items():
        finish_airdrops(writer, city)
        grown[city] = writer.run(city, attest_day) - before
    return grown


def collect_cosignatures(public: PublicLog) -> None:
    """Have the cities' newest checkpoints cosigned by the witnesses of the policy; what is amiss is in the log.

    It runs apart from the other jobs, which do not wait for witnesses that are slow.
    """
    for city, standings in public.collect().items():
        for one in standings:
            if one.problem:
                log.warning("%s was not cosigned by the witness %s: %s", city, one.name, one.problem)


def chain_job(installation: Installation) -> Callable[[], object]:
    """The round that tends the cities' chains; see `ledger.chain.operating`.

    It runs apart from the other jobs, which do not wait for a node that is slow or down. Without a file in the data
    directory's `chain` nothing of the chain is imported.
    """
    chains: list[Any] = []

    def tend() -> object:
        if not any(installation.settings.chain.glob("*.toml")):
            return None
        if not chains:
            from ledger.chain.operating import Chains

            chains.append(Chains(installation))
        return chains[0].tend()

    return tend


def finish_airdrops(writer: Writer, city: str) -> None:
    """Pay on every airdrop that was confirmed, chunk by chunk through the queue, in which check-ins wait as well."""
    system = Principal.system(city)
    with writer.database.read() as session:
        confirmed = airdrop_reports.running(session, city)
    for identifier in confirmed:
        command = Command(partial(airdrops.proceed, principal=system, identifier=identifier))
        while (view := writer.submit(city, command).value) is not None and view.state == RUNNING:
            pass


def attest_day(unit: Unit) -> int:
    """Attest the totals once a day if anything happened since the last time; the size of the log afterwards.

    The writer has expired what was due before it gets here.
    """
    last = unit.session.execute(
        select(Entry.seq, Entry.kind, Entry.at).where(Entry.city == unit.city.id).order_by(Entry.seq.desc()).limit(1)
    ).one_or_none()
    if last is not None and last.kind != "attest" and not _attested_on(unit, unit.now):
        journal.append(unit, "attest", actor="system", ref={"totals": accounts.totals(unit.session, unit.city.id)})
    return unit.next_seq


def _attested_on(unit: Unit, now: datetime) -> bool:
    midnight = now.astimezone(ZoneInfo(unit.city.zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    before = midnight.astimezone(now.tzinfo) - timedelta(milliseconds=1)
    last = seal.last_seq_at(unit.session, unit.city.id, before)
    attested = select(Entry.seq).where(Entry.city == unit.city.id, Entry.seq > last, Entry.kind == "attest")
    # In order, for it stands among the first of a day.
    return unit.session.scalar(attested.order_by(Entry.seq).limit(1)) is not None


def run_for_ever(job: Callable[[], object], stop: threading.Event, every: timedelta) -> None:
    """Run a job again and again until `stop` is set."""
    while not stop.wait(every.total_seconds()):
        run_safely(job)


def run_safely(job: Callable[[], object]) -> None:
    """Run a job; what goes wrong is in the log."""
    try:
        job()
    except LedgerError as refusal:
        log.warning("a job was refused: %s", refusal)
    except Exception:
        log.exception("a job failed")
