"""Sign-ins and one-time links."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import text

from ledger.errors import NotFound, Refused, ValidationFailed
from ledger.people import tokens
from ledger.people.roles import Principal
from tests.factories import CITY, Installation, add_city, reopen


def _find(installation: Installation, secret: str, city: str = CITY) -> Principal | None:
    with installation.read() as session:
        return tokens.find(session, city, secret, installation.clock.now)


def test_a_token_signs_in_with_its_roles(installation: Installation) -> None:
    """The secret brings back roles and subject; another secret brings back nobody."""
    secret = installation.run(lambda unit: tokens.issue(unit, {"shop"}, "noodles"))
    found = _find(installation, secret)
    assert found is not None
    assert (found.roles, found.subject, found.city) == (frozenset({"shop"}), "noodles", CITY)
    assert _find(installation, secret[:-1] + ("a" if secret[-1] != "a" else "b")) is None
    assert _find(installation, "") is None
    assert _find(installation, "é" * 10_000) is None


def test_a_secret_names_its_city_and_is_not_kept(installation: Installation) -> None:
    """A secret is kgo_, the city's prefix and 128 random bits; the database holds its hash alone."""
    secret = installation.run(lambda unit: tokens.issue(unit, {"steward"}))
    link = installation.run(lambda unit: tokens.create_link(unit, {"steward"}))
    assert re.fullmatch(r"kgo_kk[a-z2-7]{26}", secret)
    with installation.read() as session:
        assert tokens.city_of(session, secret) == CITY
        stored = [
            str(row)
            for table in ("tokens", "links")
            for row in session.execute(text(f"SELECT * FROM {table}"))  # noqa: S608
        ]
        assert len(stored) == 2
        assert not any(secret[6:] in row or link[6:] in row for row in stored)
        with pytest.raises(NotFound):
            tokens.city_of(session, "kgo_zz" + secret[6:])


def test_a_token_holds_in_its_own_city_alone(installation: Installation) -> None:
    """Another city of the installation does not know the token."""
    add_city(installation.database, installation.keys, "yala", code_prefix="yl")
    secret = installation.run(lambda unit: tokens.issue(unit, {"steward"}))
    assert _find(installation, secret) is not None
    assert _find(installation, secret, "yala") is None


def test_a_token_expires(installation: Installation) -> None:
    """It signs in until its lifetime is over; one without a lifetime does not end."""
    brief = installation.run(lambda unit: tokens.issue(unit, {"steward"}, lifetime=timedelta(days=1)))
    lasting = installation.run(lambda unit: tokens.issue(unit, {"steward"}))
    installation.clock.advance(hours=23, minutes=59)
    assert _find(installation, brief) is not None
    installation.clock.advance(minutes=1)
    assert _find(installation, brief) is None
    assert _find(installation, lasting) is not None


def test_a_token_can_be_revoked(installation: Installation) -> None:
    """A revoked token signs nobody in, its neighbours still do; one that does not exist is not found."""
    secret, other = (installation.run(lambda unit: tokens.issue(unit, {"steward"})) for _ in range(2))
    found = _find(installation, secret)
    assert found is not None
    assert found.token_id is not None
    identifier = found.token_id
    installation.run(lambda unit: tokens.revoke(unit, identifier))
    installation.run(lambda unit: tokens.revoke(unit, identifier))
    assert _find(installation, secret) is None
    assert _find(installation, other) is not None
    with pytest.raises(NotFound):
        installation.run(lambda unit: tokens.revoke(unit, "nothing"))


def test_staff_tokens_are_listed(installation: Installation) -> None:
    """The list shows staff sign-ins with their state, not those of shops or learners."""
    installation.run(lambda unit: tokens.issue(unit, {"steward", "treasurer"}, label="desk"))
    installation.run(lambda unit: tokens.issue(unit, {"shop"}, "noodles"))
    with installation.read() as session:
        listed = tokens.list_(session, CITY)
    assert [(view.label, view.roles) for view in listed] == [("desk", frozenset({"steward", "treasurer"}))]


