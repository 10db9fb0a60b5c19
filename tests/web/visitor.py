"""Somebody with a browser, without the browser: follows links, fills in the forms that a page really has.

A visitor sends what the page's form contains, hidden fields included, so that a field that the page forgets fails
the test. Requests bear the headers that a browser adds to its own pages' requests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Form:
    """A form of a page: where it goes and how, what it would send as it stands, and its buttons' (name, value)."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)
    method: str = "get"


@dataclass
class Page:
    """An answer: status, address, text, forms and links."""

    status: int
    address: str
    html: str
    forms: list[Form]
    links: list[str]

    @property
    def text(self) -> str:
        """What a reader sees, white space joined."""
        visible = re.sub(r"<(script|style|head)\b.*?</\1>", " ", self.html, flags=re.DOTALL)
        return " ".join(re.sub(r"<[^>]+>", " ", visible).split())

    def form(self, ending: str = "") -> Form:
        """The first form whose action ends like this."""
        found = [form for form in self.forms if form.action.endswith(ending)]
        assert found, f"{self.address} has no form for {ending!r}: {[form.action for form in self.forms]}"
        return found[0]


class _Reader(HTMLParser):
    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.forms: list[Form] = []
        self.links: list[str] = []
        self._open: Form | None = None
        self._area = ""
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "form":
            self._open = Form(given.get("action") or self.address, method=given.get("method") or "get")
            self.forms.append(self._open)
        if self._open is None:
            return
        name = given.get("name", "")
        if tag == "input" and name and (given.get("type") != "checkbox" or "checked" in given):
            self._open.fields[name] = given.get("value", "")
        elif tag == "textarea":
            self._open.fields[name], self._area = "", name
        elif tag == "select":
            self._open.fields[name], self._select = "", name
        elif tag == "option" and self._select and ("selected" in given or not self._open.fields[self._select]):
            self._open.fields[self._select] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        elif tag == "textarea":
            self._area = ""
        elif tag == "select":
            self._select = ""

    def handle_data(self, data: str) -> None:
        if self._open is not None and self._area:
            self._open.fields[self._area] += data


class Visitor:
    """A browser with its own cookies."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()

    def get(self, address: str, *, follow: bool = True) -> Page:
        """Open an address as it stands in a link or a QR."""
        return self._page(self.client.get(_path(address), headers=SAME_ORIGIN, follow_redirects=follow))

    def send(self, form: Form, *, follow: bool = True, **values: str) -> Page:
        """Send a form with some fields filled in."""
        data = {**form.fields, **values}
        answer = self.client.post(_path(form.action), data=data, headers=SAME_ORIGIN, follow_redirects=follow)
        return self._page(answer)

    def cookie(self, name: str, path: str = "/") -> str | None:
        """The value of a cookie."""
        found = self.client.get_cookie(name, path=path)
        return found.value if found else None

    def _page(self, answer: TestResponse) -> Page:
        address = answer.request.path
        if answer.request.query_string:
            address += "?" + answer.request.query_string.decode()
        if answer.status_code in (302, 303):
            address = answer.headers["Location"]
        return read(address, answer.status_code, answer.get_data(as_text=True))


def read(address: str, status: int, html: str) -> Page:
    """An answer with what it holds."""
    reader = _Reader(address)
    reader.feed(html)
    return Page(status, address, html, reader.forms, reader.links)


def _path(address: str) -> str:
    parts = urlsplit(address)
    return parts.path + (f"?{parts.query}" if parts.query else "")
