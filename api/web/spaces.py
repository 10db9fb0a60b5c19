"""The steward's learning spaces: where activities take place, along the street and in the districts."""

from __future__ import annotations

from collections import Counter

from api.web.forms import Form
from api.web.shell import Answer, Visit, page, render, says, see, web
from api.web.words import N_, name
from ledger.book.unit import Unit
from ledger.errors import Refused, ValidationFailed
from ledger.programme import activities, places
from ledger.programme.places import NewPlace, PlaceView
from ledger.programme.views import CLOSED

KINDS = {
    "space": N_("Learning space"),
    "street": N_("Place on the street"),
    "public": N_("Public space"),
    "online": N_("Online"),
    "dialogue": N_("Space for dialogue"),
    "partner": N_("Partners' place"),
    "exhibition": N_("Exhibition"),
    "museum": N_("Museum"),
    "library": N_("Library"),
    "school": N_("School or university"),
    "temple": N_("Temple"),
    "park": N_("Park"),
    "community": N_("Community"),
}
"""The kinds that the form offers; a place of another kind keeps it."""

says("place-made", N_("The space is there. Activities can take place in it now."))
says("place-changed", N_("Saved."))


@web.get("/c/<city>/steward/spaces")
@page("activity.manage", door="desk")
def spaces(visit: Visit) -> str:
    """Every space: those on the street in order, then by district."""
    known = places.list_(visit.session, visit.city.id)
    views = activities.list_(visit.session, visit.city.id, visit.now, everything=True)
    districts = {one.id: name(one) for one in places.districts(visit.session, visit.city.id)}
    by_district: dict[str, list[PlaceView]] = {}
    for one in known:
        if one.street_order is None:
            by_district.setdefault(one.district or "", []).append(one)
    return render(
        "steward/spaces.html",
        street=[one for one in known if one.street_order is not None],
        by_district=sorted(by_district.items(), key=lambda item: (item[0] == "", districts.get(item[0], ""))),
        districts=districts,
        kinds=KINDS,
        counts=Counter(one.place.id for one in views if one.state != CLOSED),
        open_at={one.place.id for one in views if one.is_open},
    )


@web.get("/c/<city>/steward/spaces/new")
@page("place.write", door="desk")
def space_new(visit: Visit) -> str:
    """The empty form."""
    return _form_page(visit, Form(visit, {"kind": "space"}), None)


@web.post("/c/<city>/steward/spaces/new")
@page("place.write", door="desk")
def space_create(visit: Visit) -> Answer:
    """Add a space."""
    form, caller = Form.sent(visit), visit.principal
    new = _new(form)
    try:
        form.check()
        visit.write(lambda unit: places.create(unit, caller, new).id)
    except (ValidationFailed, Refused) as refusal:
        return _form_page(visit, form.refused(refusal), None), 422
    return see(visit.address("spaces"), done="place-made")


@web.get("/c/<city>/steward/spaces/<place_id>")
@page("place.write", door="desk")
def space_edit(visit: Visit, place_id: str) -> str:
    """The form with what the space is now."""
    place = places.get(visit.session, visit.city.id, place_id)
    return _form_page(visit, Form(visit, vars(place)).shows(vars(place)), place)


@web.post("/c/<city>/steward/spaces/<place_id>")
@page("place.write", door="desk")
def space_change(visit: Visit, place_id: str) -> Answer:
    """Describe a space anew."""
    form, caller = Form.sent(visit), visit.principal
    place = places.get(visit.session, visit.city.id, place_id)
    new = _new(form)

    def run(unit: Unit) -> str:
        form.check_current(vars(places.get(unit.session, unit.city.id, place_id)))
        return places.change(unit, caller, place_id, new).id

    try:
        form.check()
        visit.write(run)
    except (ValidationFailed, Refused) as refusal:
        return _form_page(visit, form.refused(refusal), place), 422
    return see(visit.address("spaces"), done="place-changed")


def _new(form: Form) -> NewPlace:
    form.needs("name_th", "name_en")
    return NewPlace(
        name_th=form.word("name_th"),
        name_en=form.word("name_en"),
        district=form.word("district") or None,
        kind=form.word("kind") or "space",
        street_order=form.whole("street_order"),
        note_th=form.word("note_th"),
        note_en=form.word("note_en"),
    )


def _form_page(visit: Visit, form: Form, place: PlaceView | None) -> str:
    kinds = [(kind, visit.text(word)) for kind, word in KINDS.items()]
    if form.value("kind") not in KINDS:
        kinds.append((form.value("kind"), form.value("kind")))
    known = [(one.id, name(one)) for one in places.districts(visit.session, visit.city.id)]
    return render(
        "steward/space_form.html",
        form=form,
        place=place,
        kinds=kinds,
        districts=[("", visit.text(N_("None"))), *known],
    )
