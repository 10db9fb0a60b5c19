"""What all pages share: who visits, in which language, how a page is drawn and how a form becomes an entry.

A view is declared with `@page(permission)`; it gets a `Visit` and the arguments of its path. `page` finds the city
and the sign-ins (a cookie for each kind, see `api.auth`) and asks for the permission before the
view runs. A view that writes calls `visit.write`, which goes through the same writer as the JSON API, under the
idempotency key that stands hidden in the form: a double tap or a reload finds the first answer again.

Rules: GET writes nothing. After a success a view redirects. The read snapshot of a visit is closed before it waits
for the writer, so that waiting requests never hold the connection that the writer needs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, wraps
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from flask import Blueprint, Response, current_app, g, make_response, redirect, render_template, request, url_for
from sqlalchemy.orm import Session

from api import addresses, auth, i18n, writing
from api.services import CityFacts, services
from ledger.book import cities
from ledger.book.commands import Steps
from ledger.book.idempotency import Scope
from ledger.book.unit import Unit
from ledger.people.roles import PERMISSIONS, Principal, require
from ledger.values import random_id, to_milliseconds

Answer = str | Response | tuple[str, int]

web = Blueprint("web", __name__, template_folder="templates", static_folder="static", static_url_path="/assets")

DEFAULT_LANGUAGE = "th"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "manifest-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
KEPT_OFFLINE = "KGO-Offline"
"""The header that tells the service worker to keep a page on the device for when there is no network."""


@dataclass
class Visit:
    """One request to a page of a city.

    Attributes:
        city: the city's fixed facts.
        learner, shop, staff, kiosk: whom each kind of sign-in of this browser stands for; anonymous for nobody.
        principal: the one of them that holds the page's permission.
    """

    city: CityFacts
    language: str
    now: datetime
    learner: Principal = field(init=False)
    shop: Principal = field(init=False)
    staff: Principal = field(init=False)
    kiosk: Principal = field(init=False)
    principal: Principal = field(init=False)
    _reading: AbstractContextManager[Session] | None = None
    _session: Session | None = None

    def identify(self, permission: str) -> None:
        """Find the sign-ins and choose the principal."""
        nobody = Principal.anonymous(self.city.id)
        found = {kind: auth.signed_in(self.session, self.city.id, kind) or nobody for kind in auth.KINDS}
        self.learner, self.shop = found[auth.LEARNER], found[auth.SHOP]
        self.staff, self.kiosk = found[auth.STAFF], found[auth.KIOSK]
        holders = (one for one in found.values() if one.may(permission))
        self.principal = next(holders, next((one for one in found.values() if one.signed_in), nobody))

    @property
    def at_work(self) -> Principal:
        """Who is signed in to work on this page: the shop on a shop's pages, else staff."""
        return self.shop if g.get("door") == "shop" else self.staff

    @property
    def session(self) -> Session:
        """A read-only snapshot, opened when first asked for."""
        if self._session is None:
            self._reading = services().installation.database.read()
            self._session = self._reading.__enter__()
        return self._session

    def close(self) -> None:
        """Give the snapshot back."""
        if self._reading is not None:
            self._reading.__exit__(None, None, None)
        self._reading = self._session = None

    @property
    def settings(self) -> dict[str, Any]:
        """The city's rules as they are now."""
        return cities.get(self.session, self.city.id).settings

    def text(self, msgid: str, **params: Any) -> str:
        """A message in the visitor's language."""
        return services().catalogue.text(self.language, msgid, **params)

    def write(
        self,
        run: Callable[[Unit], str],
        principal: Principal | None = None,
        *,
        keyed: bool = True,
        reads: Steps | None = None,
    ) -> str:
        """Run a command of the sent form and return its text, or the text of the first time the form came.

        Args:
            run: the command; it returns a text.
            principal: whose the form's idempotency key is; the visit's principal if not given.
            keyed: False for a form that may be sent again and then means a second time.
            reads: what the command will read, if it writes through the unit alone, as for an operation.

        Raises:
            LedgerError: what the command refused with.
        """
        self.close()
        scope = _scope(principal or self.principal) if keyed else None
        return writing.submit(self.city.id, run, lambda text: str(text).encode(), scope, reads=reads).body.decode()

    def address(self, endpoint: str, **values: Any) -> str:
        """The path of a page of this city."""
        return url_for(f"web.{endpoint}", city=self.city.id, **values)


def _scope(principal: Principal) -> Scope | None:
    key = request.form.get("key", "")
    if not writing.SHORTEST_ANONYMOUS_KEY <= len(key) <= writing.LONGEST_KEY or not key.isascii():
        return None
    sent = sorted((name, value) for name, value in request.form.items(multi=True) if name != "key")
    content = hashlib.sha256(json.dumps([request.path, *sent]).encode()).digest()
    who = principal.token_id or writing.ANONYMOUS
    return Scope(who, f"page {request.endpoint}", key, content)


