"""The shape of an entry: what passes, what is refused, and that the fast reader agrees with the slow one."""

import contextlib
import random
from typing import Any

import pytest

from ledger.proof.encoding import EncodingError, canonical, parse, parse_strict
from ledger.proof.rules import (
    ALLOWED,
    FOLLOWING,
    KINDS,
    LEAF_MEMBERS,
    MAX_AMOUNT,
    MOVELESS,
    REVERSIBLE,
    account_type,
    check_entry_shape,
    read_plain,
)
from tests.counts import scale
from tests.proof.logs import Log, day

HANDLE = "learner:~" + "a" * 52
ACCOUNTS = {
    "issuance": "issuance",
    "treasury": "treasury",
    "budget": "budget:museum",
    "learner": HANDLE,
    "shop": "shop:cafe",
    "sponsor": "sponsor:bank",
    "bridge": "bridge:11155111",
    "suspense": "suspense:11155111",
    "expired": "expired",
    "settled": "settled",
}
REWARD: dict[str, Any] = day().leaves[3]
GRANT: dict[str, Any] = day().leaves[0]
HOLD: dict[str, Any] = day().leaves[6]
POSTING: dict[str, Any] = REWARD["postings"][0]
CLAIMS: dict[str, Any] = {
    "chain_id": 31_337,
    "contract": "0x" + "ab" * 20,
    "list": "ab" * 32,
    "root": "cd" * 32,
    "size": 3,
    "total": 500,
}


@pytest.mark.parametrize(("path", "kind"), [(path, kind) for kind, path in ACCOUNTS.items()])
def test_account_paths_have_types(path: str, kind: str) -> None:
    """Each path belongs to the type it begins with."""
    assert account_type(path) == kind


@pytest.mark.parametrize(
    "path",
    [
        "",
        "treasury:",
        "treasury:x",
        "budget",
        "budget:",
        "budget:A",
        "budget:a:b",
        "budget:a b",
        "budget:" + "a" * 65,
        "budget:พิพิธภัณฑ์",
        "learner",
        "learner:ann",
        "learner:~" + "a" * 51,
        "learner:~" + "A" * 52,
        "learner:~" + "1" * 52,
        "learner:~" + "a" * 52 + "\n",
        "bank:x",
        "shop:cafe\n",
    ],
)
def test_other_paths_are_no_accounts(path: str) -> None:
    """One segment of lower-case letters, digits, - and _ after the type, or none where there is one account."""
    with pytest.raises(ValueError, match="account"):
        account_type(path)


def test_the_allow_list_is_exactly_that_of_the_format() -> None:
    """27 direct movements, and for `reverse` the mirror of each reversible one."""
    direct = {move for move in ALLOWED if move[0] != "reverse"}
    assert len(direct) == 27
    assert {move for move in ALLOWED if move[0] == "reverse"} == {
        ("reverse", taker, giver) for kind, giver, taker in direct if kind in REVERSIBLE
    }
    assert {kind for kind, giver, _ in direct if giver == "issuance"} == {"grant"}
    assert {giver for kind, giver, _ in direct if kind == "reward"} == {"budget"}
    assert len(KINDS) == 20


def test_only_allowed_movements_pass() -> None:
    """Every (kind, from, to) over all kinds and account types is judged as the allow-list says."""
    for kind in KINDS - MOVELESS:
        ref: dict[str, Any] = {"origin": 0} if kind in FOLLOWING else {}
        if kind == "hold":
            ref = {"expires_at": REWARD["at"]}
        for giver, source in ACCOUNTS.items():
            for taker, target in ACCOUNTS.items():
                other = target.replace("museum", "park").replace("cafe", "bakery").replace("~a", "~b")
                leaf = REWARD | {
                    "kind": kind,
                    "ref": ref,
                    "postings": [{"from": source, "to": other, "amount": 1}],
                }
                assert (check_entry_shape(leaf) is None) == ((kind, giver, taker) in ALLOWED), (kind, giver, taker)
                assert (read_plain(canonical(leaf)) is None) == ((kind, giver, taker) not in ALLOWED)


