"""An outsider with the whole public log tries to find out which cases belong to one person, and cannot.

The outsider sees the leaves and nothing else, and tries what the format could give away: values that come back,
neighbours in the log, moments that coincide, and guesses at the inputs of the handles. The measure is the same
everywhere: two cases of one person must not have more in common than two cases of different people.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from itertools import combinations, pairwise
from typing import Any

import pytest

from ledger.book import holds, transfers
from ledger.book.commands import Command
from ledger.book.idempotency import Scope
from ledger.book.unit import Unit
from ledger.db import upgrade
from ledger.proof import handles
from ledger.proof.encoding import base32_lower
from tests.counts import scale
from tests.factories import CITY, Installation, install

PEOPLE = scale(6, 40)
ROUNDS = scale(8, 40)
SHARED = {"v", "city", "kind", "actor", "at", "amount", "activity", "promotion", "shop", "session", "assurance", "rule"}
"""What many people's entries have in common by design: public facts of the city, never of a person."""

Case = list[dict[str, Any]]


class Crowd:
    """People who earn and spend alike, in random order, and the truth about who did what."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.chance = random.Random(7)  # noqa: S311 - repeatable
        installation.grant()
        installation.open("budget:library", "shop:cafe")
        installation.run(
            lambda unit: transfers.post(unit, "fund", "treasury", "budget:library", 1_000_000, actor="steward")
        )
        self.people = [installation.learner() for _ in range(PEOPLE)]
        self.owners: dict[int, str] = {}

    def act(self, person: str, kind: str, number: int) -> None:
        """One person does one thing, as over HTTP: in a batch of its own, under an idempotency key."""
        scope = Scope(person, f"POST /{kind}", f"{number}", sha256(b"").digest())
        run = {"earn": self._earn, "buy": self._buy, "abandon": self._abandon, "return": self._return}[kind]
        command = Command(lambda unit: run(unit, person), scope, lambda seq: str(seq).encode())
        outcome = self.installation.writer.execute(CITY, [command])[0]
        assert not isinstance(outcome, Exception), outcome
        self.owners[int(outcome.value or 0)] = person

    def live(self) -> None:
        """Everybody does everything, several times."""
        acts = [(person, kind, n) for person in self.people for kind in KINDS for n in range(ROUNDS)]
        for person in self.people:
            self.act(person, "earn", -1)
        self.chance.shuffle(acts)
        for person, kind, number in acts:
            self.installation.clock.advance(seconds=self.chance.choice([0, 0, 1, 20]))
            self.act(person, kind, number)

    def _earn(self, unit: Unit, person: str) -> int:
        commitment = sha256(self.chance.randbytes(16)).hexdigest()
        return transfers.post(
            unit,
            "reward",
            "budget:library",
            person,
            500,
            actor="learner",
            ref={"activity": "library", "session": "2026-03-02"},
            evidence={"assurance": "kiosk", "commitment": commitment},
        ).seq

    def _hold(self, unit: Unit, person: str) -> int:
        until = unit.now + timedelta(minutes=5)
        ref = {"promotion": "tea", "shop": "cafe"}
        return holds.place(unit, person, "shop:cafe", 5, expires_at=until, actor="learner", ref=ref).seq

    def _buy(self, unit: Unit, person: str) -> int:
        seq = self._hold(unit, person)
        unit.flush()
        holds.capture(unit, seq, actor="shop:cafe")
        return seq

    def _abandon(self, unit: Unit, person: str) -> int:
        return self._hold(unit, person)

    def _return(self, unit: Unit, person: str) -> int:
        seq = self._buy(unit, person)
        holds.refund(unit, seq, actor="shop:cafe")
        return seq


KINDS = ("earn", "buy", "abandon", "return")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """A crowd that has lived; the tests only read its log."""
    folder = tmp_path_factory.mktemp("crowd")
    url = f"sqlite:///{folder / 'ledger.sqlite'}"
    upgrade(url)
    made = Crowd(install(url, folder))
    made.live()
    yield made
    made.installation.close()


def _cases(leaves: list[dict[str, Any]]) -> dict[int, Case]:
    """The entries of each case, by the seq of its first, as anybody can put them together."""
    cases: dict[int, Case] = defaultdict(list)
    for leaf in leaves:
        cases[leaf["ref"].get("origin", leaf["seq"])].append(leaf)
    return cases


def _values(value: Any, name: str = "") -> set[tuple[str, str]]:
    """Every (member, value) of a leaf, however deep, but for what is shared by design and the counting numbers."""
    if isinstance(value, dict):
        return {found for member, inner in value.items() for found in _values(inner, member)}
    if isinstance(value, list):
        return {found for inner in value for found in _values(inner, name)}
    institution = name in ("from", "to") and not str(value).startswith("learner:")
    if value is None or name in SHARED | {"seq", "origin", "expires_at"} or institution:
        return set()
    return {("account" if name in ("from", "to") else name, str(value))}


def test_the_crowd_did_something(crowd: Crowd) -> None:
    """There is something to link: many cases of each person, ended in every way."""
    leaves = crowd.installation.leaves()
    kinds = {leaf["kind"] for leaf in leaves}
    assert {"reward", "hold", "capture", "refund", "hold_expire"} <= kinds
    assert len(crowd.owners) == PEOPLE * (1 + ROUNDS * len(KINDS))
    assert crowd.installation.audit().findings == []


def test_no_value_of_a_case_comes_back_in_another(crowd: Crowd) -> None:
    """Handles, ids, keys and commitments stand in one case each: nothing is there to join cases by."""
    seen: dict[tuple[str, str], int] = {}
    for origin, case in _cases(crowd.installation.leaves()).items():
        for value in {found for leaf in case for found in _values(leaf)}:
            if value[0] == "key":
                continue
            assert seen.setdefault(value, origin) == origin, value


def test_keys_do_not_join_cases(crowd: Crowd) -> None:
    """The hash of an idempotency key is that of one request: one case, though every person used the same keys."""
    owners: dict[str, set[int]] = defaultdict(set)
    for origin, case in _cases(crowd.installation.leaves()).items():
        for leaf in case:
            if leaf["key"]:
                owners[leaf["key"]].add(origin)
    assert owners
    assert {len(origins) for origins in owners.values()} == {1}


def test_one_handle_a_case_and_no_person_behind_two(crowd: Crowd) -> None:
    """Within a case the handle stays (it must, to be checked), and nobody's handle is seen again elsewhere."""
    handles_by_case = {
        origin: {path for leaf in case for posting in leaf["postings"] for path in posting.values() if "~" in str(path)}
        for origin, case in _cases(crowd.installation.leaves()).items()
    }
    personal = {origin: found for origin, found in handles_by_case.items() if origin in crowd.owners}
    assert {len(found) for found in personal.values()} == {1}
    assert len(set().union(*personal.values())) == len(crowd.owners)


