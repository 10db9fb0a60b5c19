"""Replays the entries of one city in order and says what breaks the rules of money.

Every institutional account is replayed exactly, with every case and every total. Learners are one account,
the sum of all, unless openings name them: then each has its own, and what no opening names is one pool, which
must net to zero at the end. No account but `issuance` goes below zero after any entry, holds counted.
Memory: the accounts (institutions, and learners if they are named), each withdrawal to a chain, and what `cases` takes,
since any case may still be refunded or reversed.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping, MutableSequence
from hashlib import blake2b
from secrets import token_hex
from typing import Any

from ledger.proof.rules import REVERSIBLE, STILL

Sink = Callable[[str, int | None, str], None]
Case = tuple[int, int, int, int]
Cases = MutableSequence[Case]

LEARNERS, ERASED = "learner", "learner:(erased)"
SUMS = dict.fromkeys(("treasury", "budget", "learner", "sponsor"), "circulating")
SUMS |= {"issuance": "issued", "shop": "redeemed", "settled": "redeemed", "expired": "expired"}
SUMS |= {"bridge": "bridged", "suspense": "bridged"}

# What may still happen to a case, kept at the seq of its first entry.
_OVER, _OPEN, _REDEEMED, _HELD, _MOVED, _BRIDGED = range(6)
_MOST = 2**63 - 1  # several postings may move more; their mirror is judged by each amount, in the tag
_NO_CASE: Case = (_OVER, 0, 0, 0)
_STATE_WORDS = ("nothing or already ended", "reversible", "redeemed", "held", "moved", "bridged")
_FIRST = dict.fromkeys(REVERSIBLE, _OPEN) | {"redeem": _REDEEMED, "hold": _HELD, "bridge_out": _BRIDGED}
# By kind of a later entry: the states of the case that it needs, and the state that it leaves.
_NEXT = {
    "capture": ({_HELD}, _MOVED),
    "release": ({_HELD}, _OVER),
    "hold_expire": ({_HELD}, _OVER),
    "refund": ({_REDEEMED, _MOVED}, _MOVED),
    "reverse": ({_OPEN, _REDEEMED}, _OVER),
    "bridge_cancel": ({_BRIDGED}, _OVER),
}
_STATE = ("size", "city", "balances", "held", "rewards", "sales", "withdrawn", "_at", "_secret")  # what `state` keeps
_MIRRORED = frozenset({"refund", "reverse", "bridge_cancel"})
_PARTIAL = frozenset({"capture", "refund"})


def _number(timestamp: str) -> int:
    """Return the digits of a time as a number, which orders as the times do."""
    return int("".join(filter(str.isdigit, timestamp)))


class Replay:
    """A city's books after the entries applied so far; findings go to `report(code, seq, message)`.

    `cases` has for each entry (state of the case it opened, what may still move back or is held, tag of its accounts,
    when a hold expires), four numbers of 64 bits. A plain list will do; it may be the one that another replay left.
    """

    def __init__(self, report: Sink, *, opened: bool = False, cases: Cases | None = None) -> None:
        self._report = report
        self._unnamed = ERASED if opened else LEARNERS
        self._cases: Cases = [] if cases is None else cases
        self.size = 0
        self.city: str | None = None
        self.balances: defaultdict[str, int] = defaultdict(int)
        self.held: defaultdict[str, int] = defaultdict(int)
        self.rewards: defaultdict[str, int] = defaultdict(int)  # by activity, net of what was reversed
        self.sales: defaultdict[str, int] = defaultdict(int)  # by shop, net of refunds and reversals
        self.withdrawn: dict[str, list[list[int]]] = {}  # by bridge: [seq, sum withdrawn and not cancelled after it] …
        self._at = ""
        self._secret = token_hex(16)

    def state(self) -> dict[str, Any]:
        """Return all that the replay goes by beside its cases, as plain values."""
        return {name: getattr(self, name) for name in _STATE}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Take up where the replay that left this `state`, and these cases, stood."""
        for name in _STATE:
            counted = isinstance(getattr(self, name), defaultdict)
            setattr(self, name, defaultdict(int, state[name]) if counted else state[name])

    def apply(self, leaf: dict[str, Any], accounts: Mapping[tuple[int, str], str] | None = None) -> None:
        """Apply the next entry, which `check_entry_shape` has passed and whose seq is `size`.

        `accounts` names the learners that openings gave for (line, side) of its postings.
        """
        seq, postings, still = leaf["seq"], leaf["postings"], leaf["kind"] in STILL
        if seq != self.size:
            raise ValueError(f"entry {seq} does not follow {self.size} entries")
        self.size += 1
        self._check_head(leaf)
        named = accounts or {}
        moves = []
        for line, posting in enumerate(postings):
            source, target = posting["from"], posting["to"]
            if source.startswith("learner:"):
                source = named.get((line, "from"), self._unnamed)
            if target.startswith("learner:"):
                target = named.get((line, "to"), self._unnamed)
            moves.append((source, target, posting["amount"]))
        self._advance(leaf, moves)
        balances = self.balances
        if not still:
            for source, target, amount in moves:
                balances[source] -= amount
                balances[target] += amount
                self._count(source, target, amount)
            if leaf["kind"] in ("bridge_out", "bridge_cancel"):
                account, change = (target, amount) if leaf["kind"] == "bridge_out" else (source, -amount)
                sums = self.withdrawn.setdefault(account, [[-1, 0]])
                sums.append([seq, sums[-1][1] + change])
        for source, _, _ in moves:
            if balances[source] < self.held.get(source, 0) and source != "issuance":
                available = balances[source] - self.held.get(source, 0)
                self._report("OVERDRAFT", seq, f"{source} stands at {available} after this entry")

    def _check_head(self, leaf: dict[str, Any]) -> None:
        if leaf["at"] < self._at:
            self._report("SEQUENCE_GAP", leaf["seq"], "its time is before that of an earlier entry")
        self._at = max(self._at, leaf["at"])
        if self.city is None:
            self.city = leaf["city"]
        elif self.city != leaf["city"]:
            self._report("SEQUENCE_GAP", leaf["seq"], f"it belongs to the log of {leaf['city']}, not {self.city}")
        if "totals" in leaf["ref"]:
            totals = self.totals()
            for name, claimed in leaf["ref"]["totals"].items():
                if totals[name] != claimed:
                    message = f"it attests {name} {claimed}, the entries before it make {totals[name]}"
                    self._report("TOTALS_MISMATCH", leaf["seq"], message)
        if claims := leaf["ref"].get("claims"):
            sums = self.withdrawn.get(f"bridge:{claims['chain_id']}", [[-1, 0]])
            withdrawn = sums[bisect_left(sums, [claims["size"]]) - 1][1]
            if claims["total"] != withdrawn:
                self._report("TOTALS_MISMATCH", leaf["seq"], f"claims of {claims['total']}, withdrawn was {withdrawn}")

    def _advance(self, leaf: dict[str, Any], moves: list[tuple[str, str, int]]) -> None:
        """Open the case that this entry begins, or take a step in the case that it names."""
        kind, total = leaf["kind"], min(sum([amount for _, _, amount in moves]), _MOST)
        state = _FIRST.get(kind, _OVER)
        expiry = _number(leaf["ref"]["expires_at"]) if kind == "hold" else 0
        self._cases.append((state, total, self._tag(leaf["postings"]), expiry) if state else _NO_CASE)
        if kind == "hold":
            self.held[moves[0][0]] += total
        elif kind in _NEXT:
            origin = leaf["ref"]["origin"]
            before, left, tag, expiry = case = self._cases[origin]
            if problem := self._step_problem(leaf, total, case):
                self._report("CASE_VIOLATION", leaf["seq"], problem)
                return
            if before == _HELD:
                self.held[moves[0][0]] -= left
            self._cases[origin] = (_NEXT[kind][1], total if kind == "capture" else left - total, tag, expiry)

    def _step_problem(self, leaf: dict[str, Any], total: int, case: Case) -> str | None:
        kind, origin, (state, left, tag, expiry) = leaf["kind"], leaf["ref"]["origin"], case
        if state not in _NEXT[kind][0]:
            return f"{kind} of entry {origin}, which is {_STATE_WORDS[state]}"
        if tag != self._tag(leaf["postings"], mirrored=kind in _MIRRORED):
            return f"{kind} between other accounts than entry {origin}"
        if total > left or (total < left and kind not in _PARTIAL):
            return f"{kind} of {total} where entry {origin} leaves {left}"
        at = _number(leaf["at"])
        if (kind == "hold_expire" and at < expiry) or (kind == "capture" and at > expiry):
            return f"{kind} at {at} of a hold that expires at {expiry}"
        return None

    def _tag(self, postings: list[dict[str, Any]], *, mirrored: bool = False) -> int:
        """Return 64 bits that stand for the accounts of postings, and for each amount if there are several.

        They begin from a secret of this run, so that nobody can prepare two sets of accounts with one tag.
        """
        giver, taker = ("to", "from") if mirrored else ("from", "to")
        if len(postings) == 1:
            moves = f"{self._secret} {postings[0][giver]} {postings[0][taker]}"
        else:
            moves = ";".join([self._secret, *(f"{item[giver]} {item[taker]} {item['amount']}" for item in postings)])
        return int.from_bytes(blake2b(moves.encode(), digest_size=8).digest(), "big", signed=True)

    def _count(self, source: str, target: str, amount: int) -> None:
        """Add to the figures per activity and shop: rewards, sales and what undoes them join these types."""
        if target.startswith("learner"):
            if source.startswith("budget:"):
                self.rewards[source[7:]] += amount
            elif source.startswith("shop:"):
                self.sales[source[5:]] -= amount
        elif source.startswith("learner"):
            if target.startswith("shop:"):
                self.sales[target[5:]] += amount
            elif target.startswith("budget:"):
                self.rewards[target[7:]] -= amount

    def totals(self) -> dict[str, int]:
        """Return issued = circulating + redeemed + bridged + expired, and held (a part of circulating)."""
        totals = dict.fromkeys(("issued", "circulating", "redeemed", "bridged", "expired"), 0)
        for account, balance in self.balances.items():
            totals[SUMS[account.partition(":")[0]]] += balance
        totals["issued"] = -totals["issued"]
        return totals | {"held": sum(self.held.values())}

    def finish(self) -> None:
        """Judge what can only be judged at the end: the pool of erased learners nets to zero."""
        posted, held = self.balances.get(ERASED, 0), self.held.get(ERASED, 0)
        if posted or held:
            self._report("BALANCE_MISMATCH", None, f"entries without openings leave {posted}, of it {held} held")
