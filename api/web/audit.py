"""The public log for eyes: what stands signed, how it grew, where tokens went, who watches, and all of it to take home.

Nobody need sign in. An appointed auditor who has is offered the openings as well. What the pages show of money comes
out of institutional accounts; of persons they know nothing (`ledger.log.growth`, `ledger.log.flows`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Response, request

from api import addresses, i18n
from api.services import services
from api.web import audit_views, figures
from api.web.shell import Answer, Visit, asked_whole, page, render, see, web
from api.web.words import N_, say
from ledger.book import entries
from ledger.book.entries import Entry
from ledger.city import export
from ledger.log import flows, growth
from ledger.proof.checkpoint import parse

NEWEST = 6
PAGE = 50
LARGEST = 10


@dataclass(frozen=True)
class Row:
    """An entry in a list. `amount` is the sum of its postings, minor units; `moves` says from where to where."""

    seq: int
    kind: str
    at: datetime
    amount: int
    moves: str


@dataclass(frozen=True)
class Anchor:
    """That a chain holds the root of the log at a size. `url` shows the transaction, where there is an explorer.

    `agrees` says whether the log has that root at that size; None where it has fewer entries.
    """

    size: int
    chain: str
    transaction: str
    at: datetime
    url: str = ""
    block: int | None = None
    contract: str = ""
    agrees: bool | None = True


@dataclass(frozen=True)
class Anchored:
    """What is told of a log's anchors: the newest ones, how many there are, and what an auditor asks a node with."""

    newest: list[Anchor]
    count: int
    options: str = ""


PROBLEMS = {
    "refused_history": N_("says it saw another history"),
    "refused_proof": N_("says it saw another history"),
    "refused_key": N_("does not accept this log's key"),
    "refused_log": N_("does not know this log"),
    "refused_malformed": N_("could not read the request"),
    "bad_cosignature": N_("sent an invalid signature"),
    "ahead": N_("signed more than this log has"),
    "busy": N_("was busy"),
}
"""What `ledger.log.cosigning` notes of a witness, in words; whatever else it notes is of the network."""

ANCHORS: list[Callable[[Visit], Anchored]] = []
"""Where anchors come from, newest first: whoever anchors logs adds itself here."""


@web.get("/c/<city>/audit/")
@page("log.read")
def audit_home(visit: Visit) -> str:
    """Everything that an auditor asks first."""
    session, city = visit.session, visit.city
    rows, following = _rows(visit, NEWEST, None)
    moved = flows.flows(session, city.id)
    history = growth.samples(session, city.id, visit.now, i18n.zone(city.zone))
    return render(
        "audit/home.html",
        totals=figures.of(session, city.id),
        checkpoint=_checkpoint(visit),
        entries=rows,
        next_url=visit.address("audit_entries", before=following) if following else None,
        supply=audit_views.supply(history),
        redeemed=audit_views.redeemed(history),
        growth=audit_views.growth(history),
        moved=moved,
        threads=audit_views.threads(visit, moved),
        activities=audit_views.ranked(visit, "budget", moved.earned),
        shops=audit_views.ranked(visit, "shop", moved.taken),
        largest=audit_views.holdings(visit, flows.largest(session, city.id, LARGEST)),
        standings=[
            (one, say(PROBLEMS.get(one.problem, N_("could not be reached"))) if one.problem else "")
            for one in services().public_log.standings(session, city.id, city.vkey)
        ],
        anchored=[told for source in ANCHORS if (told := source(visit)).newest],
        log_url=f"{services().public_url}/log/{city.id}/",
        appointed=visit.staff.may("openings.read"),
    )


@web.get("/c/<city>/audit/entries")
@page("log.read")
def audit_entries(visit: Visit) -> Answer:
    """All entries, newest first, a page at a time; `?seq=` leads to one."""
    wanted, newest = request.args.get("seq", "").strip().lstrip("#"), entries.size(visit.session, visit.city.id) - 1
    seq = addresses.whole(wanted)
    if seq is not None and 0 <= seq <= newest:
        return see(visit.address("audit_entry", seq=seq))
    rows, following = _rows(visit, PAGE, asked_whole("before"))
    following_url = visit.address("audit_entries", before=following) if following else None
    return render(
        "audit/entries.html", entries=rows, next_url=following_url, unknown=wanted or None, newest=max(newest, 0)
    )


@web.get("/c/<city>/audit/export.zip")
@page("log.read")
def audit_export(visit: Visit) -> Answer:
    """The whole log as a zip, without the openings."""
    return _zip(visit, f"{visit.city.id}.zip", openings=False)


@web.get("/c/<city>/audit/openings.zip")
@page("openings.read", door="auditor")
def audit_openings(visit: Visit) -> Answer:
    """The whole log with the openings: which account each handle stands for. For appointed auditors."""
    return _zip(visit, f"{visit.city.id}-openings.zip", openings=True)


def _zip(visit: Visit, filename: str, *, openings: bool) -> Response:
    visit.close()
    installation = services().installation
    chunks = export.stream_zip(installation.database, installation.keys, visit.city.id, openings=openings)
    response = Response(chunks, mimetype="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


def _checkpoint(visit: Visit) -> dict[str, Any]:
    """The checkpoint that the log shows, and which witnesses of the policy cosigned it."""
    public, city = services().public_log, visit.city
    note = public.checkpoint(visit.session, city.id, city.vkey)
    parsed = parse(note)
    rule = public.rule(city.vkey)
    last = entries.newest(visit.session, city.id, 1, before=parsed.size)
    return {
        "size": parsed.size,
        "root": parsed.root.hex(),
        "text": note,
        "at": last[0].at if last else None,
        "cosigners": list(rule.policy.cosigners(note)) if rule else [],
    }


def _rows(visit: Visit, limit: int, before: int | None) -> tuple[list[Row], int | None]:
    found = entries.newest(visit.session, visit.city.id, limit, before)
    names: dict[str, str] = {}
    rows = [_row(visit, entry, names) for entry in found]
    return rows, rows[-1].seq if rows and rows[-1].seq > 0 else None


def _row(visit: Visit, entry: Entry, names: dict[str, str]) -> Row:
    postings = json.loads(entry.leaf)["postings"]
    moves = ""
    if len(postings) == 1:
        ends = [postings[0][end].partition("~")[0] for end in ("from", "to")]
        for end in ends:
            if end not in names:
                names[end] = audit_views.short_name(visit, end)
        moves = " → ".join(names[end] for end in ends)
    return Row(entry.seq, entry.kind, entry.at, sum(posting["amount"] for posting in postings), moves)
