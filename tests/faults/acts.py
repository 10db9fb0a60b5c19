"""What clients do to a town of few accounts, and what each acknowledged command must have changed.

Every act draws from the same treasury, the same budgets, two shops and a handful of learners, whom the clients share:
they check in the same people at the same activities, and only one of them may succeed.

`effects` says from the commands and answers alone which accounts changed by how much; nothing in it asks the ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.faults.clients import Client, Command

SHOPS = ("noodles", "coffee")
ACTIVITIES = tuple(f"walk-{number}" for number in range(6))
REWARD = 500
PRICE = 300
STOCK = 12
"""Of the promotion `rare`; the others have no bound."""

RECENT = 6
"""How many learners are on the streets at a time; each newcomer sends the eldest home."""

KINDS = {"transfer": "transfer", "reverse": "reverse", "batch": "transfer", "check-in": "reward", "reserve": "hold",
         "confirm": "capture", "cancel": "release", "refund": "refund"}  # fmt: skip
"""The kind of entry that each act leads to; `join` and `secure` lead to none."""

NAMES = {"name_th": "ทดสอบ", "name_en": "Test"}


@dataclass(frozen=True)
class Learner:
    """Somebody who learns, as every client knows them."""

    account: str
    token: str


@dataclass
class Town:
    """What the clients share. `learners` is only ever appended to, under `lock`."""

    staff: str
    tills: dict[str, str]
    codes: dict[str, str] = field(default_factory=dict)
    learners: list[Learner] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def recent(self) -> list[Learner]:
        """Who is on the streets."""
        with self.lock:
            return self.learners[-RECENT:]


def found(client: Client, staff: str, till_of: Callable[[str], str]) -> Town:
    """Set the town up through the API, before anything is broken."""
    town = Town(staff, {})

    def must(path: str, body: dict[str, Any], token: str = staff) -> None:
        command = client.ask("found", path, body, token)
        assert command.done, (path, command.answer)

    must("entries", {"kind": "grant", "amount_minor": 100_000_000})
    place = client.get("places", staff)["items"][0]["id"]
    for activity in ACTIVITIES:
        must("activities", {"id": activity, "place": place, "amount_minor": REWARD, **NAMES})
        must("entries", {"kind": "fund", "activity": activity, "amount_minor": 10_000_000})
        town.codes[activity] = client.get(f"activities/{activity}/code", staff)["code"]
    for shop in SHOPS:
        must("shops", {"id": shop, **NAMES}, "")
        must(f"shops/{shop}/approve", {})
        must("entries", {"kind": "transfer", "from": "treasury", "to": f"shop:{shop}", "amount_minor": 100_000})
        town.tills[shop] = till_of(shop)
        must("promotions", {"id": shop, "shop": shop, "title_th": "ทดสอบ", "price_minor": PRICE})
    rare = {"id": "rare", "shop": SHOPS[0], "title_th": "ทดสอบ", "price_minor": PRICE, "stock": STOCK}
    must("promotions", rare)
    join(client, town)
    assert client.record.faults == []
    return town


def join(client: Client, town: Town) -> None:
    """Somebody new begins, and keeps the recovery code."""
    made = client.ask("join", "learners", {})
    if made.done and made.answer:
        told = made.answer.json
        client.ask("secure", "learners/secure", {}, told["token"])
        with town.lock:
            town.learners.append(Learner(told["account"], told["token"]))


def check_in(client: Client, town: Town) -> None:
    """A learner whom others check in too scans the code of an activity."""
    who, activity = client.chance.choice(town.recent()), client.chance.choice(ACTIVITIES)
    code = {"code": town.codes[activity]}
    client.ask("check-in", "check-ins", code, who.token, who=who.account, activity=activity)


def move(client: Client, town: Town) -> None:
    """The treasurer moves something between hot accounts, and sometimes takes it back."""
    command = client.ask("transfer", "entries", _order(client, town), town.staff)
    if command.done and command.answer and client.chance.random() < 0.3:
        origin = {"kind": "reverse", "origin": command.answer.json["entry"]}
        client.ask("reverse", "entries", origin, town.staff, moved=command.body)


def move_many(client: Client, town: Town) -> None:
    """A batch: now and then one of it cannot be paid, and none may stand."""
    orders = [_order(client, town) for _ in range(client.chance.randint(2, 8))]
    if client.chance.random() < 0.2:
        orders.append({"kind": "transfer", "from": "shop:noodles", "to": "treasury", "amount_minor": 10**12})
    client.ask("batch", "entries:batch", {"entries": orders}, town.staff)


def redeem(client: Client, town: Town) -> None:
    """A learner reserves; the shop confirms and may refund, or it is called off; some try to do both."""
    chance, who = client.chance, client.chance.choice(town.recent())
    promotion = chance.choice([*SHOPS, "rare"])
    till = town.tills[SHOPS[0] if promotion == "rare" else promotion]
    shop = f"shop:{SHOPS[0] if promotion == 'rare' else promotion}"
    facts = {"who": who.account, "shop": shop}
    reserved = client.ask("reserve", "redemptions", {"promotion": promotion}, who.token, **facts)
    if not reserved.done or not reserved.answer:
        return
    path = f"redemptions/{reserved.answer.json['id']}"
    if chance.random() < 0.7:
        amount = {"amount_minor": chance.randint(1, PRICE)} if chance.random() < 0.5 else {}
        client.ask("confirm", f"{path}/confirm", amount, till, **facts)
        if chance.random() < 0.5:
            client.ask("refund", f"{path}/refund", {"amount_minor": chance.randint(1, PRICE)}, till, **facts)
    if chance.random() < 0.5:
        client.ask("cancel", f"{path}/cancel", {}, who.token, **facts)


WEIGHTS: dict[Callable[[Client, Town], None], int] = {join: 2, check_in: 8, move: 6, move_many: 2, redeem: 5}


def live(client: Client, town: Town, stop: Callable[[], bool]) -> None:
    """Act at random until told to stop; look now and then whether what was acknowledged is sealed, and repeatable."""
    acts, weights = list(WEIGHTS), list(WEIGHTS.values())
    while not stop():
        client.chance.choices(acts, weights)[0](client, town)
        command = client.last
        if command is not None and command.done and client.chance.random() < 0.1:
            client.repeat(command)
            _check_sealed(client, command)


def entries_of(command: Command) -> list[int]:
    """The seq of each entry that an acknowledged command told of."""
    assert command.answer
    told = command.answer.json
    if command.act == "batch":
        return [item["entry"] for item in told["items"]]
    if command.act in ("transfer", "reverse", "check-in", "reserve"):
        return [told["entry"]]
    if command.act in ("confirm", "cancel"):
        return [told["ended_entry"]]
    return [told["refund_entries"][-1]] if command.act == "refund" else []


def effects(command: Command) -> Iterator[tuple[str, int, int]]:
    """(account, change of what is posted, change of what is held), minor units, of an acknowledged command."""
    assert command.answer
    told, facts = command.answer.json, command.facts
    if command.act == "transfer":
        yield from _moved(command.body["from"], command.body["to"], command.body["amount_minor"])
    elif command.act == "reverse":
        yield from _moved(facts["moved"]["to"], facts["moved"]["from"], facts["moved"]["amount_minor"])
    elif command.act == "batch":
        for order in command.body["entries"]:
            yield from _moved(order["from"], order["to"], order["amount_minor"])
    elif command.act == "check-in":
        yield from _moved(f"budget:{facts['activity']}", facts["who"], REWARD)
    elif command.act == "reserve":
        yield facts["who"], 0, PRICE
    elif command.act == "cancel":
        yield facts["who"], 0, -PRICE
    elif command.act == "confirm":
        yield facts["who"], 0, -PRICE
        yield from _moved(facts["who"], facts["shop"], command.body.get("amount_minor", PRICE))
    elif command.act == "refund":
        yield from _moved(facts["shop"], facts["who"], command.body["amount_minor"])
    else:
        assert told or command.act == "found"


def _order(client: Client, town: Town) -> dict[str, Any]:
    chance = client.chance
    shop = f"shop:{chance.choice(SHOPS)}"
    source, target = chance.choice([("treasury", shop), (shop, "treasury"), ("treasury", _somebody(client, town))])
    return {"kind": "transfer", "from": source, "to": target, "amount_minor": chance.randint(1, 50)}


def _somebody(client: Client, town: Town) -> str:
    return client.chance.choice(town.recent()).account


def _moved(source: str, target: str, amount: int) -> Iterator[tuple[str, int, int]]:
    yield source, -amount, 0
    yield target, amount, 0


def _check_sealed(client: Client, command: Command) -> None:
    """Whatever server is asked, its newest checkpoint covers what any server acknowledged."""
    seqs = entries_of(command)
    size = int(client.checkpoint().split("\n")[1])
    if seqs and size <= max(seqs):
        client.record.faults.append(f"{command.key} was acknowledged as {seqs}, but a checkpoint of {size} was shown")
