"""Policies: the specification's example with real keys, who satisfies it, and everything it does not allow."""

import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.proof import checkpoint, cosignature
from ledger.proof.checkpoint import CheckpointError
from ledger.proof.policy import Policy, PolicyError, parse
from ledger.signing import cosign
from tests.proof.logs import ORIGIN, VKEY, day, signed
from tests.proof.vectors import ABSENT_WITNESS, ARCHE, ARCHE_COSIGNED_AT, ARCHE_VKEY, WITNESSES

KEYS = {name: Ed25519PrivateKey.from_private_bytes(name.encode() * 16) for name in ("X1", "X2", "X3", "Y1", "Y2", "Y3")}
WIT = {name: cosignature.vkey(f"{name}.example", key.public_key()) for name, key in KEYS.items()}
EXAMPLE = f"""\
log {VKEY}

witness X1 {WIT["X1"]}
witness X2 {WIT["X2"]}
witness X3 {WIT["X3"]}
group X-witnesses 2 X1 X2 X3

witness Y1 {WIT["Y1"]}
witness Y2 {WIT["Y2"]}
witness Y3 {WIT["Y3"]}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def read(text: str) -> Policy:
    """Read a policy from text."""
    return parse(text.encode())


def test_the_example_of_the_specification_is_judged_as_it_says() -> None:
    """Two of the X and one of the Y, in each of the 64 combinations; names of nobody add nothing."""
    policy = read(EXAMPLE)
    assert [party.key.name for party in policy.logs] == [ORIGIN]
    for chosen in itertools.product((False, True), repeat=6):
        cosigners = {name for name, counted in zip(WIT, chosen, strict=True) if counted}
        expected = sum(name[0] == "X" for name in cosigners) >= 2 and any(name[0] == "Y" for name in cosigners)
        assert policy.satisfied(cosigners) == expected
        assert policy.satisfied([*cosigners, "X-and-Y", "none", "Z1"]) == expected


def test_real_cosignatures_make_a_quorum() -> None:
    """Three of five published witnesses: four cosigned, one did not."""
    names = [*WITNESSES, ABSENT_WITNESS]
    text = f"log {ARCHE_VKEY}\n" + "".join(f"witness {number} {vkey}\n" for number, vkey in enumerate(names))
    policy = read(f"{text}group all 5 0 1 2 3 4\nquorum all\n")
    assert policy.cosigners(ARCHE) == dict.fromkeys("0123", ARCHE_COSIGNED_AT)
    assert not policy.satisfied(policy.cosigners(ARCHE))
    for threshold, expected in (("any", True), ("3", True), ("4", True), ("all", False)):
        policy = read(f"{text}group all {threshold} 0 1 2 3 4\nquorum all\n")
        assert policy.satisfied(policy.cosigners(ARCHE)) == expected


def test_a_wrong_cosignature_of_a_known_witness_refuses_the_note() -> None:
    """Even where the others would do."""
    policy, note = read(EXAMPLE), signed(day().lines())
    body = checkpoint.parse(note).body()
    lines = {name: cosign(body, f"{name}.example", key, 7) for name, key in KEYS.items()}
    assert policy.cosigners(note + lines["X1"] + lines["Y3"]) == {"X1": 7, "Y3": 7}
    wrong = cosign(body.replace("\n1", "\n2", 1), "X2.example", KEYS["X2"], 7)
    with pytest.raises(CheckpointError):
        policy.cosigners(note + lines["X1"] + wrong)


def test_forms_that_are_allowed() -> None:
    """No logs, tabs, comments, addresses, no newline at the end, keywords and any octets as names."""
    assert read("quorum none").satisfied([])
    spaced = read(f"\n# note\n\t # note\n\twitness \t w1  {WIT['X1']}   https://w1.example/  \n\n  quorum\tw1")
    assert (spaced.quorum, spaced.witnesses["w1"].url) == ("w1", "https://w1.example/")
    assert read(f"log {VKEY} https://log.example/\nquorum none\n").logs[0].url == "https://log.example/"
    octets = parse(b"witness K\xe2\x84\xaa-\x80 " + WIT["X1"].encode() + b"\nquorum K\xe2\x84\xaa-\x80\n")
    assert octets.satisfied(octets.witnesses)
    words = read(f"witness all {WIT['X1']}\nwitness any {WIT['X2']}\ngroup group 2 all any\nquorum group\n")
    assert words.groups == {"group": (2, ["all", "any"])}
    other = checkpoint.vkey(ORIGIN, KEYS["X1"].public_key())
    assert len(read(f"log {VKEY}\nlog {other}\nquorum none\n").logs) == 2  # a log that changed its key


ONE = f"witness w1 {WIT['X1']}\n"
TWO = f"{ONE}witness w2 {WIT['X2']}\n"
SAME_KEY = cosignature.vkey("impostor.example", KEYS["X1"].public_key())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "quorum none\n\x01",
        "quorum none\r\n",
        "quorum none\n\x7f\n",
        "quibble w1\nquorum none\n",
        f"witness w1 {WIT['X1']} https://w1.example/ # comment\nquorum w1\n",
        "log\nquorum none\n",
        "log garbage\nquorum none\n",
        f"log {WIT['X1']}\nquorum none\n",
        f"log {VKEY}\nlog {VKEY} https://log.example/\nquorum none\n",
        "witness w1\nquorum none\n",
        f"witness w1 {VKEY}\nquorum w1\n",
        f"witness none {WIT['X1']}\nquorum none\n",
        f"{ONE}witness w1 {WIT['X2']}\nquorum w1\n",
        f"{ONE}witness w2 {SAME_KEY}\nquorum w1\n",
        f"{ONE}group w1 any w1\nquorum w1\n",
        f"{ONE}group g1 1\nquorum w1\n",
        f"{ONE}group none any w1\nquorum none\n",
        f"{ONE}group g1 0 w1\nquorum g1\n",
        f"{ONE}group g1 -1 w1\nquorum g1\n",
        f"{ONE}group g1 +1 w1\nquorum g1\n",
        f"{ONE}group g1 ๑ w1\nquorum g1\n",
        f"{ONE}group g1 {'9' * 5000} w1\nquorum g1\n",
        f"{ONE}group g1 2 w1\nquorum g1\n",
        f"{ONE}group g1 any w2\nquorum g1\n",
        f"group g1 any w1\n{ONE}quorum g1\n",
        f"{ONE}group g1 any none w1\nquorum g1\n",
        f"{ONE}group g1 any g1\nquorum g1\n",
        f"{ONE}group g1 all w1 w1\nquorum g1\n",
        f"{TWO}group g1 any w1 w2\ngroup g2 any w1\nquorum g1\n",
        ONE,
        f"{ONE}quorum w1\nquorum w1\n",
        "quorum unknown\n",
        f"quorum w1\n{ONE}",
        "quorum\n",
        "quorum none none\n",
        f"{ONE}Quorum w1\n",
        f"witness\u00a0w1 {WIT['X1']}\nquorum none\n",
    ],
)
def test_malformed_policies_are_refused(text: str) -> None:
    """Whatever the specification does not allow, in any line."""
    with pytest.raises(PolicyError):
        read(text)
