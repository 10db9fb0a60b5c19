"""What an entry may be: kinds, account paths, the allow-list of movements, and the shape of a leaf.

The writer asks before it appends and the verifier asks before it replays, so both judge by the same data.
These rules look at one entry alone; balances and cases belong to `replay`.
"""

import re
from functools import lru_cache
from typing import Any

from ledger.proof.encoding import EncodingError, canonical, parse, parse_timestamp

FORMAT_VERSION = 1
MAX_AMOUNT = 2**53 - 1
MAX_LEAF_BYTES = 65_535

SINGLE_ACCOUNTS = frozenset({"issuance", "treasury", "expired", "settled"})
NAMED_ACCOUNTS = frozenset({"budget", "learner", "shop", "sponsor", "bridge", "suspense"})

# (kind, type of the account that gives, type of the account that takes); `reverse` is derived below.
_MOVES = """
grant issuance treasury
fund treasury budget, fund sponsor budget, fund treasury sponsor
reward budget learner
transfer treasury learner, transfer treasury shop, transfer treasury sponsor, transfer treasury budget
transfer budget budget, transfer budget treasury, transfer shop shop, transfer shop treasury
transfer sponsor treasury
redeem learner shop
hold learner shop, capture learner shop, release learner shop, hold_expire learner shop
refund shop learner
settle shop settled
expire learner expired
bridge_out learner bridge, bridge_cancel bridge learner
bridge_in bridge learner, bridge_in bridge suspense, bridge_in suspense learner
"""
REVERSIBLE = frozenset({"grant", "fund", "reward", "transfer", "redeem", "settle", "expire"})
_direct = {tuple(move.split()) for line in _MOVES.strip().splitlines() for move in line.split(", ")}
ALLOWED: frozenset[tuple[str, str, str]] = frozenset(
    {(kind, giver, taker) for kind, giver, taker in _direct}
    | {("reverse", taker, giver) for kind, giver, taker in _direct if kind in REVERSIBLE}
)

MOVELESS = frozenset({"policy", "badge", "erase", "attest"})  # entries without postings
STILL = frozenset({"hold", "release", "hold_expire"})  # postings that reserve or free, and move nothing
SINGLE_POSTING = STILL | {"capture", "refund", "redeem", "bridge_out", "bridge_cancel"}
FOLLOWING = frozenset({"capture", "release", "hold_expire", "refund", "reverse", "bridge_cancel"})  # name `origin`
KINDS = frozenset(kind for kind, _, _ in ALLOWED) | MOVELESS

ROLES = frozenset({"learner", "steward", "treasurer", "operator", "integrator", "system"})
ASSURANCES = ("poster", "kiosk", "code", "staff", "double")
TOTALS = ("issued", "circulating", "redeemed", "bridged", "expired", "held")

LEAF_MEMBERS = frozenset({"v", "city", "seq", "id", "kind", "at", "actor", "key", "postings", "ref"})
LEAF_MEMBERS |= {"evidence", "rule"}
REF_IDS = frozenset({"activity", "session", "place", "promotion", "shop"})
REF_MEMBERS = REF_IDS | {"origin", "expires_at", "policy", "totals", "claims", "reason"}
_POSTING_MEMBERS = frozenset({"from", "to", "amount"})

_segment = lru_cache(maxsize=65_536)(re.compile(r"[a-z0-9_-]{1,64}").fullmatch)  # few, and they come again
_random_id = re.compile(r"[a-z2-7]{26}").fullmatch
_handle = re.compile(r"learner:~[a-z2-7]{52}").fullmatch
_reason = re.compile(r"[a-z_]{1,64}").fullmatch

# The canonical bytes of an entry up to its postings, and those of the rest of an ordinary one.
_id, _hash, _number = r"[a-z0-9_-]{1,64}", r"(?:null|\"[0-9a-f]{64}\")", r"(?:0|[1-9][0-9]{0,15})"
_head_text = (
    rf'\{{"actor":"(?:{"|".join(sorted(ROLES))}|shop:{_id})","at":"([0-9TZ:.-]{{24}})","city":"({_id})",'
    rf'"evidence":(?:null|\{{"assurance":"(?:{"|".join(ASSURANCES)})","commitment":"[0-9a-f]{{64}}"\}}),'
    rf'"id":"[a-z2-7]{{26}}","key":{_hash},"kind":"({"|".join(sorted(KINDS))})","postings":'
)
_member = rf'"[a-z_]+":(?:"[A-Za-z0-9:._-]*"|{_number})'
_claims_text = '{"chain_id":N,"contract":"0x[0-9a-f]{40}","list":H,"root":H,"size":N,"total":N}'
_claims = re.compile(_claims_text.replace("N", "[1-9][0-9]{0,15}").replace("H", '"[0-9a-f]{64}"')).fullmatch
_DOCUMENTS = {"policy": "policy", "totals": "attest", "claims": "attest"}  # and the kind that each stands in
_head = re.compile(_head_text).match
_rule = re.compile(_hash).fullmatch
_plain_line = re.compile(
    rf'{_head_text}\[\{{"amount":({_number}),"from":"([a-z0-9_:~-]+)","to":"([a-z0-9_:~-]+)"\}}\],'
    rf'"ref":\{{((?:{_member}(?:,{_member})*)?)\}},"rule":{_hash},"seq":({_number}),"v":1\}}'
).fullmatch


