"""The public log for eyes: checkpoint, totals, entries with their proofs, and the export. Nobody need sign in.

An entry's page proves on the spot what it claims: the server fetches the inclusion proof and verifies it against the
root of the signed checkpoint, with the same functions that the offline verifier uses.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Response, request

from api.services import services
from api.web import figures
from api.web.shell import Answer, Visit, page, render, web
from ledger.book import entries, seal, tree
from ledger.book.entries import Entry
from ledger.city import export
from ledger.errors import NotFound
from ledger.proof.checkpoint import parse
from ledger.proof.encoding import parse_timestamp
from ledger.proof.merkle import leaf_hash, verify_inclusion

NEWEST = 20
PAGE = 50


@dataclass(frozen=True)
class Row:
    """An entry in a list. `amount` is the sum of its postings, minor units."""

    seq: int
    kind: str
    at: datetime
    amount: int


@web.get("/c/<city>/audit/")
@page("log.read")
def audit_home(visit: Visit) -> str:
    """Checkpoint, key, totals, newest entries, and how to verify offline."""
    rows, following = _rows(visit, NEWEST, None)
    return render(
        "audit/home.html",
        totals=figures.of(visit.session, visit.city.id),
        checkpoint=_checkpoint(visit),
        vkey=visit.city.vkey,
        entries=rows,
        next_url=visit.address("audit_entries", before=following) if following else None,
    )


@web.get("/c/<city>/audit/entries")
@page("log.read")
def audit_entries(visit: Visit) -> str:
    """All entries, newest first, a page at a time."""
    rows, following = _rows(visit, PAGE, request.args.get("before", type=int))
    following_url = visit.address("audit_entries", before=following) if following else None
    return render("audit/entries.html", entries=rows, next_url=following_url)


@web.get("/c/<city>/audit/entries/<int:seq>")
@page("log.read")
def audit_entry(visit: Visit, seq: int) -> str:
    """One entry: in words, as it is sealed, and the proof that it is in the signed tree."""
    city = visit.city.id
    leaf = entries.leaf(visit.session, city, seq)
    entry = json.loads(leaf)
    checkpoint = parse(seal.latest(visit.session, city).note)
    if seq >= checkpoint.size:
        raise NotFound("entry", seq)
    path = tree.inclusion(visit.session, city, seq, checkpoint.size)
    hashed = leaf_hash(leaf)
    verify_inclusion(hashed, seq, checkpoint.size, path, checkpoint.root)
    return render(
        "audit/entry.html",
        seq=seq,
        entry=entry,
        at=parse_timestamp(entry["at"]),
        pretty=json.dumps(entry, ensure_ascii=False, indent=2),
        followers=entries.of_case(visit.session, city, seq),
        proof={
            "size": checkpoint.size,
            "root": checkpoint.root.hex(),
            "leaf_hash": hashed.hex(),
            "path": [step.hex() for step in path],
        },
    )


@web.get("/c/<city>/audit/export.zip")
@page("log.read")
def audit_export(visit: Visit) -> Answer:
    """The whole log as a zip, without the openings."""
    visit.close()
    installation = services().installation
    chunks = export.stream_zip(installation.database, installation.keys, visit.city.id)
    response = Response(chunks, mimetype="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="{visit.city.id}.zip"'
    return response


def _checkpoint(visit: Visit) -> dict[str, Any] | None:
    note = seal.latest(visit.session, visit.city.id).note
    parsed = parse(note)
    return {"size": parsed.size, "root": parsed.root.hex(), "text": note}


def _rows(visit: Visit, limit: int, before: int | None) -> tuple[list[Row], int | None]:
    found = entries.newest(visit.session, visit.city.id, limit, before)
    rows = [_row(entry) for entry in found]
    return rows, rows[-1].seq if rows and rows[-1].seq > 0 else None


def _row(entry: Entry) -> Row:
    postings = json.loads(entry.leaf)["postings"]
    return Row(entry.seq, entry.kind, entry.at, sum(posting["amount"] for posting in postings))