def test_the_sample_day_is_well_shaped() -> None:
    """Every entry of the tests' own log passes, and the bounds of amounts are inclusive."""
    for leaf in day().leaves:
        assert check_entry_shape(leaf) is None
    for amount in (1, MAX_AMOUNT):
        assert check_entry_shape(GRANT | {"postings": [GRANT["postings"][0] | {"amount": amount}]}) is None


def broken_claims() -> list[Any]:
    """Return commitments to lists of claims that each break one rule."""
    numbers: list[Any] = [0, -1, True, "1", 1.0, None, 2**53]
    wrong: dict[str, list[Any]] = {
        "chain_id": numbers,
        "contract": ["", "0x" + "a" * 39, "0x" + "A" * 40, None, 5],
        "list": ["", "AB" * 32, "ab" * 33, None],
        "root": ["", "0x" + "ab" * 32, None],
        "size": [*numbers, 1_000],
        "total": numbers,
    }
    return [
        [],
        {},
        CLAIMS | {"memo": 1},
        *({name: CLAIMS[name] for name in CLAIMS if name != member} for member in CLAIMS),
        *(CLAIMS | {member: value} for member, values in wrong.items() for value in values),
    ]


def test_a_commitment_to_claims_is_well_shaped() -> None:
    """An attestation may commit to a list on the entries before it, and on no later ones."""
    attest = day().leaves[-1]
    for size in (1, attest["seq"]):
        assert check_entry_shape(attest | {"ref": {"claims": CLAIMS | {"size": size}}}) is None
    assert check_entry_shape(attest | {"ref": {"claims": CLAIMS | {"size": attest["seq"] + 1}}}) is not None


def broken_leaves() -> list[Any]:
    """Return entries that each break one rule of the shape."""
    attest = day().leaves[-1]
    wrong_members: list[Any] = [None, [], "leaf", {}, {**REWARD, "extra": 1}]
    wrong_members += [{name: REWARD[name] for name in REWARD if name != member} for member in sorted(LEAF_MEMBERS)]
    values: dict[str, list[Any]] = {
        "v": [0, 2, True, "1", 1.0, None],
        "city": ["", "Khon Kaen", "ขอนแก่น", None, 7, []],
        "seq": [-1, "3", True, None, 2**53, 3.0],
        "id": ["a" * 25, "a" * 27, "A" * 26, "1" * 26, None, 5],
        "kind": ["", "gift", None, [], {}],
        "at": ["2026-11-22", "2026-13-22T14:00:00.000Z", "2026-11-22T14:00:00.000+07:00", None, 0],
        "actor": ["", "ann", "learner:x", "shop", "shop:", "shop:A", HANDLE, None, 3],
        "key": ["", "ab", "AB" * 32, "ab" * 33, 0, []],
        "rule": ["", "zz" * 32, 0, {}],
        "postings": [None, {}, [], [None], [[]], ["x"]],
        "ref": [None, [], {"who": "ann"}, {"activity": ""}, {"activity": None}, {"activity": "A B"}],
        "evidence": [{}, [], "kiosk", {"assurance": "kiosk"}, {"assurance": "guess", "commitment": "ab" * 32}],
    }
    values["evidence"] += [{"assurance": "kiosk", "commitment": None}, {"assurance": [], "commitment": "ab" * 32}]
    values["ref"] += [{"reason": "Mistake!"}, {"reason": 4}, {"totals": {}}, {"policy": {}}, {"origin": 0}]
    values["ref"] += [{"expires_at": REWARD["at"]}, {"shop": ["x"]}]
    postings: list[dict[str, Any]] = [
        {"amount": amount} for amount in (0, -1, True, 1.5, "5", None, MAX_AMOUNT + 1, float("nan"))
    ]
    givers: list[Any] = [None, 5, "", "budget", "shop:cafe", HANDLE, []]
    takers: list[Any] = [None, [], "learner:" + "a" * 26, "treasury", "learner:~aa"]
    postings += [{"from": path} for path in givers] + [{"to": path} for path in takers]
    postings += [{"memo": "x"}]
    documents: list[Any] = [[], {"issued": -1}, {"issued": "1"}, {"coins": 1}]
    documents += [{"issued": total} for total in (True, 1.0, None, 2**53)]
    return [
        *wrong_members,
        *(REWARD | {member: value} for member, options in values.items() for value in options),
        *(REWARD | {"postings": [POSTING | change]} for change in postings),
        REWARD | {"postings": [{"from": POSTING["from"], "to": POSTING["to"]}]},
        REWARD | {"kind": "badge"},
        REWARD | {"kind": "transfer", "postings": [{"from": "shop:a", "to": "shop:a", "amount": 1}]},
        HOLD | {"postings": HOLD["postings"] * 2},
        HOLD | {"ref": {"shop": "cafe"}},
        HOLD | {"ref": {"expires_at": "tomorrow"}},
        HOLD | {"ref": {"expires_at": None}},
        day().leaves[7] | {"ref": {}},
        *(day().leaves[7] | {"ref": {"origin": origin}} for origin in (7, 8, -1, True, "6", None)),
        *(attest | {"ref": {"totals": totals}} for totals in documents),
        attest | {"kind": "policy", "ref": {"claims": CLAIMS}},
        *(attest | {"ref": {"claims": claims}} for claims in broken_claims()),
        day().leaves[2] | {"ref": {"policy": []}},
        day().leaves[2] | {"ref": {"policy": {"rate": 0.5}}},
        day().leaves[2] | {"ref": {"policy": {"text": "x" * 65_535}}},
    ]


