"""Collecting cosignatures: from where each witness is, verified before they are kept, patient with those that fail."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import func, select, update

from ledger.book import seal
from ledger.log import checkpoints, cosigning
from ledger.log.checkpoints import Cosignature
from ledger.log.cosigning import FIRST_WAIT, LONGEST_WAIT, Standing, Submission
from ledger.log.submission import Submit, Unreachable
from ledger.log.witness import PLAIN, SIZE, Reply
from ledger.signing import cosign
from tests.factories import CITY, Installation, grow
from tests.log.witnesses import Friend, rule


def _collect(installation: Installation, friend: Friend, submit: Submit, *, insist: bool = False) -> Standing:
    """One round with one witness of the policy, which is reached in some way."""
    made, wanted = installation, rule([friend], f"quorum {friend.name}")
    return cosigning.collect(made.database, CITY, wanted, {friend.name: submit}, made.clock, insist=insist)[0]


def _lines(installation: Installation) -> int:
    with installation.read() as session:
        return session.scalar(select(func.count()).select_from(Cosignature)) or 0


def test_a_log_is_cosigned_as_it_grows(installation: Installation) -> None:
    """One request a round: the witness's size is remembered, the proof starts from there. Nothing new, no request."""
    friend = Friend(installation, "a")
    for number, size in enumerate((1, 300, 301, 700), 1):
        grow(installation, (size,))
        standing = _collect(installation, friend, friend)
        assert (standing.size, standing.problem) == (size, None)
        assert (friend.asked, _lines(installation)) == (number, number)
        _collect(installation, friend, friend)
        assert friend.asked == number


def test_a_forgotten_size_is_learnt_from_the_witness(installation: Installation) -> None:
    """The witness knows more than the log remembers, or less: 409 says what, and the second request starts there."""
    friend = Friend(installation, "a")
    grow(installation, (300,))
    _collect(installation, friend, friend)
    for round_, (wrong, size) in enumerate(((0, 700), (650, 701), (301, 900)), 1):
        with installation.database.write() as session:
            session.execute(update(Submission).values(size=wrong))
            session.commit()
        grow(installation, (size,))
        assert _collect(installation, friend, friend).size == size
        assert friend.asked == 1 + 2 * round_


def test_a_lost_cosignature_is_asked_for_again(installation: Installation) -> None:
    """The witness had cosigned and the answer never came: it cosigns the same size once more."""
    friend = Friend(installation, "a")
    installation.grant()

    def lost(body: bytes) -> Reply:
        friend(body)
        raise Unreachable("timeout")

    assert _collect(installation, friend, lost).problem == "timeout"
    standing = _collect(installation, friend, friend, insist=True)
    assert (standing.size, standing.problem, _lines(installation)) == (1, None, 1)


def test_all_witnesses_are_asked_for_one_checkpoint(installation: Installation) -> None:
    """Though entries come in between, their cosignatures meet under one note, or no quorum would ever be had."""
    friends = [Friend(installation, name) for name in ("a", "b", "c")]
    wanted = rule(friends, "group all-of-them all a b c\nquorum all-of-them")

    def busy(friend: Friend) -> Submit:
        def submit(body: bytes) -> Reply:
            installation.grant()
            return friend(body)

        return submit

    for size in (1, 5, 9):
        installation.grant()
        cosigning.collect(
            installation.database, CITY, wanted, {one.name: busy(one) for one in friends}, installation.clock
        )
        with installation.read() as session:
            note = checkpoints.shown(session, CITY, wanted)
        assert set(wanted.policy.cosigners(note)) == {"a", "b", "c"}
        assert note.split("\n")[1] == str(size)


def _stranger(note: str) -> str:
    return cosign(note.rpartition("\n\n")[0] + "\n", "stranger.example/w", Ed25519PrivateKey.generate(), 1)


def test_signatures_of_others_are_left_out(installation: Installation) -> None:
    """Whatever else an answer holds, only the line of the witness that was asked is kept."""
    friend = Friend(installation, "a")
    installation.grant()

    def chatty(body: bytes) -> Reply:
        reply = friend(body)
        note = body.decode().partition("\n\n")[2]
        return reply._replace(body=_stranger(note) + reply.body + _stranger(note))

    _collect(installation, friend, chatty)
    with installation.read() as session:
        line = session.scalars(select(Cosignature.line)).one()
    assert line.startswith("— a.example/w ")
    assert line.count("\n") == 1


def _wrong(installation: Installation, friend: Friend, kind: str) -> Submit:
    def submit(body: bytes) -> Reply:
        reply = friend(body)
        note = body.decode().partition("\n\n")[2]
        if kind == "a stranger's":
            return reply._replace(body=_stranger(note))
        if kind == "another text's":
            with installation.read() as session:
                other = session.get_one(seal.SignedCheckpoint, (CITY, 0)).note
            key = friend.witness.key
            assert key is not None
            return reply._replace(body=cosign(other.rpartition("\n\n")[0] + "\n", key.name, key.signer, 1))
        return reply._replace(body={"none": "", "noise": "— a\n", "html": "<html>\n\n</html>"}[kind])

    return submit


