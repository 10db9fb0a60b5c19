"""Every page, for everybody: it shows, it is safe, it speaks both languages, and it can be used without eyes."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_from_dir

from api import problems
from api.app import MAX_BODY_BYTES
from api.i18n import LANGUAGES, Catalogue
from api.web import landing, words
from ledger.errors import LedgerError, OutcomeUnknown, Overloaded, Refused
from ledger.people.roles import PERMISSIONS
from tests.web.conftest import HOME, Town
from tests.web.test_chain import crossers, ticket
from tests.web.test_redeeming import reserve
from tests.web.visitor import Page, Visitor, read

WEB = Path(__file__).parents[2] / "api" / "web"
PROBLEMS = "problems.po"
"""The catalogue of refusals, which the JSON API says too."""

PUBLIC = ("/", f"{HOME}/help", f"{HOME}/", f"{HOME}/activities/walk", f"{HOME}/promotions", f"{HOME}/promotions/coffee")
MORE = (f"{HOME}/wallet", f"{HOME}/recover", f"{HOME}/shop/apply", f"{HOME}/audit/", f"{HOME}/audit/check")
SHOP = tuple(
    f"{HOME}/shop/{path}"
    for path in (
        "",
        "promotions",
        "promotions/coffee",
        "promotions/new?like=coffee",
        "sales",
        "statement",
        "statement/print",
        "tokens",
        "about",
    )
)
DESK = tuple(
    f"{HOME}/steward/{path}"
    for path in (
        "",
        "treasury",
        "activities",
        "activities/new",
        "activities/walk",
        "activities/circle",
        "activities/walk/edit",
        "activities/walk/cost",
        "activities/walk/poster",
        "activities/slips",
        "activities/slips/codes",
        "activities/slips/codes/1",
        "activities/slips/codes/1/withdraw",
        "calendar",
        "spaces",
        "spaces/new",
        "spaces/kaen",
        "entries/3/reverse",
        "airdrops",
        "airdrops/new",
        "shops",
        "promotions",
        "figures",
    )
)


def every_page(town: Town, language: str) -> list[Page]:
    """Each page once, as those see it whom it is for."""
    stranger, learner = town.visitor(), town.learner()
    shop, steward = town.worker({"shop"}, "cafe"), town.worker({"steward", "treasurer"})
    reserved = reserve(learner).address
    signing, crossing = crossers(town)
    wanted: list[tuple[Visitor, tuple[str, ...]]] = [
        (stranger, (*PUBLIC, *MORE, town.code("walk"), "/nowhere", f"{HOME}/shop/", f"{HOME}/steward/")),
        (learner, (*PUBLIC, *MORE, reserved, f"{HOME}/audit/entries", f"{HOME}/audit/entries/0")),
        (learner, (f"{HOME}/chain",)),
        (signing, (f"{HOME}/chain",)),
        (crossing, (f"{HOME}/chain", ticket(crossing))),
        (shop, SHOP),
        (steward, (*DESK, f"{HOME}/kiosk/circle")),
    ]
    asked = {True: f"&lang={language}", False: f"?lang={language}"}
    return [visitor.get(address + asked["?" in address]) for visitor, pages in wanted for address in pages]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_shows_and_is_safe(town: Town, language: str) -> None:
    """No fault, the right language, one main heading, and nothing that the page's own policy would refuse."""
    for page in every_page(town, language):
        assert page.status < 500, page.address
        assert f'<html lang="{language}"' in page.html, page.address
        assert page.html.count("<h1") == 1, page.address
        assert 'id="content"' in page.html, page.address
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page.html), page.address
        assert not re.search(r'(?:src|href)="(?:https?:)?//', page.html), page.address


def test_english_pages_have_no_thai_but_names(town: Town) -> None:
    """What the product says is translated: on an English page Thai letters stand in places meant for Thai alone."""
    meant = re.compile(
        r'lang="th"[^>]*>[^<]*<|value="[^"]*"|<textarea[^>]*>[^<]*<|<article class="sheet">.*?</article>', re.DOTALL
    )
    for page in every_page(town, "en"):
        rest = meant.sub("", page.html)
        assert not re.search(r"[\u0e00-\u0e7f]{2,}", rest), (page.address, re.findall(r".*[\u0e00-\u0e7f]{2,}.*", rest))


