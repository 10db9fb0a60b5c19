"""City files: what the package ships is true to its source, and every mistake is named."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ledger.city.cityfile import CityFile, CityFileError, load, shipped

# The account's own list of the street, its words cut out unchanged; the names in the file are compared with it.
STREET = (
    "1.ประตูเมือง 2.ศาลเจ้าพ่อหลักเมือง 3.ตึกแก่น 4.Hug mall 5.พิพิธภัณฑ์ธนารักษ์ 6.เทศบาลนครขอนแก่น "
    "และ 7.Sri Chan One-Stop Business Hub"
)
DISTRICTS = (
    "เมืองขอนแก่น บ้านฝาง พระยืน หนองเรือ ชุมแพ สีชมพู น้ำพอง อุบลรัตน์ กระนวน บ้านไผ่ เปือยน้อย พล แวงใหญ่ "
    "แวงน้อย หนองสองห้อง ภูเวียง มัญจาคีรี ชนบท เขาสวนกวาง ภูผาม่าน ซำสูง โคกโพธิ์ไชย หนองนาคำ บ้านแฮด "
    "โนนศิลา เวียงเก่า"
)

CITY = """
[city]
id = "a-city"
name_th = "เมือง"
name_en = "A city"
province_th = "จังหวัด"
province_en = "A province"
symbol = "ABC"
scale = 2
zone = "Asia/Bangkok"
origin = "a-city.ledger.example/log"
code_prefix = "ac"
member_since = 2024

[settings]
unsecured_cap_minor = 10000
rewards_per_day = 20
hold_minutes = 10
assurance_caps = { poster = 1000, kiosk = 5000, code = 10000, staff = 10000, double = 20000 }

[[districts]]
id = "middle"
name_th = "กลาง"
name_en = "Middle"

[[places]]
id = "gate"
name_th = "ประตู"
name_en = "Gate"
kind = "street"
street_order = 1
district = "middle"

[[activities]]
id = "walk"
place = "gate"
name_th = "เดิน"
name_en = "Walk"
mode = "poster"
policy = { amount_minor = 500, max_per_day = 1 }
daily_from = "08:00"
daily_until = "17:00"

[[activities]]
id = "talk"
place = "gate"
name_th = "คุย (ตัวอย่าง)"
name_en = "Talk (sample)"
mode = "kiosk"
policy = { amount_minor = 2000, code_once = true }
budget_minor = 4000
sample = true

[[activities.sessions]]
id = "first"
starts_at = 2027-01-31T09:00:00+07:00
ends_at = 2027-01-31T10:00:00+07:00

[[activities.sessions]]
id = "second"
starts_at = 2027-02-01T09:00:00+07:00
ends_at = 2027-02-01T10:00:00+07:00

[[curricula]]
id = "course"
name_th = "หลักสูตร"
name_en = "Course"
activities = ["walk"]

[[shops]]
id = "stall"
name_th = "แผง (ตัวอย่าง)"
name_en = "Stall (sample)"
district = "middle"
category = "food"
sample = true

[[promotions]]
id = "soup"
shop = "stall"
title_th = "ซุป (ตัวอย่าง)"
title_en = "Soup (sample)"
benefit_th = "ซุปฟรี"
benefit_en = "Free soup"
price_minor = 300
stock = 10
per_learner = 1
starts_at = 2027-01-01T00:00:00+07:00
ends_at = 2027-02-01T00:00:00+07:00
sample = true

