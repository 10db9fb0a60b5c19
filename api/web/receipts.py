"""Receipts for eyes: an entry with its proof, checked in the reader's own browser, and a page to check any receipt.

The server looks for the receipt and shows it; what a page says of its truth is said by `static/proof.js`, which the
reader's browser runs (RFC 9162, signed note, Ed25519), never by the server. A learner to whom a line belongs is given
what opens their handle, on this page alone; a page that anybody else asks for holds nothing of it.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from flask import Response

from api.services import services
from api.web import audit_views
from api.web.redemptions import symbol
from api.web.shell import Visit, page, render, web
from ledger.book import entries
from ledger.errors import NotFound
from ledger.log import receipts
from ledger.people import learners
from ledger.programme import qr
from ledger.proof import checkpoint, receipt
from ledger.proof.encoding import parse_timestamp
from ledger.proof.merkle import leaf_hash
from ledger.verifier import compact


@web.get("/c/<city>/audit/entries/<int:seq>")
@page("log.read")
def audit_entry(visit: Visit, seq: int) -> str:
    """One entry: in words, as it is sealed, and its receipt.

    Of the two symbols one is the receipt itself, which `kgo verify receipt` checks offline (`audit_receipt_symbol`);
    the other holds the address of this page: whoever scans it has the receipt checked in their own browser.
    """
    session, city = visit.session, visit.city
    text = services().public_log.receipt(session, city.id, city.vkey, seq)
    read = receipt.parse(text)
    head, leaf = checkpoint.parse(read.note), read.leaf or b""
    entry = json.loads(leaf)
    own = _own(visit, seq)
    return render(
        "audit/entry.html",
        seq=seq,
        entry=entry,
        actor=audit_views.actor_name(visit, entry["actor"]),
        evidence=audit_views.evidence_name(entry.get("evidence")),
        at=parse_timestamp(entry["at"]),
        leaf=leaf.decode(),
        moves=[_move(visit, posting) for posting in entry["postings"]],
        followers=entries.of_case(session, city.id, seq),
        receipt=text,
        receipt_url=f"/log/{city.id}/receipt/{seq}",
        fits_symbol=len(compact.pack(text)) <= qr.MAX_DENSE_CHARS,
        symbol=symbol(services().public_url + visit.address("audit_entry", seq=seq)),
        proof={
            "size": head.size,
            "root": head.root.hex(),
            "leaf_hash": leaf_hash(leaf).hex(),
            "path": [step.hex() for step in read.path],
        },
        last=entries.size(session, city.id) - 1,
        witnesses=_witnesses(visit),
        own=json.dumps(own),
        openings=[_opening(seq, one) for one in own],
        own_shop=_concerns_shop(visit, entry),
    )


@web.get("/c/<city>/audit/entries/<int:seq>/receipt.png")
@page("log.read")
def audit_receipt_symbol(visit: Visit, seq: int) -> Response:
    """The receipt of an entry as a QR symbol, complete. An entry of so many postings that it fits none has none.

    A picture of its own, loaded when it is looked at: it is of some 140 modules a side, takes a tenth of a second to
    make, and a learner can keep it.
    """
    packed = compact.pack(services().public_log.receipt(visit.session, visit.city.id, visit.city.vkey, seq))
    if len(packed) > qr.MAX_DENSE_CHARS:
        raise NotFound("symbol", str(seq))
    return Response(qr.png(packed, level=qr.Level.DENSE), mimetype="image/png")


@web.get("/c/<city>/audit/check")
@page("log.read")
def audit_check(visit: Visit) -> str:
    """Check any receipt of this log in the browser; nothing that is put in here is sent."""
    newest = entries.size(visit.session, visit.city.id) - 1
    return render("audit/check.html", witnesses=_witnesses(visit), newest=newest if newest >= 0 else None)


def _move(visit: Visit, posting: dict[str, Any]) -> dict[str, Any]:
    """A posting with what its accounts are called."""
    return {
        **posting,
        "giver": audit_views.account_name(visit, posting["from"]),
        "taker": audit_views.account_name(visit, posting["to"]),
    }


def _witnesses(visit: Visit) -> str:
    """The witnesses of the policy, for the program of the page."""
    standings = services().public_log.standings(visit.session, visit.city.id, visit.city.vkey)
    return json.dumps([{"name": one.name, "vkey": one.vkey} for one in standings])


def _own(visit: Visit, seq: int) -> list[dict[str, Any]]:
    """What opens the visiting learner's handles in an entry; empty where it is not theirs."""
    if not visit.learner.signed_in:
        return []
    account = learners.account_of(visit.learner.subject or "")
    return [
        {"account": account, "line": one.line, "side": one.side, "nonce": base64.b64encode(one.nonce).decode()}
        for one in receipts.own_lines(visit.session, visit.city.id, seq, account)
    ]


def _opening(seq: int, own: dict[str, Any]) -> str:
    """An opening as `docs/format.md` section 9 has it, for whoever wants to show that a line is theirs."""
    return json.dumps({**own, "seq": seq}, sort_keys=True, separators=(",", ":"))


def _concerns_shop(visit: Visit, entry: dict[str, Any]) -> bool:
    """Whether the visiting shop's account stands in an entry, in clear as all institutions do."""
    account = f"shop:{visit.shop.subject}"
    return visit.shop.signed_in and any(account in (move["from"], move["to"]) for move in entry["postings"])
