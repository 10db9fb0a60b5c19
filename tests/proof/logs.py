"""Builds small logs and their exports by hand, so that the verifier is judged without the rest of the project."""

import base64
import hashlib
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.proof import checkpoint, handles
from ledger.proof.encoding import base32_lower, canonical, timestamp
from ledger.proof.merkle import leaf_hash, root_of
from ledger.signing import sign

START = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
ORIGIN = "khon-kaen.example/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VKEY = checkpoint.vkey(ORIGIN, KEY.public_key())


def random_id(label: str) -> str:
    """Return 26 characters that look like an id, always the same for a label."""
    return base32_lower(hashlib.sha256(label.encode()).digest()[:16])


@dataclass
class Log:
    """A log under construction; `learner:<name>` in a posting stands for that person and becomes a handle."""

    leaves: list[dict[str, Any]] = field(default_factory=list)
    openings: list[dict[str, Any]] = field(default_factory=list)
    city: str = "khon-kaen"

    def add(self, kind: str, *postings: tuple[str, str, int], **members: Any) -> int:
        """Append an entry of well-formed members; `members` replaces or adds to `ref` and the others."""
        seq = len(self.leaves)
        entry_id = random_id(f"{self.city}/{seq}")
        ref = members.pop("ref", {})
        case_id = self.leaves[ref["origin"]]["id"] if "origin" in ref else entry_id
        leaf = {
            "v": 1,
            "city": self.city,
            "seq": seq,
            "id": entry_id,
            "kind": kind,
            "at": timestamp(START + timedelta(seconds=seq)),
            "actor": "system",
            "key": None,
            "postings": [
                {
                    "from": self._blind(seq, line, "from", giver, case_id),
                    "to": self._blind(seq, line, "to", taker, case_id),
                    "amount": amount,
                }
                for line, (giver, taker, amount) in enumerate(postings)
            ],
            "ref": ref,
            "evidence": None,
            "rule": None,
        }
        self.leaves.append(leaf | members)
        return seq

    def _blind(self, seq: int, line: int, side: str, path: str, case_id: str) -> str:
        if not path.startswith("learner:"):
            return path
        account = f"learner:{random_id(path)}"
        nonce = handles.nonce(hashlib.sha256(path.encode()).digest(), case_id)
        opening = {"seq": seq, "line": line, "side": side, "account": account}
        self.openings.append(opening | {"nonce": base64.b64encode(nonce).decode(), "person": path})
        return handles.handle(account, nonce)

    def lines(self) -> list[bytes]:
        """Return the leaves as they would be stored."""
        return [canonical(leaf) for leaf in self.leaves]

    def opening_lines(self, *, without: Iterable[str] = ()) -> list[bytes]:
        """Return the openings as they would be exported, leaving out the people in `without`."""
        rows = [row for row in self.openings if row["person"] not in set(without)]
        return [canonical({name: row[name] for name in row if name != "person"}) for row in rows]


def day() -> Log:
    """Return a day of a city: grant, budget, rewards, a redemption of each ending, a refund, a reversal."""
    log = Log()
    log.add("grant", ("issuance", "treasury", 100_000))
    log.add("fund", ("treasury", "budget:museum", 50_000))
    log.add("policy", ref={"activity": "museum", "policy": {"name": "พิพิธภัณฑ์", "amount_minor": 500}})
    evidence = {"assurance": "kiosk", "commitment": "ab" * 32}
    for name in ("learner:ann", "learner:bo", "learner:cha"):
        ref = {"activity": "museum", "session": "2026-11-22"}
        log.add("reward", ("budget:museum", name, 500), ref=ref, evidence=evidence, rule="cd" * 32)
    expires_at = timestamp(START + timedelta(minutes=15))
    hold = {"expires_at": expires_at, "promotion": "coffee", "shop": "cafe"}
    captured = log.add("hold", ("learner:ann", "shop:cafe", 400), ref=hold, actor="learner")
    log.add("capture", ("learner:ann", "shop:cafe", 300), ref={"origin": captured}, actor="shop:cafe")
    log.add("refund", ("shop:cafe", "learner:ann", 100), ref={"origin": captured}, actor="shop:cafe")
    released = log.add("hold", ("learner:bo", "shop:cafe", 500), ref=hold, actor="learner")
    log.add("release", ("learner:bo", "shop:cafe", 500), ref={"origin": released}, actor="learner")
    lapsed = log.add("hold", ("learner:bo", "shop:cafe", 200), ref=hold, actor="learner")
    late = timestamp(START + timedelta(minutes=15))
    log.add("hold_expire", ("learner:bo", "shop:cafe", 200), ref={"origin": lapsed}, at=late)
    log.add("reverse", ("learner:cha", "budget:museum", 500), ref={"origin": 5, "reason": "mistake"}, at=late)
    log.add("redeem", ("learner:bo", "shop:cafe", 50), at=late)
    log.add("settle", ("shop:cafe", "settled", 250), at=late)
    totals = {"issued": 100_000, "circulating": 99_750, "redeemed": 250, "bridged": 0, "expired": 0, "held": 0}
    log.add("attest", ref={"totals": totals}, at=late)
    return log


def signed(lines: Sequence[bytes], size: int | None = None, key: Ed25519PrivateKey = KEY) -> str:
    """Return a checkpoint over the first `size` lines."""
    size = len(lines) if size is None else size
    head = checkpoint.Checkpoint(ORIGIN, size, root_of(map(leaf_hash, lines[:size])))
    return sign(head, ORIGIN, key)


def write(folder: Path, lines: Sequence[bytes], note: str | None = None, openings: Sequence[bytes] = ()) -> Path:
    """Write an export of `lines` under `note` (or a checkpoint of just these lines)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "entries.ndjson").write_bytes(b"".join(line + b"\n" for line in lines))
    (folder / "checkpoint").write_text(note or signed(lines), "utf-8")
    (folder / "vkey").write_text(VKEY + "\n", "utf-8")
    if openings:
        (folder / "openings.ndjson").write_bytes(b"".join(line + b"\n" for line in openings))
    return folder


def zipped(folder: Path) -> Path:
    """Return a zip with the files of `folder`."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return path


def edited(line: bytes, **members: Any) -> bytes:
    """Return the leaf in `line` with other members, in canonical form."""
    return canonical(json.loads(line) | members)