[grant]
amount_minor = 4000
sample = true
"""

# What is replaced, by what, and how the error names table and field. Each is one slip of an author's pen.
MISTAKES = [
    # identity
    ('id = "a-city"', 'id = "A City"', "[city]", "id"),
    ('name_th = "เมือง"\n', "", "[city]", "name_th"),
    ('name_th = "เมือง"', 'name_th = "เมือง "', "[city]", "name_th"),
    ('name_en = "A city"', 'name_en = ""', "[city]", "name_en"),
    ('name_en = "A city"', "name_en = 7", "[city]", "name_en"),
    ('province_en = "A province"', 'provinse_en = "A province"', "[city]", "provinse_en"),
    ('symbol = "ABC"', 'symbol = "abc"', "[city]", "symbol"),
    ("scale = 2", "scale = 2.0", "[city]", "scale"),
    ("scale = 2", "scale = true", "[city]", "scale"),
    ('zone = "Asia/Bangkok"', 'zone = "Asia/Nowhere"', "[city]", "zone"),
    ('origin = "a-city.ledger.example/log"', 'origin = "a city+log"', "[city]", "origin"),
    ('code_prefix = "ac"', 'code_prefix = "a1"', "[city]", "code_prefix"),
    ('code_prefix = "ac"', 'code_prefix = "abc"', "[city]", "code_prefix"),
    ("member_since = 2024", "member_since = 2567", "[city]", "member_since"),
    # rules
    ("rewards_per_day = 20", "rewards_per_day = 0", "[settings]", "rewards_per_day"),
    ("hold_minutes = 10", 'hold_minutes = "10"', "[settings]", "hold_minutes"),
    ("unsecured_cap_minor = 10000", "unsecured_cap_minor = -1", "[settings]", "unsecured_cap_minor"),
    ("hold_minutes = 10", 'hold_minutes = 10\nhelp_phone = "+6643"', "[settings]", "help_phone"),
    ("hold_minutes = 10", 'hold_minutes = 10\nhelp_th = " "', "[settings]", "help_th"),
    ("kiosk = 5000", "kiosk = 500", "[settings] assurance_caps", "kiosk"),
    (", double = 20000", "", "[settings] assurance_caps", "double"),
    (", double = 20000", ", double = 20000, triple = 1", "[settings] assurance_caps", "triple"),
    # districts and places
    (
        "[[districts]]",
        '[[districts]]\nid = "middle"\nname_th = "ก"\nname_en = "G"\n[[districts]]',
        "[[districts]]",
        "id",
    ),
    ('district = "middle"\n\n[[act', 'district = "edge"\n\n[[act', "[[places]] #1 (gate)", "district"),
    ('kind = "street"', 'kind = "castle"', "[[places]] #1 (gate)", "kind"),
    ('kind = "street"', 'kind = "public"', "[[places]] #1 (gate)", "street_order"),
    ("street_order = 1\n", "", "[[places]] #1 (gate)", "street_order"),
    ("street_order = 1", "street_order = 2", "[[places]]", "street_order"),
    # activities
    ('place = "gate"\nname_th = "เดิน"', 'place = "wall"\nname_th = "เดิน"', "[[activities]] #1 (walk)", "place"),
    ('mode = "poster"', 'mode = "banner"', "[[activities]] #1 (walk)", "mode"),
    ("amount_minor = 500", "amount_minor = 1001", "[[activities]] #1 (walk) policy", "amount_minor"),
    ("amount_minor = 2000", "amount_minor = 5001", "[[activities]] #2 (talk) policy", "amount_minor"),
    ("amount_minor = 500", "amount_minor = 0", "[[activities]] #1 (walk) policy", "amount_minor"),
    ("amount_minor = 500", "amount_minor = 5.0", "[[activities]] #1 (walk) policy", "amount_minor"),
    ("max_per_day = 1", "max_per_week = 1", "[[activities]] #1 (walk) policy", "max_per_week"),
    ("max_per_day = 1", "code_once = true", "[[activities]] #1 (walk) policy", "code_once"),
    ("code_once = true", "code_once = 1", "[[activities]] #2 (talk) policy", "code_once"),
    ('daily_until = "17:00"', 'daily_until = "25:00"', "[[activities]] #1 (walk)", "daily_until"),
    ('daily_from = "08:00"', 'daily_from = "8:00"', "[[activities]] #1 (walk)", "daily_from"),
    ('daily_from = "08:00"', "daily_from = 08:00:00", "[[activities]] #1 (walk)", "daily_from"),
    ('daily_until = "17:00"', 'daily_until = "08:00"', "[[activities]] #1 (walk)", "daily_until"),
    ('daily_until = "17:00"\n', "", "[[activities]] #1 (walk)", "daily_until"),
    ('daily_from = "08:00"\n', "", "[[activities]] #1 (walk)", "daily_from"),
    ('daily_until = "17:00"', 'daily_until = "17:00"\nbudget_minor = 1', "[[activities]] #1 (walk)", "budget_minor"),
    ("budget_minor = 4000", 'daily_from = "08:00"\ndaily_until = "09:00"', "[[activities]] #2 (talk)", "sessions"),
    ("2027-01-31T10:00:00+07:00", "2027-01-31T10:00:00", "[[activities]] #2 (talk) sessions #1 (first)", "ends_at"),
    ("2027-01-31T10:00", "2027-01-31T09:00", "[[activities]] #2 (talk) sessions #1 (first)", "ends_at"),
    ("2027-01-31T10:00", "2027-02-01T09:30", "[[activities]] #2 (talk)", "sessions"),
    ('id = "second"', 'id = "first"', "[[activities]] #2 (talk) sessions", "id"),
    ("คุย (ตัวอย่าง)", "คุย", "[[activities]] #2 (talk)", "name_th"),
    ('name_en = "Walk"', 'name_en = "Walk (sample)"', "[[activities]] #1 (walk)", "name_en"),
    ('id = "talk"', 'id = "walk"', "[[activities]]", "id"),
    # curricula, shops, promotions, grant
    ('activities = ["walk"]', 'activities = ["run"]', "[[curricula]] #1 (course)", "activities"),
    ('activities = ["walk"]', 'activities = ["talk"]', "[[curricula]] #1 (course)", "activities"),
    ('activities = ["walk"]', 'activities = ["walk", "walk"]', "[[curricula]] #1 (course)", "activities"),
    ('activities = ["walk"]', "activities = []", "[[curricula]] #1 (course)", "activities"),
    ('district = "middle"\ncategory', 'district = "edge"\ncategory', "[[shops]] #1 (stall)", "district"),
    ('category = "food"', 'category = "Food!"', "[[shops]] #1 (stall)", "category"),
    ("Stall (sample)", "Stall", "[[shops]] #1 (stall)", "name_en"),
    ('shop = "stall"', 'shop = "stand"', "[[promotions]] #1 (soup)", "shop"),
    ("price_minor = 300", "price_minor = 0", "[[promotions]] #1 (soup)", "price_minor"),
    ("price_minor = 300", f"price_minor = {2**53}", "[[promotions]] #1 (soup)", "price_minor"),
    ("stock = 10", "stock = -1", "[[promotions]] #1 (soup)", "stock"),
    ("per_learner = 1\n", "", "[[promotions]] #1 (soup)", "per_learner"),
    ("sample = true\n\n[grant]", "sample = false\n\n[grant]", "[[promotions]] #1 (soup)", "sample"),
    ("ends_at = 2027-02-01T00", "ends_at = 2026-02-01T00", "[[promotions]] #1 (soup)", "ends_at"),
    ("Soup (sample)", "Soup", "[[promotions]] #1 (soup)", "title_en"),
    ("[grant]\namount_minor = 4000", "[grant]\namount_minor = 3999", "[grant]", "amount_minor"),
    ("amount_minor = 4000\nsample = true", "amount_minor = 4000\nsample = false", "[grant]", "sample"),
    # the file as a whole
    ("[[shops]]", "[[shop]]", "file", "shop"),
    ("[grant]", "[[grant]]", "file", "grant"),
    ("[city]", "[city", "file", "TOML"),
    ("[settings]", "[setting]", "file", "setting"),
]


@pytest.fixture(scope="module")
def khon_kaen() -> CityFile:
    """The shipped file of Khon Kaen, read once."""
    return load(next(path for path in shipped() if path.stem == "khon-kaen"))


def test_the_four_member_cities_are_shipped_and_load() -> None:
    """Each file is named after its city, and its year of membership is the source's."""
    found = {path.stem: load(path) for path in shipped()}
    years = {name: city.member_since for name, city in found.items()}
    assert years == {"khon-kaen": 2024, "yala": 2024, "phayao": 2022, "hat-yai": 2022}
    assert all(city.id == name for name, city in found.items())
    assert {name: len(city.districts) for name, city in found.items()} == {
        "khon-kaen": 26,
        "yala": 8,
        "phayao": 9,
        "hat-yai": 1,
    }


