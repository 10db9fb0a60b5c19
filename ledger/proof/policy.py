"""Whose word counts: C2SP tlog-policy, the logs accepted and the quorum of witnesses that must have cosigned.

    log <vkey> [<url>]                          witness <name> <vkey> [<url>]
    group <name> all|any|<k> <member> …         quorum <name of a witness or group>, or none

Each name is defined before it is used and is a member of one group at most, so groups form a tree and no
witness counts twice. Names are octets: what is not UTF-8 reads as lone surrogates, one for each octet.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from ledger.proof import checkpoint, cosignature
from ledger.proof.checkpoint import CheckpointError, VerifierKey

NONE = "none"

_foreign = re.compile(rb"[^\t\n\x20-\x7e\x80-\xff]").search
_count = re.compile("[1-9][0-9]{0,8}").fullmatch


class PolicyError(ValueError):
    """A policy that is malformed."""


@dataclass(frozen=True, slots=True)
class Party:
    """A log or a witness: its verifier key, as written and as read, and where it is reached, if that is said."""

    vkey: str
    key: VerifierKey
    url: str | None


@dataclass(slots=True)
class Policy:
    """The logs, the witnesses by name, the groups by name as (how many, of whom), and the quorum."""

    logs: list[Party] = field(default_factory=list)
    witnesses: dict[str, Party] = field(default_factory=dict)
    groups: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    quorum: str | None = None

    def satisfied(self, cosigners: Collection[str]) -> bool:
        """Tell whether the witnesses with the names `cosigners` make the quorum."""
        agreeing = {NONE, *(name for name in cosigners if name in self.witnesses)}
        for name, (threshold, members) in self.groups.items():
            if sum(member in agreeing for member in members) >= threshold:
                agreeing.add(name)
        return self.quorum in agreeing

    def cosigners(self, note: str) -> dict[str, int]:
        """Return the witnesses that cosigned `note`, by name, with the time of it in seconds since 1970.

        CheckpointError if the note is malformed or any cosignature of a witness named here does not verify.
        """
        times = {name: cosignature.cosigned_at(note, party.key) for name, party in self.witnesses.items()}
        return {name: timestamp for name, timestamp in times.items() if timestamp is not None}


def parse(data: bytes) -> Policy:
    """Read a policy file; PolicyError, naming the line, for whatever the specification does not allow."""
    if _foreign(data):
        raise PolicyError("a policy holds no control characters but tabs and newlines")
    policy, grouped = Policy(), set[str]()
    for number, line in enumerate(data.decode(errors="surrogateescape").split("\n"), 1):
        words = re.split("[ \t]+", line.strip(" \t"))
        if words == [""] or words[0].startswith("#"):
            continue
        try:
            _define(policy, grouped, *words)
        except (PolicyError, CheckpointError) as error:
            raise PolicyError(f"line {number} of the policy: {error}") from error
    if policy.quorum is None:
        raise PolicyError("the policy names no quorum")
    return policy


def _define(policy: Policy, grouped: set[str], keyword: str, *words: str) -> None:
    """Take in one line."""
    if keyword in {"witness", "group"} and words and words[0] in {NONE, *policy.witnesses, *policy.groups}:
        raise PolicyError("the name is taken")
    match keyword, *words:
        case "log", vkey, *rest if len(rest) < 2:
            policy.logs.append(_new_party(vkey, checkpoint.parse_vkey(vkey), rest, policy.logs))
        case "witness", name, vkey, *rest if len(rest) < 2:
            key = cosignature.parse_vkey(vkey)
            policy.witnesses[name] = _new_party(vkey, key, rest, policy.witnesses.values())
        case "group", name, threshold, _, *_:
            _add_group(policy, grouped, name, threshold, list(words[2:]))
        case "quorum", name:
            if policy.quorum is not None or name not in {NONE, *policy.witnesses, *policy.groups}:
                raise PolicyError("there is one quorum, of a witness or group defined before")
            policy.quorum = name
        case _:
            raise PolicyError("not a log, witness, group or quorum as the format has them")


def _new_party(vkey: str, key: VerifierKey, url: Sequence[str], known: Iterable[Party]) -> Party:
    if key.public_key in [other.key.public_key for other in known]:
        raise PolicyError("the same key stands there before")
    return Party(vkey, key, url[0] if url else None)


def _add_group(policy: Policy, grouped: set[str], name: str, threshold: str, members: list[str]) -> None:
    for member in members:
        if member in grouped or member not in {*policy.witnesses, *policy.groups}:
            raise PolicyError("a member is not defined before, or is one already")
        grouped.add(member)
    count = {"all": len(members), "any": 1}.get(threshold, 0) or (int(threshold) if _count(threshold) else 0)
    if not 1 <= count <= len(members):
        raise PolicyError("the threshold is not from 1 to the number of members")
    policy.groups[name] = (count, members)