def page(
    permission: str, door: str | None = None, city_of: Callable[[Session, str], str] | None = None
) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Declare a view and the permission it needs.

    Args:
        permission: a name in `PERMISSIONS`.
        door: what somebody without it is shown: `shop`, `desk` or `wallet`; the plain refusal if not given.
        city_of: for addresses without a city, which city their only argument belongs to.
    """
    if permission not in PERMISSIONS:
        raise ValueError(f"{permission!r} is no permission")

    def declare(view: Callable[..., Answer]) -> Callable[..., Answer]:
        @wraps(view)
        def shown(**path: Any) -> Answer:
            known = services()
            g.door = door
            if city_of is None:
                city = path.pop("city")
            else:
                with known.installation.database.read() as session:
                    city = city_of(session, *path.values())
            g.visit = visit = Visit(known.city(city), language(), known.clock())
            visit.identify(permission)
            require(visit.principal, permission)
            return view(visit, **path)

        shown.permission = permission  # type: ignore[attr-defined]
        return shown

    return declare


def language() -> str:
    """The language of a page: what was chosen, else Thai, whatever the browser's list says."""
    return i18n.choose_language(
        request.args.get("lang"), request.cookies.get("lang"), None, default=DEFAULT_LANGUAGE, header=False
    )


def asked_whole(name: str) -> int | None:
    """A whole number of the address's query, such as a cursor; None where there is none."""
    return addresses.whole(request.args.get(name))


def render(template: str, **context: Any) -> str:
    """A page of the current visit, if there is one."""
    visit: Visit | None = g.get("visit")
    speech = visit.language if visit else language()
    now = visit.now if visit else services().clock()
    other = "en" if speech == "th" else "th"
    return render_template(
        template,
        lang=speech,
        city=visit.city if visit else None,
        now=now,
        now_ms=to_milliseconds(now),
        other_language=other,
        other_language_url=f"{_own_path()}?{urlencode({**_kept_query(), 'lang': other})}",
        done=_done(speech),
        **context,
    )


def _own_path() -> str:
    """The address that shows this page again: an answer to a form is shown at the page the form stood on."""
    came_from = urlsplit(request.referrer or "")
    here = request.path
    if request.method not in auth.SAFE_METHODS:
        if came_from.netloc == request.host:
            here = unquote(came_from.path)
        elif not current_app.url_map.bind(request.host).test(here, "GET"):
            here = url_for("web.landing")
    # Browsers take `//name` and `/\\name` for another host, and anybody may make up an address that is not found here.
    return "/" + quote(here.lstrip("/\\"))


def _kept_query() -> dict[str, str]:
    return {name: value for name, value in request.args.items() if name not in ("lang", "done")}


DONE: dict[str, str] = {}
"""The messages that a redirect may name in `?done=`; filled by `says`."""


def kept(shown: str) -> Response:
    """A page that the learner's own device keeps, marked with the time it was true, for when there is no network."""
    response = make_response(shown)
    response.headers[KEPT_OFFLINE] = "keep"
    return response


def says(name: str, msgid: str) -> str:
    """Declare a message of success; returns its name.

    Raises:
        ValueError: another message has that name.
    """
    if DONE.setdefault(name, msgid) != msgid:
        raise ValueError(f"two messages are called {name}")
    return name


def _done(speech: str) -> str | None:
    msgid = DONE.get(request.args.get("done", ""))
    return services().catalogue.text(speech, msgid) if msgid else None


def see(address: str, done: str | None = None) -> Response:
    """Go on to a page of this installation after a success, with a message to show there."""
    if done:
        address += ("&" if "?" in address else "?") + urlencode({"done": done})
    response = redirect(address, 303)
    assert isinstance(response, Response)  # noqa: S101 — for the type only; the default class is Response
    return response


def new_key() -> str:
    """An idempotency key for one form."""
    return random_id()


@cache
def _fingerprint(folder: str, name: str) -> str:
    with open(f"{folder}/{name}", "rb") as file:  # noqa: PTH123 — one read per file and process
        return hashlib.sha256(file.read()).hexdigest()[:10]


def static(name: str) -> str:
    """The address of a static file, which changes with its content."""
    return url_for("web.static", filename=name, v=_fingerprint(str(web.static_folder), name))


@web.before_request
def same_origin() -> None:
    """Refuse a form that another site made the browser send."""
    if request.method not in auth.SAFE_METHODS:
        auth.check_same_origin()


@web.after_request
def finish(response: Response) -> Response:
    """Protecting headers, caching, and the language that was chosen."""
    headers = response.headers
    headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "same-origin")
    if request.endpoint == "web.static":
        lifetime = "31536000, immutable" if "v" in request.args else "3600"
        headers["Cache-Control"] = f"public, max-age={lifetime}"
        return response
    headers["Cache-Control"] = "no-store"
    headers.setdefault("Content-Language", language())
    if request.args.get("lang") in i18n.LANGUAGES:
        response.set_cookie("lang", request.args["lang"], max_age=31_536_000, samesite="Lax", secure=services().secure)
    return response


@web.teardown_request
def give_back(_fault: BaseException | None) -> None:
    """Close the visit's snapshot."""
    visit: Visit | None = g.pop("visit", None)
    if visit is not None:
        visit.close()