def test_roles_of_a_token_are_checked(installation: Installation) -> None:
    """A shop's token needs its shop, as a link does."""
    with pytest.raises(ValidationFailed):
        installation.run(lambda unit: tokens.issue(unit, {"shop"}))
    with pytest.raises(ValidationFailed):
        installation.run(lambda unit: tokens.create_link(unit, {"kiosk"}))


def test_a_link_opens_once(installation: Installation) -> None:
    """Looking at a link changes nothing; opening it signs in for 30 days; a second opening says that it is used."""
    link = installation.run(lambda unit: tokens.create_link(unit, {"kiosk"}, "library"))
    for _ in range(2):
        with installation.read() as session:
            view = tokens.peek_link(session, link, installation.clock.now)
        assert (view.city, view.roles, view.subject) == (CITY, frozenset({"kiosk"}), "library")
    opened_at = installation.clock.advance(days=6)
    secret = installation.run(lambda unit: tokens.open_link(unit, link))
    found = _find(installation, secret)
    assert found is not None
    assert (found.roles, found.subject) == (frozenset({"kiosk"}), "library")
    with pytest.raises(Refused) as refusal:
        installation.run(lambda unit: tokens.open_link(unit, link))
    assert (refusal.value.code, refusal.value.params) == ("link_used", {"at": opened_at})
    with installation.read() as session, pytest.raises(Refused, match="link_used"):
        tokens.peek_link(session, link, installation.clock.now)
    installation.clock.advance(days=30)
    assert _find(installation, secret) is None


def test_a_link_expires(installation: Installation) -> None:
    """After its lifetime a link says that it is over; a link that never was is not found."""
    link = installation.run(lambda unit: tokens.create_link(unit, {"steward"}))
    installation.clock.advance(days=7)
    with pytest.raises(Refused, match="link_expired"):
        installation.run(lambda unit: tokens.open_link(unit, link))
    with pytest.raises(NotFound):
        installation.run(lambda unit: tokens.open_link(unit, "kgo_kk" + "a" * 26))


def test_a_link_signs_nobody_in_by_itself(installation: Installation) -> None:
    """The secret of a link is no token, and that of a token no link."""
    link = installation.run(lambda unit: tokens.create_link(unit, {"steward"}))
    secret = installation.run(lambda unit: tokens.issue(unit, {"steward"}))
    assert _find(installation, link) is None
    with pytest.raises(NotFound):
        installation.run(lambda unit: tokens.open_link(unit, secret))


def test_a_look_up_signs_in_whom_a_search_does(installation: Installation) -> None:
    """Both find the same principal, and end together at once when another process revokes the token or it expires."""
    lookups = installation.database.lookups

    def found(secret: str, city: str = CITY) -> Principal | None:
        looked_up = tokens.look_up(lookups, city, secret, installation.clock.now)
        assert looked_up == _find(installation, secret, city)
        return looked_up

    shop = installation.run(lambda unit: tokens.issue(unit, {"shop"}, "noodles"))
    staff = installation.run(lambda unit: tokens.issue(unit, {"steward", "treasurer"}, lifetime=timedelta(days=1)))
    first, second = found(shop), found(staff)
    assert first is not None
    assert second is not None
    assert (first.subject, second.roles) == ("noodles", frozenset({"steward", "treasurer"}))
    for stranger in (shop[:-1] + ("a" if shop[-1] != "a" else "b"), "", "é" * 10_000, "kgo_kk"):
        assert found(stranger) is None
    assert found(shop, "yala") is None
    other = reopen(installation.database.url, installation.keys.directory.parent, installation.clock)
    other.run(lambda unit: tokens.revoke(unit, first.token_id or ""))
    other.close()
    assert found(shop) is None
    installation.clock.advance(days=1)
    assert found(staff) is None