def test_every_broken_shape_is_refused() -> None:
    """Each is refused with a reason, without a crash, and the fast reader does not take it either."""
    for leaf in broken_leaves():
        assert check_entry_shape(leaf), leaf
        try:
            line = canonical(leaf)
        except EncodingError:
            continue
        assert read_plain(line) is None, leaf


def test_ordinary_entries_take_the_fast_way() -> None:
    """All entries of the sample day but the ones with documents are read by the pattern, with equal members."""
    for leaf in day().leaves:
        fast = read_plain(canonical(leaf))
        assert (fast is None) == (leaf["kind"] in MOVELESS)
        if fast:
            assert fast == {name: leaf[name] for name in fast}


def test_the_fast_way_takes_nothing_that_the_slow_way_refuses() -> None:
    """Thousands of damaged lines: whatever the pattern reads is canonical, well-shaped and read alike."""
    chance = random.Random(8785)  # noqa: S311
    log = Log()
    for leaf in day().leaves:
        log.leaves.append(leaf)
    lines = [canonical(leaf) for leaf in log.leaves if leaf["kind"] not in MOVELESS]
    taken = 0
    for _ in range(scale(6000, 200_000)):
        line = bytearray(chance.choice(lines))
        at = chance.randrange(len(line))
        match chance.randrange(4):
            case 0:
                line[at] ^= 1 << chance.randrange(8)
            case 1:
                line[at] = chance.choice(b'0189az:,"{}[]~-. \\')
            case 2:
                del line[at : at + chance.randint(1, 12)]
            case _:
                other = chance.choice(lines)
                line[at : at + 9] = other[at : at + chance.randint(0, 30)]
        if fast := read_plain(bytes(line)):
            taken += 1
            whole = parse_strict(bytes(line))
            assert check_entry_shape(whole) is None
            assert fast == {name: whole[name] for name in fast}
    assert taken > 100


@pytest.mark.parametrize(
    "change",
    [
        (b'"ref":{"activity":"museum"', b'"ref":{"activity":"museum","activity":"museum"'),
        (b'"ref":{"activity":"museum","session"', b'"ref":{"session":"x","activity":"museum","shop"'),
        (b'"amount":500', b'"amount":0500'),
        (b'"amount":500', b'"amount":5e2'),
        (b'"amount":500', '"amount":๕00'.encode()),
        (b'"v":1}', b'"v":1} '),
        (b'"v":1}', b'"v":1}\n'),
        (b'"seq":3', b'"seq":9007199254740992'),
        (b'"city":"khon-kaen"', b'"city":"khon\\u002dkaen"'),
    ],
    ids=str,
)
def test_second_spellings_do_not_take_the_fast_way(change: tuple[bytes, bytes]) -> None:
    """Doubled and misplaced members, other numbers and escapes fall to the slow reader, which refuses them."""
    line = canonical(REWARD)
    assert change[0] in line
    spelt = line.replace(*change)
    assert read_plain(line)
    assert read_plain(spelt) is None
    with contextlib.suppress(EncodingError):
        assert canonical(parse(spelt)) != spelt