def test_public_guesses_do_not_open_a_handle(crowd: Crowd) -> None:
    """Who knows every account id, entry id and public value, but no key, finds no account for any handle."""
    leaves = crowd.installation.leaves()
    shown = {posting[side] for leaf in leaves for posting in leaf["postings"] for side in ("from", "to")}
    for leaf in leaves[:200]:
        for person in crowd.people:
            guesses = (leaf["id"], person, leaf["at"], CITY, f"{person}{leaf['id']}")
            for guess in guesses:
                assert handles.handle(person, sha256(guess.encode()).digest()) not in shown
                assert handles.handle(person, handles.nonce(guess.encode(), leaf["id"])) not in shown
            bare = base32_lower(sha256(b"\x02" + person.encode()).digest())
            assert f"learner:~{bare}" not in shown


def test_neighbours_in_the_log_are_no_more_often_one_person_s(crowd: Crowd) -> None:
    """An expiry stands beside whoever comes next: no oftener beside its owner's entry than chance would have it."""
    leaves = crowd.installation.leaves()
    same = total = 0
    for before, after in pairwise(leaves):
        first, second = (leaf["ref"].get("origin", leaf["seq"]) for leaf in (before, after))
        if before["kind"] == "hold_expire" and after["kind"] in ("hold", "reward"):
            total += 1
            same += crowd.owners[first] == crowd.owners[second]
    assert total >= 2
    assert same <= 2 + 3 * total / PEOPLE


def test_a_command_s_own_expired_holds_do_not_show_whose_it_is(installation: Installation) -> None:
    """Before anybody's command, everybody's due holds end, in the order of the log: the actor's stand among them."""
    crowd = Crowd(installation)
    for person in crowd.people:
        crowd.act(person, "earn", 0)
    for person in crowd.people:
        crowd.act(person, "abandon", 0)
    crowd.installation.clock.advance(hours=2)
    crowd.act(crowd.people[3], "earn", 1)
    leaves = installation.leaves()
    expired = [crowd.owners[leaf["ref"]["origin"]] for leaf in leaves if leaf["kind"] == "hold_expire"]
    assert expired == crowd.people
    assert leaves[-1]["kind"] == "reward"


def test_pairs_of_one_person_look_like_pairs_of_two(crowd: Crowd) -> None:
    """Two cases of one person have no more members in common than two cases of the same kind of different people."""
    cases = {origin: case for origin, case in _cases(crowd.installation.leaves()).items() if origin in crowd.owners}
    chance = random.Random(3)  # noqa: S311 - a sample
    alike: dict[bool, list[int]] = {True: [], False: []}
    pairs = list(combinations(cases, 2))
    for one, other in chance.sample(pairs, min(len(pairs), 4_000)):
        left, right = ({found for leaf in cases[each] for found in _values(leaf)} for each in (one, other))
        alike[crowd.owners[one] == crowd.owners[other]].append(len(left & right))
    assert alike[True]
    assert max(alike[True]) == max(alike[False]) == 0


def test_the_outsider_s_method_would_find_a_repeated_handle(crowd: Crowd) -> None:
    """The same comparison links at once where handles repeat: the tests above can fail."""
    leaves = crowd.installation.leaves()
    for leaf in leaves:
        owner = crowd.owners.get(leaf["ref"].get("origin", leaf["seq"]))
        for posting in leaf["postings"]:
            for side in ("from", "to"):
                if owner and "~" in posting[side]:
                    posting[side] = owner
    cases = {origin: case for origin, case in _cases(leaves).items() if origin in crowd.owners}
    joined: dict[tuple[str, str], set[int]] = defaultdict(set)
    for origin, case in cases.items():
        for value in {found for leaf in case for found in _values(leaf)}:
            joined[value].add(origin)
    assert sum(len(origins) > 1 for origins in joined.values()) == PEOPLE
