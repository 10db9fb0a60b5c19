"""The token under random calls in random order, against a model of it in a few lines.

Every call is predicted by the model: what it does, or the error it meets. After every step the contract's own figures
keep what it promises: no token but by a claim, no claim beyond the active total, no history but one, and a pause that
never stops an anchor or a veto.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger.chain.claims import ClaimsTree
from tests.chain.acts import claiming, claims_of
from tests.chain.evm import DAY, Contract, Evm, History
from tests.counts import scale

CAP, LIMIT, PERIOD, DELAY = 1_000, 400, 5 * DAY, DAY
HOLDERS = ("alice", "bob", "carol")
TICKET = bytes(range(32))

names = st.sampled_from(HOLDERS)


def mostly(usual: str, *others: str) -> st.SearchStrategy[str]:
    """Who sends: nearly always the one who may."""
    return st.sampled_from([usual] * 9 + list(others))


@cache
def _chain() -> Evm:
    return Evm()


@cache
def _histories() -> tuple[History, History]:
    """Two logs that are one up to entry 60."""
    return History(b"machine", 200), History(b"machine", 200, fork=60)


class TokenMachine(RuleBasedStateMachine):
    """One token, from its deployment on."""

    def __init__(self) -> None:
        super().__init__()
        self._fresh = _chain().fresh()
        self._fresh.__enter__()
        self.token: Contract = _chain().token(supplyCap=CAP, increaseLimit=LIMIT, period=PERIOD, delay=DELAY)
        self.anchors: list[int] = []
        self.anchored_root = bytes(32)
        self.lists: list[tuple[ClaimsTree, int]] = []  # every list that was proposed, with its declared total
        self.waiting: tuple[int, int] | None = None  # the place in `lists`, and when it may be activated
        self.active: int | None = None
        self.period_start, self.period_base = _chain().now, 0
        self.claimed = dict.fromkeys(HOLDERS, 0)
        self.balances = dict.fromkeys(HOLDERS, 0)
        self.deposited, self.deposits = 0, 0
        self.paused = False

    def teardown(self) -> None:
        """Undo everything."""
        self._fresh.__exit__(None, None, None)

    def attempt(self, sender: str, expected: str | None, function: str, *arguments: Any) -> bool:
        """Send a call that the model expects to succeed (None) or to meet an error; whether it succeeded."""
        if expected is not None:
            assert self.token.refusal(sender, function, *arguments) == expected, f"{function}{arguments}"
            return False
        self.token.send(sender, function, *arguments)
        return True

    @initialize(claimed=st.lists(names, unique=True))
    def begin(self, claimed: list[str]) -> None:
        """A contract in use: an anchor, an active list, and some who have claimed from it."""
        self.anchor(step=30, which=False, sender="anchorer", stale=False)
        self.propose(dict.fromkeys(HOLDERS, 99), misstated=0, back=0, sender="proposer")
        self.activate(days=1, off=0)
        for name in claimed:
            self.claim(name, back=0, more=0)

    @property
    def active_total(self) -> int:
        """The declared total of the active list."""
        return 0 if self.active is None else self.lists[self.active][1]

    @property
    def soon(self) -> int:
        """The time of the next block, one second after the newest at the least."""
        return int(_chain().tester.get_block_by_number("pending")["timestamp"])

    @rule(
        step=st.sampled_from([-3, 0, 1, 2, 7, 20]),
        which=st.sampled_from([False, False, True]),
        sender=mostly("anchorer", "admin", "proposer"),
        stale=st.sampled_from([False] * 8 + [True]),
    )
    def anchor(self, step: int, *, which: bool, sender: str, stale: bool) -> None:
        """Extend the log, or try to rewrite, shorten or fork it; a pause makes no difference."""
        history, old = _histories()[which], self.anchors[-1] if self.anchors else 0
        new = min(max(old + step, 1), 200)
        known = old + 1 if stale else old
        proof = history.proof(old, new) if 0 < old < new else []
        extends = new > old and (old == 0 or history.root(old) == self.anchored_root)
        expected = None if extends else "NotAnExtension"
        expected = "StaleAnchor" if stale else expected
        expected = expected if sender == "anchorer" else "AccessControlUnauthorizedAccount"
        if self.attempt(sender, expected, "anchor", known, new, history.root(new), proof):
            self.anchors.append(new)
            self.anchored_root = history.root(new)

    @rule(
        raises=st.fixed_dictionaries({name: st.sampled_from([0, 1, 30, 90, 160, -10]) for name in HOLDERS}),
        misstated=st.sampled_from([0] * 6 + [-30, 30]),
        back=st.sampled_from([0, 0, 0, 1, 2, 3, 4]),
        sender=mostly("proposer", "admin", "mallory"),
    )
    def propose(self, raises: dict[str, int], misstated: int, back: int, sender: str) -> None:
        """Propose a list that raises (or lowers) what each may claim, with its total or another one."""
        before = self.lists[self.active][0].claims if self.active is not None else {}
        who = _chain().who
        amounts = {name: (before[who[name]].cumulative if before else 1) + by for name, by in raises.items()}
        tree = claims_of(self.token, {name: max(amount, 1) for name, amount in amounts.items()})
        total = max(tree.total + misstated, 1)
        at_size = self.anchors[-1 - back] if back < len(self.anchors) else 0
        renewed = self.soon >= self.period_start + PERIOD
        base = self.active_total if renewed else self.period_base
        refusals = {
            "AccessControlUnauthorizedAccount": sender != "proposer",
            "EnforcedPause": self.paused,
            "ProposalPending": self.waiting is not None,
            "NotAnchored": back > 3 or at_size == 0,
            "TotalFalls": total < self.active_total,
            "AboveSupplyCap": total - self.deposited > CAP,
            "AboveIncreaseLimit": total - base > LIMIT,
        }
        expected = next((name for name, applies in refusals.items() if applies), None)
        if self.attempt(sender, expected, "propose", tree.root, total, at_size):
            if renewed:
                self.period_start, self.period_base = _chain().now, base
            self.lists.append((tree, total))
            self.waiting = len(self.lists) - 1, _chain().now + DELAY

    @rule(sender=mostly("guardian", "admin", "proposer"), off=st.sampled_from([0, 0, 0, 1]))
    def veto(self, sender: str, off: int) -> None:
        """Stop what waits, or something else; a pause makes no difference."""
        expected = None if self.waiting and not off else "NotPending"
        expected = expected if sender == "guardian" else "AccessControlUnauthorizedAccount"
        if self.attempt(sender, expected, "veto", len(self.lists) + off):
            self.waiting = None

    @rule(days=st.sampled_from([0, 1, 1, 1, 3]), off=st.sampled_from([0, 0, 0, 1]))
    def activate(self, days: int, off: int) -> None:
        """Wait, and activate what waits, or something else."""
        if days:
            _chain().sleep(days * DAY)
        early = self.waiting is not None and self.soon < self.waiting[1]
        expected = None if self.waiting and not off else "NotPending"
        expected = expected or ("TooEarly" if early else None)
        if self.attempt("mallory", "EnforcedPause" if self.paused else expected, "activate", len(self.lists) + off):
            assert self.waiting is not None
            self.active, self.waiting = self.waiting[0], None

    @precondition(lambda self: self.lists)
    @rule(name=names, back=st.sampled_from([0, 0, 0, 1, 2]), more=st.sampled_from([0, 0, 0, 1]))
    def claim(self, name: str, back: int, more: int) -> None:
        """Claim from the active list, or from a later or earlier one, or more than it gives."""
        place = len(self.lists) - 1 - back if back or self.active is None else self.active
        tree = self.lists[place % len(self.lists)][0]
        account, cumulative, root, proof = claiming(self.token, tree, name)
        active_root = self.lists[self.active][0].root if self.active is not None else bytes(32)
        amount = cumulative - self.claimed[name]
        refusals = {
            "EnforcedPause": self.paused,
            "RootNotActive": root != active_root,
            "InvalidClaim": more > 0,
            "NothingToClaim": amount <= 0,
            "AboveActiveTotal": sum(self.claimed.values()) + amount > self.active_total,
        }
        expected = next((refusal for refusal, applies in refusals.items() if applies), None)
        if self.attempt("mallory", expected, "claim", account, cumulative + more, root, proof):
            self.claimed[name] = cumulative
            self.balances[name] += amount

    @rule(name=names, amount=st.sampled_from([0, 1, 40, 100, 250]))
    def deposit(self, name: str, amount: int) -> None:
        """Burn some of what somebody has, or more than that."""
        refusals = {
            "EnforcedPause": self.paused,
            "DepositOutOfRange": amount == 0,
            "ERC20InsufficientBalance": amount > self.balances[name],
        }
        expected = next((refusal for refusal, applies in refusals.items() if applies), None)
        if self.attempt(name, expected, "deposit", amount, TICKET):
            self.balances[name] -= amount
            self.deposited += amount
            self.deposits += 1

    @rule(giver=names, taker=names, amount=st.sampled_from([0, 1, 40, 100, 250]))
    def transfer(self, giver: str, taker: str, amount: int) -> None:
        """Give tokens away; a pause makes no difference."""
        expected = "ERC20InsufficientBalance" if amount > self.balances[giver] else None
        if self.attempt(giver, expected, "transfer", _chain().who[taker], amount):
            self.balances[giver] -= amount
            self.balances[taker] += amount

    @rule(sender=st.sampled_from(["pauser", "admin", "admin", "mallory"]))
    def pause_or_resume(self, sender: str) -> None:
        """Pause what runs (the pauser), resume what is paused (the admin)."""
        if self.paused and sender == "pauser":
            sender = "admin"
        allowed = sender == ("admin" if self.paused else "pauser")
        expected = None if allowed else "AccessControlUnauthorizedAccount"
        if self.attempt(sender, expected, "unpause" if self.paused else "pause"):
            self.paused = not self.paused

    @invariant()
    def no_token_but_by_a_claim(self) -> None:
        """Supply, balances and totals are those of the model, and keep what the contract promises."""
        claimed, deposited, deposits = self.token.read("totals")
        supply, (root, total) = self.token.read("totalSupply"), self.token.read("active")
        assert (claimed, deposited, deposits) == (sum(self.claimed.values()), self.deposited, self.deposits)
        assert supply == claimed - deposited == sum(self.balances.values())
        assert claimed <= total == self.active_total
        assert supply <= total - deposited <= CAP
        assert root == (self.lists[self.active][0].root if self.active is not None else bytes(32))

    @invariant()
    def one_history(self) -> None:
        """The newest anchor is the model's, and grew with each."""
        assert self.token.read("anchored") == (self.anchors[-1] if self.anchors else 0, self.anchored_root)
        assert self.anchors == sorted(set(self.anchors))


TestTokenMachine = TokenMachine.TestCase
TestTokenMachine.settings = settings(max_examples=scale(15, 200), stateful_step_count=scale(40, 80))
