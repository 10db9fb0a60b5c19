"""Who is asking: a bearer token, or the sign-in cookies of the pages.

A browser may hold several sign-ins of one city at once, one for each kind of work, in the cookies `learner.<city>`,
`staff.<city>`, `shop.<city>` and `kiosk.<city>`: a steward also learns, and whoever tries the product out plays every
part in one browser. A request of a page's script says with the header `Kgo-Sign-In: <kind>` which one it means;
without it, the first one that holds the permission counts. A token in `Authorization` wins over all cookies.

Cross-site requests: a cookie is sent by the browser whether its owner wants it or not. Hence an unsafe request that
is signed in by a cookie must come from our own pages, as `Sec-Fetch-Site` or `Origin` tells; a bearer token is never
sent by itself and needs no such proof. Cookies are HttpOnly and SameSite=Lax.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

from flask import Response, request
from sqlalchemy.orm import Session

from api.services import Services, services
from ledger.errors import Forbidden, Unauthenticated
from ledger.people import tokens
from ledger.people.roles import Principal

LEARNER, STAFF, SHOP, KIOSK = "learner", "staff", "shop", "kiosk"
KINDS = (LEARNER, STAFF, SHOP, KIOSK)
"""The kinds of sign-in that a browser holds apart; every role but the three bound ones is staff."""

SIGN_IN_HEADER = "Kgo-Sign-In"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
STAFF_LIFETIME = timedelta(days=30)
COOKIE_LIFETIME = {LEARNER: timedelta(days=400), STAFF: STAFF_LIFETIME, SHOP: STAFF_LIFETIME, KIOSK: STAFF_LIFETIME}
MAX_TOKEN_LENGTH = 100

Found = TypeVar("Found")


def principal(city: str, permission: str | None = None) -> Principal:
    """Whoever sent the current request, in one city; anonymous when nobody is signed in.

    Raises:
        Unauthenticated: a bearer token was sent that signs nobody in here.
        Forbidden: a cookie signs in a request that another site may have caused.
    """
    header = request.headers.get("Authorization")
    if header is not None:
        return of_bearer(services(), city, header)
    find = partial(_look_up, services(), city)
    found = [one for kind in _wanted_cookies() if (one := _of_cookie(city, kind, find)) is not None]
    if not found:
        return Principal.anonymous(city)
    if request.method not in SAFE_METHODS:
        check_same_origin()
    if permission is not None:
        return next((one for one in found if one.may(permission)), found[0])
    return found[0]


def signed_in(session: Session, city: str, kind: str) -> Principal | None:
    """Whom the cookie of one kind signs in; None for nobody. For pages."""
    return _of_cookie(city, kind, lambda secret: tokens.find(session, city, secret, services().clock()))


def of_bearer(services: Services, city: str, header: str) -> Principal:
    """Whom an `Authorization` header signs in.

    Raises:
        Unauthenticated: nobody.
    """
    return known(_look_up(services, city, bearer(header)))


def bearer(header: str) -> str:
    """The secret in an `Authorization` header.

    Raises:
        Unauthenticated: there is none.
    """
    scheme, _, secret = header.partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or len(secret) > MAX_TOKEN_LENGTH:
        raise Unauthenticated("token")
    return secret


def known(found: Found | None) -> Found:
    """Whom a bearer token signs in, or where that is found.

    Raises:
        Unauthenticated: nobody, and nowhere.
    """
    if found is None:
        raise Unauthenticated("token")
    return found


def check_same_origin() -> None:
    """Let a request pass that our own pages made, or a person by hand.

    Raises:
        Forbidden: reason `cross_site`.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise Forbidden("cross_site")
        return
    origin = request.headers.get("Origin")
    if origin is None or urlsplit(origin).netloc not in (request.host, urlsplit(services().public_url).netloc):
        raise Forbidden("cross_site")


def kind_of(caller: Principal) -> str:
    """The kind of sign-in that somebody's roles make."""
    return next((kind for kind in (LEARNER, SHOP, KIOSK) if caller.holds(kind)), STAFF)


def cookie_name(kind: str, city: str) -> str:
    """The name of the cookie that holds a sign-in."""
    return f"{kind}.{city}"


def sign_in(response: Response, kind: str, city: str, secret: str) -> None:
    """Keep a sign-in in the browser."""
    response.set_cookie(
        cookie_name(kind, city),
        secret,
        max_age=COOKIE_LIFETIME[kind],
        httponly=True,
        samesite="Lax",
        secure=services().secure,
        path="/",
    )


def sign_out(response: Response, kind: str, city: str) -> None:
    """Forget a sign-in in the browser."""
    response.delete_cookie(cookie_name(kind, city), path="/", httponly=True, samesite="Lax", secure=services().secure)


def _of_cookie(city: str, kind: str, find: Callable[[str], Principal | None]) -> Principal | None:
    secret = request.cookies.get(cookie_name(kind, city))
    return find(secret) if secret and len(secret) <= MAX_TOKEN_LENGTH else None


def _look_up(known: Services, city: str, secret: str) -> Principal | None:
    return tokens.look_up(known.installation.database.lookups, city, secret, known.clock())


def _wanted_cookies() -> tuple[str, ...]:
    wanted = request.headers.get(SIGN_IN_HEADER)
    return (wanted,) if wanted in KINDS else KINDS