def test_every_field_has_a_label(town: Town) -> None:
    """A visible field that no label names could not be filled in by ear."""
    for page in every_page(town, "th"):
        for tag in re.findall(r"<(?:input|select|textarea)[^>]*>", page.html):
            if 'type="hidden"' in tag or 'type="checkbox"' in tag:
                continue
            name = re.search(r'id="([^"]+)"', tag)
            assert name, (page.address, tag)
            assert f'for="{name[1]}"' in page.html, (page.address, tag)


def test_every_form_carries_a_key(town: Town) -> None:
    """So that a double tap or a reload never counts twice; a form that only looks for something needs none."""
    for page in every_page(town, "th"):
        for form in page.forms:
            if form.method != "get":
                assert len(form.fields.get("key", "")) >= 16, (page.address, form.action)


def test_the_headers_of_a_page(town: Town) -> None:
    """A strict policy, nothing cached; static files are cached for good under an address that changes with them."""
    client = town.visitor().client
    page = client.get("/")
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert page.headers["Cache-Control"] == "no-store"
    asset = re.search(r'href="(/assets/kgo\.css\?v=[0-9a-f]+)"', page.get_data(as_text=True))
    assert asset
    assert "immutable" in client.get(asset[1]).headers["Cache-Control"]


def test_every_page_of_a_city_declares_its_permission(town: Town) -> None:
    """A view without one would be open to everybody by oversight."""
    undeclared = {"web.landing", "web.help_anywhere", "web.static", "web.worker", "web.offline"}
    views = {name: view for name, view in town.app.view_functions.items() if name.startswith("web.")}
    declared = {name: getattr(view, "permission", None) for name, view in views.items()}
    assert {name for name, permission in declared.items() if permission is None} == undeclared
    assert {declared[name] for name in views.keys() - undeclared} <= set(PERMISSIONS)


def shown(town: Town, error: LedgerError, **asked: Any) -> Page:
    """The page of a refusal of a request."""
    with town.app.test_request_context(f"{HOME}/promotions/coffee/reserve?lang=en", **asked):
        html = landing.show_problem(problems.describe(error, "en", None))
    return read("/", 503, html)


def test_what_was_not_done_can_be_asked_for_again(town: Town) -> None:
    """A form comes back with its fields and its key, so that it counts once; what a rule refuses does not."""
    sent = {"method": "POST", "data": {"key": "k" * 20, "amount": "3"}}
    for error in (Overloaded(), OutcomeUnknown()):
        form = shown(town, error, **sent).form("/reserve")
        assert form.fields == {"key": "k" * 20, "amount": "3"}
        assert form.method == "post"
    assert shown(town, Overloaded()).links.count(f"{HOME}/promotions/coffee/reserve?lang=en") == 1
    assert not shown(town, Refused("out_of_stock"), **sent).forms
    assert not shown(town, Overloaded(), method="POST", data={"amount": "3"}).forms, (
        "without a key it might count twice"
    )


def test_refusals_speak_to_people(town: Town) -> None:
    """What is another's, what is too large, what is not there: no word of bodies or methods, and a way on that fits."""
    own, other = town.learner(), town.learner()
    address = reserve(own).address + "?lang=en"
    page = other.get(address)
    assert page.status == 403
    assert "Not in this wallet" in page.text
    assert "No wallet on this phone yet" not in page.text
    assert "No wallet on this phone yet" in town.visitor().get(address).text
    lost = other.get(f"{HOME}/promotions/none?lang=en")
    assert (lost.status, "There is no such promotion" in lost.text) == (404, True)
    assert lost.links.index(f"{HOME}/promotions", 3) < lost.links.index(f"{HOME}/wallet", 3)
    form = other.get(f"{HOME}/recover?lang=en").form()
    form.fields["recovery_code"] = "x" * (MAX_BODY_BYTES + 1)
    large = other.send(form)
    assert large.status == 413
    assert "Too large to send" in large.text
    assert "body is" not in large.text


def extracted() -> set[str | tuple[str, ...]]:
    """Every message that a template or a module of the pages says; one that counts in both its forms."""
    methods = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
    keywords = {"_": None, "N_": None, "ngettext": (1, 2)}
    found = extract_from_dir(WEB, methods, keywords=keywords)
    return {
        message for _file, _line, message, _comments, _context in found if message and isinstance(message, str | tuple)
    }