@pytest.mark.parametrize("field", ["code_prefix", "origin", "symbol", "id"])
def test_no_two_shipped_cities_share_what_names_them(field: str) -> None:
    """Codes, logs and symbols tell the cities of one installation apart."""
    values = [getattr(load(path), field) for path in shipped()]
    assert len(set(values)) == len(values) == 4


def test_the_street_stands_letter_by_letter(khon_kaen: CityFile) -> None:
    """The seven places of Sri Chan road have the names and the order of the published account."""
    expected = re.findall(r"\d\.(.+?)(?= (?:และ )?\d\.|$)", STREET)
    street = [place for place in khon_kaen.places if place.kind == "street"]
    assert [place.street_order for place in street] == [1, 2, 3, 4, 5, 6, 7]
    assert [place.name_th for place in street] == expected


def test_the_other_names_of_the_account_stand_letter_by_letter(khon_kaen: CityFile) -> None:
    """Spaces, activities, curriculum: exactly these, besides what is marked as a sample."""
    assert [place.name_th for place in khon_kaen.places if place.kind != "street"] == [
        "เฮือนโบราณ ศาลากลางจังหวัดขอนแก่น",
        "พื้นที่การเรียนรู้ Online",
        "พื้นที่ในการสานเสวนา",
        "พื้นที่ในการแลกเปลี่ยนเรียนรู้",
        "พื้นที่ของภาคีเครือข่าย",
    ]
    assert [activity.name_th for activity in khon_kaen.activities if not activity.sample] == [
        "พิพิธภัณฑ์มีชีวิต",
        "เทศกาลอีสานสร้างสรรค์",
        "เล่าเรื่องเมืองผ่านภาพถ่าย",
        "ท้องถิ่นศึกษา",
        "สานเสวนา",
        "แลกเปลี่ยนเรียนรู้",
    ]
    assert [curriculum.name_th for curriculum in khon_kaen.curricula] == ["หลักสูตรขอนแก่นศึกษา"]
    online = next(place for place in khon_kaen.places if place.kind == "online")
    assert online.note_th == "www.khonkaenlearningcity.com"


