"""Replays the entries of one city in order and says what breaks the rules of money.

Every institutional account is replayed exactly, with every case and every total. Learners are one account,
the sum of all, unless openings name them: then each has its own, and what no opening names is one pool, which
must net to zero at the end. No account but `issuance` goes below zero after any entry, holds counted.
Memory: 17 bytes an entry for the cases (any may still be reversed), and the accounts.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping
from secrets import token_hex
from typing import Any

from ledger.proof.rules import REVERSIBLE, STILL

Sink = Callable[[str, int | None, str], None]

LEARNERS, ERASED = "learner", "learner:(erased)"
SUMS = dict.fromkeys(("treasury", "budget", "learner", "sponsor"), "circulating")
SUMS |= {"issuance": "issued", "shop": "redeemed", "settled": "redeemed", "expired": "expired"}
SUMS |= {"bridge": "bridged", "suspense": "bridged"}

# What may still happen to a case, kept at the seq of its first entry.
_OVER, _OPEN, _REDEEMED, _HELD, _MOVED, _BRIDGED = range(6)
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
_MIRRORED = frozenset({"refund", "reverse", "bridge_cancel"})
_PARTIAL = frozenset({"capture", "refund"})


class Replay:
    """A city's books after the entries applied so far; findings go to `report(code, seq, message)`."""

    def __init__(self, report: Sink, *, opened: bool = False) -> None:
        self._report = report
        self._unnamed = ERASED if opened else LEARNERS
        self.size = 0
        self.city: str | None = None
        self.balances: defaultdict[str, int] = defaultdict(int)
        self.held: defaultdict[str, int] = defaultdict(int)
        self.rewards: defaultdict[str, int] = defaultdict(int)  # by activity, net of what was reversed
        self.sales: defaultdict[str, int] = defaultdict(int)  # by shop, net of refunds and reversals
        self._at = ""
        self._states = bytearray()
        self._left = array("q")  # what may still move back, or what is held
        self._tags = array("q")  # the accounts of the case's first entry, see _tag
        self._expiries: dict[int, str] = {}
        self._secret = token_hex(16)

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

    def _advance(self, leaf: dict[str, Any], moves: list[tuple[str, str, int]]) -> None:
        """Open the case that this entry begins, or take a step in the case that it names."""
        kind, postings, total = leaf["kind"], leaf["postings"], sum([amount for _, _, amount in moves])
        state = _FIRST.get(kind, _OVER)
        self._states.append(state)
        self._left.append(total if state else 0)
        self._tags.append(self._tag(postings) if state else 0)
        if kind == "hold":
            self._expiries[leaf["seq"]] = leaf["ref"]["expires_at"]
            self.held[moves[0][0]] += total
        elif kind in _NEXT:
            origin = leaf["ref"]["origin"]
            if problem := self._step_problem(leaf, origin, total):
                self._report("CASE_VIOLATION", leaf["seq"], problem)
                return
            left = self._left[origin]
            if self._states[origin] == _HELD:
                self.held[moves[0][0]] -= left
                del self._expiries[origin]
            self._left[origin] = total if kind == "capture" else left - total
            self._states[origin] = _NEXT[kind][1]

    def _step_problem(self, leaf: dict[str, Any], origin: int, total: int) -> str | None:
        kind, left, state = leaf["kind"], self._left[origin], self._states[origin]
        if state not in _NEXT[kind][0]:
            return f"{kind} of entry {origin}, which is {_STATE_WORDS[state]}"
        if self._tags[origin] != self._tag(leaf["postings"], mirrored=kind in _MIRRORED):
            return f"{kind} between other accounts than entry {origin}"
        if total > left or (total < left and kind not in _PARTIAL):
            return f"{kind} of {total} where entry {origin} leaves {left}"
        expiry = self._expiries.get(origin, "")
        if (kind == "hold_expire" and leaf["at"] < expiry) or (kind == "capture" and leaf["at"] > expiry):
            return f"{kind} at {leaf['at']} of a hold that expires at {expiry}"
        return None

    def _tag(self, postings: list[dict[str, Any]], *, mirrored: bool = False) -> int:
        """Return 64 bits that stand for the accounts of postings, and for each amount if there are several.

        They begin from a secret of this run, so that nobody can prepare two sets of accounts with one tag.
        """
        giver, taker = ("to", "from") if mirrored else ("from", "to")
        if len(postings) == 1:
            return hash(f"{self._secret} {postings[0][giver]} {postings[0][taker]}")
        moves = ";".join([f"{item[giver]} {item[taker]} {item['amount']}" for item in postings])
        return hash(f"{self._secret} {moves}")

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
