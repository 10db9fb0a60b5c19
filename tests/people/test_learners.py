"""Learners: joining, recovering, securing."""

from __future__ import annotations

import re
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from ledger.errors import NotFound, ValidationFailed
from ledger.people import learners, tokens
from ledger.people.learners import RECOVERY_ALPHABET, Joined
from tests.factories import CITY, Installation

CODES = st.text(RECOVERY_ALPHABET, min_size=16, max_size=16)


def _joined(installation: Installation) -> Joined:
    return installation.run(learners.join)


def _secured(installation: Installation, learner: str) -> bool:
    with installation.read() as session:
        return learners.is_secured(session, CITY, learner)


def _signs_in(installation: Installation, secret: str) -> bool:
    with installation.read() as session:
        return tokens.find(session, CITY, secret, installation.clock.now) is not None


def test_joining_makes_a_learner_who_can_act(installation: Installation) -> None:
    """One command gives an id, an account with nothing in it, a sign-in and a recovery code; twice gives two."""
    first, second = _joined(installation), _joined(installation)
    assert re.fullmatch(r"[a-z2-7]{26}", first.learner)
    assert first.account == f"learner:{first.learner}"
    assert installation.balance(first.account).available_minor == 0
    assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}", first.recovery_code)
    with installation.read() as session:
        principal = tokens.find(session, CITY, first.token, installation.clock.now)
    assert principal is not None
    assert (principal.roles, principal.subject) == (frozenset({"learner"}), first.learner)
    assert len({first.learner, second.learner, first.token, second.token}) == 4
    assert first.recovery_code != second.recovery_code


def _with_ticket(installation: Installation, ticket: str) -> Joined:
    return installation.run(lambda unit: learners.join(unit, ticket))


def test_a_browser_that_asks_twice_at_once_is_one_learner(installation: Installation) -> None:
    """The same ticket leads to the same learner and code, and each time to a sign-in that works; another does not."""
    first, second = _with_ticket(installation, "a" * 26), _with_ticket(installation, "a" * 26)
    assert (second.learner, second.recovery_code) == (first.learner, first.recovery_code)
    assert first.token != second.token
    assert _signs_in(installation, first.token)
    assert _signs_in(installation, second.token)
    assert _with_ticket(installation, "b" * 26).learner != first.learner


@pytest.mark.parametrize("why", ["late", "secured"])
def test_a_ticket_is_no_second_key(installation: Installation, why: str) -> None:
    """Minutes later, or once the recovery code is kept, it begins somebody new."""
    first = _with_ticket(installation, "a" * 26)
    if why == "late":
        installation.clock.advance(seconds=learners.JOINING.total_seconds())
    else:
        installation.run(partial(learners.secure, learner_id=first.learner))
    second = _with_ticket(installation, "a" * 26)
    assert second.learner != first.learner
    assert second.recovery_code != first.recovery_code


def test_the_recovery_code_is_not_kept(installation: Installation) -> None:
    """No column of the learner holds the code or its plain hash."""
    joined = _joined(installation)
    with installation.read() as session:
        row = str(session.execute(text("SELECT * FROM learners")).one())
    assert joined.learner in row
    assert joined.recovery_code.replace("-", "") not in row


def test_recovering_moves_the_account(installation: Installation) -> None:
    """The code gives a new sign-in, ends the old ones, counts as secured, and stays valid for the next time."""
    joined, bystander = _joined(installation), _joined(installation)
    again = installation.run(lambda unit: learners.recover(unit, joined.recovery_code.lower().replace("-", " ")))
    assert (again.learner, again.account) == (joined.learner, joined.account)
    assert again.recovery_code == joined.recovery_code
    assert not _signs_in(installation, joined.token)
    assert _signs_in(installation, again.token)
    assert _signs_in(installation, bystander.token)
    assert _secured(installation, joined.learner)
    assert not _secured(installation, bystander.learner)
    third = installation.run(lambda unit: learners.recover(unit, joined.recovery_code))
    assert not _signs_in(installation, again.token)
    assert _signs_in(installation, third.token)


def test_a_code_of_nobody_recovers_nothing(installation: Installation) -> None:
    """A code that nobody has is not found; what cannot be a code is refused with a remedy."""
    joined = _joined(installation)
    with pytest.raises(NotFound):
        installation.run(lambda unit: learners.recover(unit, "0000-0000-0000-0000"))
    for wrong in ("", "0000-0000-0000-000", "0000-0000-0000-0000-0", "0000-0000-0000-000U"):
        with pytest.raises(ValidationFailed) as refusal:
            installation.run(partial(learners.recover, recovery_code=wrong))
        assert set(refusal.value.fields) == {"recovery_code"}
    assert _signs_in(installation, joined.token)


def test_securing_counts_the_first_time(installation: Installation) -> None:
    """A learner who says that the code is kept is secured; saying it twice changes nothing."""
    joined = _joined(installation)
    assert not _secured(installation, joined.learner)
    for _ in range(2):
        installation.run(lambda unit: learners.secure(unit, joined.learner))
        assert _secured(installation, joined.learner)
    with pytest.raises(NotFound):
        installation.run(lambda unit: learners.secure(unit, "nobody"))


@given(CODES)
def test_a_code_is_read_as_people_type_it(code: str) -> None:
    """Groups, lower case, spaces and look-alikes all read as the same code."""
    shown = learners.show_recovery_code(code)
    typed = shown.replace("0", "O").replace("1", "l").lower().replace("-", " - ")
    assert learners.read_recovery_code(shown) == code
    assert learners.read_recovery_code(typed) == code
    assert learners.read_recovery_code(f" {code} ") == code


@given(CODES, st.integers(0, 15))
def test_a_code_short_of_a_character_is_refused(code: str, position: int) -> None:
    """Whichever character is left out, the rest is not a code."""
    with pytest.raises(ValidationFailed):
        learners.read_recovery_code(code[:position] + code[position + 1 :])