def test_yala_has_the_old_metro_hotel_and_its_stories() -> None:
    """Yala's space and activity bear the names of the published account."""
    yala = load(next(path for path in shipped() if path.stem == "yala"))
    assert [place.name_th for place in yala.places] == ["โรงแรมเก่าเมโทร"]
    assert [activity.name_th for activity in yala.activities] == ["Yala Stories"]


def test_khon_kaen_has_its_26_districts(khon_kaen: CityFile) -> None:
    """All amphoe of the province, in their official order, each with a romanisation that its id follows."""
    assert " ".join(district.name_th for district in khon_kaen.districts) == DISTRICTS
    assert len({district.name_th for district in khon_kaen.districts}) == 26
    for district in khon_kaen.districts:
        assert district.id == district.name_en.lower().replace(" ", "-")


def test_a_sample_poster_and_a_sample_kiosk_are_open_and_funded_at_every_hour(khon_kaen: CityFile) -> None:
    """Whoever tries the city at three in the morning can earn, and then spend after at most two check-ins."""
    always = [a for a in khon_kaen.activities if (a.daily_from, a.daily_until) == ("00:00", "24:00")]
    assert {activity.mode for activity in always} == {"poster", "kiosk"}
    for activity in always:
        assert activity.sample
        assert activity.policy.max_per_day == 1
        assert activity.budget_minor is not None
        assert activity.budget_minor >= 1000 * activity.policy.amount_minor
    poster = next(activity for activity in always if activity.mode == "poster")
    assert any(promotion.price_minor <= poster.policy.amount_minor for promotion in khon_kaen.promotions)
    assert all(300 <= promotion.price_minor <= 2000 for promotion in khon_kaen.promotions)


def test_all_shops_and_promotions_that_are_shipped_are_samples() -> None:
    """The package brings no shop that could be taken for a real one, and the other cities bring none at all."""
    cities = [load(path) for path in shipped()]
    assert all(shop.sample for city in cities for shop in city.shops)
    assert all(promotion.sample for city in cities for promotion in city.promotions)
    assert [city.id for city in cities if city.shops or city.promotions or city.grant] == ["khon-kaen"]


