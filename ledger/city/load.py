"""Loading a city file: the file's values become rows, accounts and log entries, through the domain functions.

Loading again adds what is new and leaves what is there, whatever people have changed since; only whom one asks for
help is what the file says now. Samples (shops, promotions, activities, the grant that funds them) come only on
request; a sample's budget is filled up again when it runs low, so that whoever tries the product can always earn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from ledger.book import accounts, cities, seal, transfers
from ledger.book.cities import City
from ledger.book.unit import Unit
from ledger.book.writer import Writer
from ledger.city.specs import ActivitySpec, CityFile, PromotionSpec, ShopSpec
from ledger.commerce import promotions, shops
from ledger.commerce.promotions import NewPromotion
from ledger.commerce.shops import NewShop
from ledger.errors import NotFound
from ledger.people.roles import Principal
from ledger.programme import activities, places
from ledger.programme.activities import NewActivity
from ledger.programme.places import NewDistrict, NewPlace
from ledger.programme.policy import Policy

INSTITUTIONS = ("issuance", "treasury", "expired", "settled")
HELP = "help_"
LOW_SHARE = 10
"""A sample budget is filled up when less than one part in so many is left."""

Item = TypeVar("Item")


def load(writer: Writer, file: CityFile, *, samples: bool) -> str:
    """Bring a city to what its file says; a line that says what was added.

    Raises:
        LedgerError: nothing of the file's content was added (the city itself may have been).
    """
    _create_city(writer, file)
    added = writer.run(file.id, lambda unit: _load_all(unit, file, samples=samples))
    return ", ".join(f"{count} {what}" for what, count in added.items() if count) or "all of it was there"


def _create_city(writer: Writer, file: CityFile) -> None:
    writer.keys.create(file.id)
    with writer.database.write() as session:
        known = session.get(City, file.id)
        if known is not None:
            # Whom one asks for help has no other home than the file; everything else stays as it is.
            rules = {name: value for name, value in known.settings.items() if not name.startswith(HELP)}
            known.settings = {**rules, **_help_of(file)}
            session.commit()
            return
        city = City(
            id=file.id,
            name_th=file.name_th,
            name_en=file.name_en,
            symbol=file.symbol,
            scale=file.scale,
            zone=file.zone,
            origin=file.origin,
            code_prefix=file.code_prefix,
            settings={**file.settings.as_dict(), "member_since": file.member_since, "curricula": _curricula(file)},
            created_at=writer.clock(),
        )
        cities.create(session, city)
        seal.seal_empty(session, city, writer.keys.get(city))
        session.commit()


def _help_of(file: CityFile) -> dict[str, object]:
    return {name: value for name, value in file.settings.as_dict().items() if name.startswith(HELP)}


def _curricula(file: CityFile) -> list[dict[str, object]]:
    return [
        {"id": item.id, "name_th": item.name_th, "name_en": item.name_en, "activities": list(item.activities)}
        for item in file.curricula
    ]


def _load_all(unit: Unit, file: CityFile, *, samples: bool) -> dict[str, int]:
    system = Principal.system(file.id)
    for path in INSTITUTIONS:
        accounts.open_account(unit, path)
    unit.flush()
    wanted = [item for item in file.activities if samples or not item.sample]
    known_districts = {item.id for item in places.districts(unit.session, file.id)}
    known_places = {item.id for item in places.list_(unit.session, file.id)}
    added = {
        "districts": _add(
            (item for item in file.districts if item.id not in known_districts),
            lambda item: places.create_district(unit, system, NewDistrict(item.id, item.name_th, item.name_en)),
        ),
        "places": _add(
            (item for item in file.places if item.id not in known_places),
            lambda item: places.create(
                unit,
                system,
                NewPlace(
                    id=item.id,
                    name_th=item.name_th,
                    name_en=item.name_en,
                    district=item.district,
                    kind=item.kind,
                    street_order=item.street_order,
                    note_th=item.note_th,
                    note_en=item.note_en,
                ),
            ),
        ),
        "activities": _add(
            _missing(wanted, lambda item: activities.row(unit.session, file.id, item.id)),
            lambda item: _add_activity(unit, system, item),
        ),
    }
    if samples:
        added |= _load_samples(unit, system, file, [item for item in wanted if item.budget_minor])
    return added


def _load_samples(unit: Unit, system: Principal, file: CityFile, funded: list[ActivitySpec]) -> dict[str, int]:
    unit.flush()
    added = {
        "sample shops": _add(
            _missing(file.shops, lambda item: shops.find(unit.session, file.id, item.id)),
            lambda item: _open_shop(unit, system, item),
        ),
        "sample promotions": _add(
            _missing(file.promotions, lambda item: promotions.find(unit.session, file.id, item.id)),
            lambda item: promotions.create(unit, system, _promotion(item)),
        ),
    }
    if file.grant and accounts.state(unit, "issuance").posted == 0:
        transfers.post(unit, "grant", "issuance", "treasury", file.grant.amount_minor, actor="system")
    for item in funded:
        budget = f"budget:{item.id}"
        wanted = item.budget_minor or 0
        low = accounts.state(unit, budget).available < wanted // LOW_SHARE
        if low and accounts.state(unit, "treasury").available >= wanted:
            transfers.post(unit, "fund", "treasury", budget, wanted, actor="system", ref={"activity": item.id})
    return added


def _missing(items: Iterable[Item], find: Callable[[Item], object]) -> list[Item]:
    missing = []
    for item in items:
        try:
            find(item)
        except NotFound:
            missing.append(item)
    return missing


def _add(items: Iterable[Item], add: Callable[[Item], object]) -> int:
    return sum(1 for item in items if add(item) is not None)


def _open_shop(unit: Unit, system: Principal, item: ShopSpec) -> object:
    new = NewShop(
        id=item.id,
        name_th=item.name_th,
        name_en=item.name_en,
        about_th=item.about_th,
        about_en=item.about_en,
        district=item.district,
        category=item.category,
        sample=item.sample,
    )
    shops.apply(unit, system, new)
    return shops.approve(unit, system, item.id)


def _promotion(item: PromotionSpec) -> NewPromotion:
    return NewPromotion(
        id=item.id,
        shop=item.shop,
        title_th=item.title_th,
        title_en=item.title_en,
        benefit_th=item.benefit_th,
        benefit_en=item.benefit_en,
        price_minor=item.price_minor,
        stock=item.stock,
        per_learner=item.per_learner,
        starts_at=item.starts_at,
        ends_at=item.ends_at,
        sample=item.sample,
    )


def _add_activity(unit: Unit, system: Principal, item: ActivitySpec) -> object:
    new = NewActivity(
        id=item.id,
        place=item.place,
        name_th=item.name_th,
        name_en=item.name_en,
        about_th=item.about_th,
        about_en=item.about_en,
        organiser_th=item.organiser_th,
        organiser_en=item.organiser_en,
        mode=item.mode,
        policy=Policy(**item.policy.as_dict()),
        daily_from=item.daily_from,
        daily_until=item.daily_until,
        sample=item.sample,
    )
    view = activities.create(unit, system, new)
    for one in item.sessions:
        activities.add_session(unit, system, item.id, one.starts_at, one.ends_at, one.seats, one.id)
    return view