def is_handle(path: str) -> bool:
    """Tell whether `path` is the handle of some learner, as it stands in a leaf."""
    return _handle(path) is not None


def account_type(path: str) -> str:
    """Return the type of an account path or handle (its first segment); ValueError if it is neither."""
    if path.startswith("learner:"):
        if _handle(path) or _random_id(path[8:]):
            return "learner"
    elif kind := _institution(path):
        return kind
    raise ValueError("not an account path")


@lru_cache(maxsize=65_536)
def _institution(path: str) -> str | None:
    """Return the type of an institutional account."""
    kind, colon, name = str(path).partition(":")
    if kind in NAMED_ACCOUNTS and kind != "learner":
        return kind if _segment(name) else None
    return kind if kind in SINGLE_ACCOUNTS and not colon else None


def check_entry_shape(leaf: Any) -> str | None:
    """Return why `leaf` is not an entry of format 1 by itself, or None. Never raises."""
    try:
        if type(leaf) is not dict or leaf.keys() != LEAF_MEMBERS:
            return "the members are not those of an entry"
        if (type(leaf["v"]), leaf["v"]) != (int, FORMAT_VERSION):
            return "the format version is not 1"
        if type(leaf["seq"]) is not int or not 0 <= leaf["seq"] <= MAX_AMOUNT:
            return "seq is not a natural number"
        data = canonical(leaf)
        if len(data) > MAX_LEAF_BYTES:
            return f"it takes more than {MAX_LEAF_BYTES} bytes"
        if not _head(data.decode()) or not _rule(canonical(leaf["rule"]).decode()):
            return "actor, at, city, evidence, id, key, kind or rule is malformed"
        parse_timestamp(leaf["at"])
        return _postings_problem(leaf) or _ref_problem(leaf)
    except (TypeError, EncodingError) as error:  # a pattern met a value that is not a string; a bad time
        return f"a member has the wrong form: {error}"


def _postings_problem(leaf: dict[str, Any]) -> str | None:
    kind, postings = leaf["kind"], leaf["postings"]
    if type(postings) is not list:
        return "postings is not a list"
    if kind in MOVELESS:
        return f"{kind} has postings" if postings else None
    if not postings or (len(postings) > 1 and kind in SINGLE_POSTING):
        return f"{kind} has {len(postings)} postings"
    for posting in postings:
        if type(posting) is not dict or posting.keys() != _POSTING_MEMBERS:
            return "the members are not those of a posting"
        source, target, amount = posting["from"], posting["to"], posting["amount"]
        if type(amount) is not int or not 0 < amount <= MAX_AMOUNT:
            return "an amount is not within 0 < amount < 2**53"
        giver = "learner" if _handle(source) else _institution(source)
        taker = "learner" if _handle(target) else _institution(target)
        if (kind, giver, taker) not in ALLOWED or source == target:
            return f"{kind} does not move from {giver} to {taker}"
    return None


def _ref_problem(leaf: dict[str, Any]) -> str | None:
    kind, ref = leaf["kind"], leaf["ref"]
    if type(ref) is not dict or not ref.keys() <= REF_MEMBERS:
        return "ref has unknown members"
    if ("origin" in ref) != (kind in FOLLOWING) or ("expires_at" in ref) != (kind == "hold"):
        return "ref.origin and ref.expires_at stand exactly where the kind asks for them"
    for member, value in ref.items():
        if member == "origin":
            if type(value) is not int or not 0 <= value < leaf["seq"]:
                return "ref.origin is not the seq of an earlier entry"
        elif member == "expires_at":
            parse_timestamp(value)
        elif member in _DOCUMENTS:
            if problem := _document_problem(leaf, member, value):
                return problem
        elif not (_reason if member == "reason" else _segment)(value):
            return f"ref.{member} is malformed"
    return None


def _document_problem(leaf: dict[str, Any], member: str, value: Any) -> str | None:
    """Judge the members that hold objects, each allowed in one kind of entry."""
    if type(value) is not dict or leaf["kind"] != _DOCUMENTS[member]:
        return f"ref.{member} is not an object or stands in the wrong kind"
    wrong = [name for name, total in value.items() if name not in TOTALS or type(total) is not int or total < 0]
    if member == "claims":
        wrong = [] if _claims(canonical(value).decode()) and value["size"] <= leaf["seq"] else ["claims"]
    return f"ref.{member} is malformed" if member != "policy" and wrong else None


def read_plain(line: bytes) -> dict[str, Any] | None:
    """Return what `replay` asks of an ordinary entry, if `line` is one that is canonical and well-shaped.

    None says nothing about the line: read it as JSON and judge it with `check_entry_shape`. One pattern for
    the whole line is three times as fast, and nearly every entry has one posting and no document.
    """
    found = _plain_line(line.decode("ascii", "replace"))
    if not found:
        return None
    at, city, kind, amount, giver, taker, members, seq = found.groups()
    ref = parse(f"{{{members}}}".encode())
    if members and (len(ref) <= members.count(",") or list(ref) != sorted(ref)):
        return None
    postings = [{"amount": int(amount), "from": giver, "to": taker}]
    leaf = {"at": at, "city": city, "kind": kind, "postings": postings, "ref": ref, "seq": int(seq)}
    try:
        parse_timestamp(at)
        problem = leaf["seq"] > MAX_AMOUNT or _postings_problem(leaf) or _ref_problem(leaf)
    except (TypeError, EncodingError):
        return None
    return None if problem else leaf