def test_settings_and_policy_are_given_as_the_rows_keep_them(khon_kaen: CityFile) -> None:
    """The dictionaries carry the names that the city's and the activity's rows use, and plain values."""
    assert khon_kaen.settings.as_dict() == {
        "unsecured_cap_minor": 10000,
        "rewards_per_day": 20,
        "hold_minutes": 10,
        "assurance_caps": {"poster": 1000, "kiosk": 5000, "code": 10000, "staff": 10000, "double": 20000},
    }
    walk = next(activity for activity in khon_kaen.activities if activity.id == "sample-street-walk")
    assert walk.policy.as_dict() == {
        "amount_minor": 500,
        "max_per_person": None,
        "max_per_day": 1,
        "code_once": False,
    }


def test_a_city_may_say_whom_people_call() -> None:
    """The number is kept in the national form, however it is written; what is not given is left out."""
    given = CITY.replace(
        "hold_minutes = 10", 'hold_minutes = 10\nhelp_phone = "+66 43 123 456"\nhelp_en = "On weekdays"'
    )
    settings = load(given).settings.as_dict()
    assert settings["help_phone"] == "043123456"
    assert settings["help_en"] == "On weekdays"
    assert "help_th" not in settings


def test_a_whole_city_is_read_into_values() -> None:
    """Instants become UTC, absent limits None, and nothing can be changed afterwards."""
    city = load(CITY)
    walk, talk = city.activities
    assert (walk.daily_from, walk.daily_until, walk.sessions, walk.budget_minor) == ("08:00", "17:00", (), None)
    assert talk.sessions[0].starts_at == datetime(2027, 1, 31, 2, tzinfo=UTC)
    assert talk.sessions[0].starts_at.utcoffset() == UTC.utcoffset(None)
    assert (talk.policy.max_per_person, talk.policy.code_once, talk.sessions[0].seats) == (None, True, None)
    assert city.promotions[0].ends_at == datetime(2027, 1, 31, 17, tzinfo=UTC)
    assert city.grant is not None
    assert city.grant.amount_minor == 4000
    with pytest.raises(FrozenInstanceError):
        city.id = "other"  # type: ignore[misc]


def test_an_activity_may_wait_for_its_steward_to_set_a_time() -> None:
    """Neither daily hours nor sessions: the name is known, the time is not."""
    text = CITY.replace('daily_from = "08:00"\n', "").replace('daily_until = "17:00"\n', "")
    walk = load(text).activities[0]
    assert (walk.daily_from, walk.daily_until, walk.sessions) == (None, None, ())


@pytest.mark.parametrize(("right", "wrong", "table", "field"), MISTAKES)
def test_a_mistake_is_named_by_table_and_field(right: str, wrong: str, table: str, field: str) -> None:
    """Each slip is refused with the table, the field and a remedy, all of them in the message."""
    assert right in CITY
    with pytest.raises(CityFileError) as caught:
        load(CITY.replace(right, wrong, 1))
    assert (caught.value.table, caught.value.field) == (table, field)
    assert caught.value.remedy
    assert str(caught.value) == f"{table}: {field}: {caught.value.remedy}"


def test_an_error_in_a_file_names_the_file(tmp_path: Path) -> None:
    """From a path, the message begins with the file's name; bytes that are no UTF-8 are an error like others."""
    path = tmp_path / "mine.toml"
    path.write_text(CITY, "utf-8")
    assert load(path).id == "a-city"
    path.write_text(CITY.replace('symbol = "ABC"', 'symbol = "a"'), "utf-8")
    with pytest.raises(CityFileError, match=r"^mine\.toml: \[city\]: symbol: "):
        load(path)
    path.write_bytes("[city]\nname_th = 'เมือง'".encode("cp874"))
    with pytest.raises(CityFileError, match=r"^mine\.toml: file: encoding: "):
        load(path)


def test_a_city_without_samples_needs_no_grant() -> None:
    """A file of a city alone, with no rows at all, is complete."""
    city = load(CITY[: CITY.index("[[districts]]")])
    assert (city.districts, city.places, city.activities, city.shops, city.grant) == ((), (), (), (), None)


def test_a_budget_without_a_grant_is_refused() -> None:
    """Budgets are funded from the treasury, which is empty before the grant."""
    with pytest.raises(CityFileError, match=r"\[grant\]: amount_minor"):
        load(CITY[: CITY.index("[grant]")])
