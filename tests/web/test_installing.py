"""The home screen and the time without a network: manifest, worker, what a device may keep, and what it may not."""

from __future__ import annotations

import re

from tests.web.conftest import HOME, Town
from tests.web.test_redeeming import reserve

KEPT = "KGO-Offline"


def test_a_learner_s_wallet_and_code_may_be_kept_and_nothing_else(town: Town) -> None:
    """Only these two bear the header, and the recovery code stands between the marks that keep it out."""
    learner = town.learner()
    code = reserve(learner).address
    wallet = learner.client.get(f"{HOME}/wallet")
    assert wallet.headers[KEPT] == "keep"
    assert learner.client.get(code).headers[KEPT] == "keep"
    for other in (f"{HOME}/", f"{HOME}/promotions", f"{HOME}/recover", f"{HOME}/audit/"):
        assert KEPT not in learner.client.get(other).headers, other
    assert KEPT not in town.visitor().client.get(f"{HOME}/wallet").headers
    marked = re.sub(r"<!--private-->.*?<!--/private-->", "", wallet.get_data(as_text=True), flags=re.DOTALL)
    assert 'id="recovery"' in wallet.get_data(as_text=True)
    assert 'id="recovery"' not in marked


def test_the_kept_page_says_when_it_was_true(town: Town) -> None:
    """The sentence stands hidden in the page, for a page without a network cannot ask anybody for the words."""
    page = town.learner().get(f"{HOME}/wallet?lang=en")
    assert re.search(r'id="as-of" hidden>.*This is as it was on 2\sMar\s2026,\s10:00\.', page.html, re.DOTALL)


def test_the_worker_stands_at_the_top_under_a_strict_policy(town: Town) -> None:
    """Its address is above all pages; it may reach this installation only, and is asked for anew each time."""
    answer = town.visitor().client.get("/worker.js")
    assert answer.content_type.startswith("text/javascript")
    assert answer.headers["Cache-Control"] == "no-store"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy


def test_the_manifest_is_of_one_city_in_the_reader_s_language(town: Town) -> None:
    """Thai first; the wallet is where the icon leads."""
    client = town.visitor().client
    thai = client.get(f"{HOME}/app.webmanifest")
    english = client.get(f"{HOME}/app.webmanifest?lang=en").get_json(force=True)
    assert thai.mimetype == "application/manifest+json"
    assert english["background_color"] == english["theme_color"], "no light flash before a dark page"
    assert thai.get_json(force=True)["name"] == "KGO ขอนแก่น"
    assert (english["name"], english["start_url"], english["scope"]) == ("KGO of Khon Kaen", f"{HOME}/wallet", "/")
    assert all(client.get(icon["src"]).status_code == 200 for icon in english["icons"])


def test_a_problem_outside_the_pages_may_load_what_it_is_made_of(town: Town) -> None:
    """An unknown address is answered by a page with the policy of a page, so that its script is not refused."""
    answer = town.visitor().client.get("/nowhere")
    assert answer.status_code == 404
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
