"""The steward's lists: brought, looked over, confirmed, paid; a list that cannot be read says where and what to do."""

from __future__ import annotations

import csv
import io

import pytest

from api.i18n import LANGUAGES
from ledger.people import learners
from ledger.programme import airdrops
from ledger.programme.airdrop_verdicts import VERDICTS
from tests.web.conftest import HOME, Town
from tests.web.visitor import SAME_ORIGIN, Page, Visitor

NEW = f"{HOME}/steward/airdrops/new"


def pupils(town: Town, count: int) -> list[str]:
    """The ids of some learners."""
    return town.installation.run(lambda unit: [learners.join(unit).learner for _ in range(count)])


def bring(steward: Visitor, content: str | bytes, activity: str = "walk") -> Page:
    """Send the page's own form with a file; the page that it leads to."""
    form = steward.get(NEW).form("/new")
    file = (io.BytesIO(content.encode() if isinstance(content, str) else content), "class.csv")
    data = {**form.fields, "activity": activity, "file": file}
    answer = steward.client.post(NEW, data=data, headers=SAME_ORIGIN, content_type="multipart/form-data")
    if answer.status_code == 303:
        return steward.get(answer.headers["Location"])
    return steward._page(answer)


def test_a_list_is_looked_over_confirmed_and_paid(town: Town) -> None:
    """The preview pays nothing; the button names sum and number; the page drives itself to the end by its own form."""
    steward = town.worker({"steward"})
    who = pupils(town, airdrops.CHUNK + 1)
    before = len(town.kinds())
    preview = bring(steward, "learner,amount\n" + "".join(f"{one},0.25\n" for one in who))
    assert "25.25 KGO" in preview.text
    assert "74.75 KGO" in preview.text
    assert len(town.kinds()) == before
    running = steward.send(preview.form("/confirm"))
    assert f'<progress max="{len(who)}" value="0"' in running.html
    assert len(town.kinds()) == before
    running = steward.send(running.form("/continue"))
    assert f'<progress max="{len(who)}" value="{airdrops.CHUNK}"' in running.html
    done = steward.send(running.form("/continue"))
    assert "<progress" not in done.html
    assert town.kinds()[before:] == ["reward"] * len(who)
    assert town.installation.balance(f"learner:{who[-1]}").posted_minor == 25
    assert "25.25 KGO" in steward.get(f"{HOME}/steward/airdrops").text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_verdict_has_its_word_and_its_remedy(town: Town, language: str) -> None:
    """Refused rows stand beside what to do about them; they can be listed alone, and taken home with all others."""
    steward = town.worker({"steward"})
    one, two, three = pupils(town, 3)
    rows = f"{one},5,a\n{two},x,b\n{'a' * 26},5\n{one},5\n{three},101\n\n{three},5,c,d\n{'b' * 26},200\n"
    page = bring(steward, "learner,amount,note\n" + rows)
    address = page.address.partition("?")[0]
    page = steward.get(f"{address}?lang={language}")
    refused = steward.get(f"{address}?show=refused&lang={language}")
    assert page.html.count("<code>") == 7
    assert refused.html.count("<code>") == 6
    assert one not in refused.html.replace(one, "", 1)  # its second row is the refused one
    assert page.html.count('class="strong"') == 5  # the kinds of refusal that there are, each with its remedy
    answer = steward.client.get(f"{address}/verdicts.csv")
    assert answer.mimetype == "text/csv"
    taken = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True).removeprefix("\ufeff"))))
    assert [row["line"] for row in taken] == ["2", "3", "4", "5", "6", "8", "9"]
    assert {row["verdict"] for row in taken} <= set(VERDICTS)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"name,points\na,1\n", "1"),
        (b'learner,amount\na,1\n"b,2\n', "3"),
        (b"learner,amount\na,1\n\xff\xdb,2\n", "3"),
        (b"learner,amount\n", "2"),
    ],
)
def test_a_list_that_cannot_be_read_says_where(town: Town, content: bytes, line: str) -> None:
    """The refusal stands at the field, names the line, and the chosen activity stays chosen."""
    page = bring(town.worker({"steward"}), content, "circle")
    assert page.status == 422
    assert f'id="e-file">บรรทัดที่ {line}:' in page.html
    assert page.form("/new").fields["activity"] == "circle"


def test_no_file_no_activity(town: Town) -> None:
    """Nothing chosen is said at the field; an activity that there is not is said as well."""
    steward = town.worker({"steward"})
    page = bring(steward, "")
    assert (page.status, 'id="e-file"' in page.html) == (422, True)
    assert bring(steward, "learner,amount\na,1\n", "nowhere").status == 422


def test_a_list_of_nobody_offers_nothing_to_confirm(town: Town) -> None:
    """Where no row can be paid, there is no button that pays."""
    page = bring(town.worker({"steward"}), f"learner,amount\n{'a' * 26},1\n")
    assert not [form for form in page.forms if form.action.endswith("/confirm")]


def test_a_preview_that_no_longer_holds_is_not_paid(town: Town) -> None:
    """Another sum than the list's is refused with both; a cancelled list stays cancelled."""
    steward = town.worker({"steward"})
    preview = bring(steward, f"learner,amount\n{pupils(town, 1)[0]},1\n")
    form = preview.form("/confirm")
    assert steward.send(form, sum_minor="99").status == 409
    assert steward.send(form, sum_minor="all").status == 409
    steward.send(preview.form("/cancel"))
    late = steward.send(form)
    assert (late.status, "reward" in town.kinds()) == (409, False)


def test_the_same_file_again_is_warned_of(town: Town) -> None:
    """The second preview leads to the first list, once that was confirmed."""
    steward = town.worker({"steward"})
    content = f"learner,amount\n{pupils(town, 1)[0]},1\n"
    first = bring(steward, content)
    assert first.address not in bring(steward, content).links
    steward.send(first.form("/confirm"))
    assert first.address in bring(steward, content).links


def test_lists_are_the_stewards_alone(town: Town) -> None:
    """Rows name learners' accounts: neither a treasurer nor a shop sees them."""
    for role, subject in (("treasurer", None), ("auditor", None), ("shop", "cafe")):
        assert town.worker({role}, subject).get(f"{HOME}/steward/airdrops").status == 403