def messages() -> set[str]:
    """The name under which the catalogues know each message: of one that counts, the form for 1."""
    return {message if isinstance(message, str) else message[0] for message in extracted()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_catalogue_is_complete(language: str) -> None:
    """Each message has a text in each language, with the same parameters, and no text is left over."""
    catalogue, said = Catalogue.load(), messages()
    assert len(said) > 300
    assert {message for message in said if not catalogue.has(language, message)} == set()
    for message in said:
        assert _parameters(catalogue.messages[language][message]) == _parameters(message), message


def test_no_text_is_left_over() -> None:
    """The pages' catalogues hold nothing that no page says, and nothing twice."""
    for language in LANGUAGES:
        kept: list[str] = []
        for path in sorted((WEB / "translations" / language / "LC_MESSAGES").glob("*.po")):
            if path.name != PROBLEMS:
                kept += re.findall(r'^msgid "(.+)"$', path.read_text("utf-8"), re.MULTILINE)
        assert sorted(message.replace('\\"', '"') for message in kept) == sorted(messages())


NUMBERS = {
    "count",
    "entries",
    "days",
    "left",
    "limit",
    "minutes",
    "people",
    "retry_after_seconds",
    "rows",
    "seats",
    "size",
    "stock",
    "total",
}
"""Parameters that count something; a number that names something (`{seq}`, `{line}`) is none."""

ALIKE = {
    (
        "A contract that nobody can change has made sure that each of these extends the one before. "
        "{count} in all; the newest:"
    ),
    (
        "A row appears as soon as {count} people have gone the same way within four weeks. "
        "Fewer are never shown, so that nobody can be picked out."
    ),
    "All {count} that are open",
    "At most {rows} rows and {megabytes} MB.",
    "It is counted in whole groups of {count} people, in the week in which a group is complete.",
    "Numbers of people are rounded down to a multiple of {count}.",
    "Only the first {count} lines are shown here; the CSV has all of them.",
    "Open activities with an empty budget: {count}",
    "Shops that ask to settle: {count}",
    "Shops that wait for your decision: {count}",
    "What concerns fewer than {count} people, or would give such a figure away, is withheld (–).",
    "Your own browser checked that entry {index} is in the signed log of {size} entries.",
    "and {count} more, together {amount}",
    "problem.cap_reached.unsecured",
    "{amount} were moved, but {left} are left there. An entry is taken back whole or not at all.",
    "{count} left",
    "{count} more",
    "{count} per person",
    "{count} redeemed",
    "{count} stops away",
    "{left} of {stock} left",
    "{used} of {count} used",
}
"""Messages that count and have one form: they read well with 1, or their number is an amount or never 1."""


def test_what_counts_has_a_plural() -> None:
    """No "1 rows": an English message that counts has a form for 1, unless somebody has judged that it needs none."""
    catalogue = Catalogue.load()
    counts = {msgid for msgid, text in catalogue.messages["en"].items() if _parameters(text) & NUMBERS}
    assert counts - catalogue.singular["en"].keys() == ALIKE
    assert catalogue.singular["th"] == {}, "Thai has one form for all numbers"
    assert catalogue.singular["en"].keys() <= counts
    for one in extracted():
        if isinstance(one, tuple):
            assert (catalogue.singular["en"][one[0]], catalogue.messages["en"][one[0]]) == one


def test_one_is_not_many(town: Town) -> None:
    """The pages and the refusals choose the form by the number, which has its thousands grouped."""
    said = {}
    for language in LANGUAGES:
        with town.app.test_request_context(f"/?lang={language}"):
            said[language] = [words.ngettext("{count} row", "{count} rows", number) for number in (0, 1, 2, 1234)]
    assert said["en"] == ["0 rows", "1 row", "2 rows", "1,234 rows"]
    assert said["th"] == ["0 แถว", "1 แถว", "2 แถว", "1,234 แถว"]
    refused = [
        problems.describe(Refused("cap_reached", "day", limit=limit), "en", None, catalogue=Catalogue.load()).detail
        for limit in (1, 3)
    ]
    assert ["once" in detail for detail in refused] == [True, False]
    assert "3 times" in refused[1]


def _parameters(text: str) -> set[str]:
    return {name for _literal, name, _spec, _conversion in string.Formatter().parse(text) if name}