@pytest.mark.parametrize("kind", ["a stranger's", "another text's", "none", "noise", "html"])
def test_what_is_no_cosignature_is_not_kept(installation: Installation, kind: str) -> None:
    """Verified before it is stored: the witness stands with a problem, and the checkpoint as it was."""
    friend = Friend(installation, "a")
    installation.grant()
    standing = _collect(installation, friend, _wrong(installation, friend, kind))
    assert (standing.problem, _lines(installation)) == ("bad_cosignature", 0)


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (Reply(403, PLAIN, "no\n"), "refused_key"),
        (Reply(404, PLAIN, "no\n"), "refused_log"),
        (Reply(422, PLAIN, "no\n"), "refused_proof"),
        (Reply(400, PLAIN, "no\n"), "refused_malformed"),
        (Reply(409, SIZE, "0\n"), "refused_history"),
        (Reply(409, PLAIN, "7\n"), "refused_history"),
        (Reply(409, SIZE, "seven\n"), "refused_history"),
        (Reply(409, SIZE, "99\n"), "ahead"),
        (Reply(500, PLAIN, ""), "http_500"),
        (Reply(302, PLAIN, ""), "http_302"),
    ],
)
def test_a_refusal_is_kept_in_a_word(installation: Installation, reply: Reply, problem: str) -> None:
    """The operator sees which witness, since when, and why."""
    friend = Friend(installation, "a")
    installation.grant()
    assert _collect(installation, friend, lambda body: reply).problem == problem
    with installation.read() as session:
        assert cosigning.standings(session, CITY, rule([friend], "quorum a").policy)[0].problem == problem


def test_a_witness_that_changes_its_mind_is_not_asked_for_ever(installation: Installation) -> None:
    """Each time another size: it is left for the next round."""
    friend = Friend(installation, "a")
    for _ in range(9):
        installation.grant()
    sizes = iter(range(1, 9))
    standing = _collect(installation, friend, lambda body: Reply(409, SIZE, f"{next(sizes)}\n"))
    assert (standing.problem, next(sizes)) == ("busy", 4)


def test_a_witness_that_saw_another_history_is_told_loudly(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    """A log that lost entries it had shown, or was changed: an error in the operator's log, with both sizes."""
    friend = Friend(installation, "a")
    installation.grant()
    with caplog.at_level(logging.ERROR):
        _collect(installation, friend, lambda body: Reply(409, SIZE, "99\n"))
    assert "has cosigned 99 entries" in caplog.text


def test_a_witness_that_fails_is_left_alone_longer_and_longer(installation: Installation) -> None:
    """Thirty seconds, then twice as long each time, up to an hour; what works again starts from nothing."""
    friend = Friend(installation, "a")
    installation.grant()
    asked: list[int] = []

    def silent(body: bytes) -> Reply:
        asked.append(1)
        raise Unreachable("timeout")

    wait = FIRST_WAIT
    for number in range(1, 12):
        _collect(installation, friend, silent)
        assert len(asked) == number
        installation.clock.now += wait - timedelta(milliseconds=1)
        _collect(installation, friend, silent)
        assert len(asked) == number
        installation.clock.now += timedelta(milliseconds=1)
        wait = min(wait * 2, LONGEST_WAIT)
    assert wait == LONGEST_WAIT
    assert _collect(installation, friend, friend).problem is None
    installation.grant()
    assert _collect(installation, friend, silent).problem == "timeout"
    installation.clock.now += FIRST_WAIT
    assert _collect(installation, friend, friend).problem is None


def test_whoever_insists_does_not_wait(installation: Installation) -> None:
    """By hand a witness is asked though it failed a moment ago."""
    friend = Friend(installation, "a")
    installation.grant()

    def silent(body: bytes) -> Reply:
        raise Unreachable("timeout")

    _collect(installation, friend, silent)
    assert _collect(installation, friend, friend).problem == "timeout"
    assert _collect(installation, friend, friend, insist=True).problem is None


def test_another_process_may_have_been_there_first(installation: Installation) -> None:
    """The witness has a larger checkpoint of this log than the one that was to be cosigned: no harm, no problem."""
    friend = Friend(installation, "a")
    installation.grant()

    def overtaken(body: bytes) -> Reply:
        installation.grant()
        wanted = rule([friend], "quorum a")
        cosigning.collect(installation.database, CITY, wanted, {"a": friend}, installation.clock)
        return friend(body)

    standing = _collect(installation, friend, overtaken)
    assert (standing.size, standing.problem, _lines(installation)) == (2, None, 1)


def test_a_witness_that_cannot_be_reached_is_not_asked(installation: Installation) -> None:
    """One without an address in the policy stands there with nothing, and the others do not wait for it."""
    friends = [Friend(installation, "a"), Friend(installation, "b")]
    wanted = rule(friends, "group g any a b\nquorum g")
    installation.grant()
    submitters: dict[str, Callable[[bytes], Reply]] = {"b": friends[1]}
    first, second = cosigning.collect(installation.database, CITY, wanted, submitters, installation.clock)
    assert (first.tried_at, first.size, second.size) == (None, 0, 1)
    with installation.read() as session:
        assert set(wanted.policy.cosigners(checkpoints.shown(session, CITY, wanted))) == {"b"}


def test_a_fault_of_the_program_is_no_witness_s(installation: Installation) -> None:
    """It is raised to whoever runs the job, and nothing is stored of the round."""
    friend = Friend(installation, "a")
    installation.grant()

    def broken(body: bytes) -> Reply:
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        _collect(installation, friend, broken)
    assert _collect(installation, friend, friend).problem is None
