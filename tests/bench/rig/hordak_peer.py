"""django-hordak as its users call it, in an environment of its own: this file runs there, and imports nothing of ours.

    python hordak_peer.py DATABASE HOST USER create TARGETS ROUNDS    migrates an empty database, opens the accounts
    python hordak_peer.py DATABASE HOST USER serve TARGETS FIRST      so many threads, which pay accounts from FIRST on

A round is a line on the standard input, `checked NUMBER SECONDS` or `unchecked NUMBER SECONDS`, and is answered by a
line of JSON. Each thread has a connection and makes one transfer a transaction, from the round's hot account to an
account of its own. *Unchecked* is `Account.transfer_to` alone. *Checked* is what guards a floor, which hordak leaves to
its users: lock the account's row, ask for its balance, transfer. That balance is a sum over the account's past, so that
each round begins with a new hot account, in hordak's favour. The process ends when its input does.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

PLENTY, CURRENCY = 10**9, "THB"


def configure(database: str, host: str, user: str) -> None:
    """Set Django up for one database."""
    import django  # type: ignore[import-not-found]
    from django.conf import settings  # type: ignore[import-not-found]

    settings.configure(
        DATABASES={
            "default": {"ENGINE": "django.db.backends.postgresql", "NAME": database, "HOST": host, "USER": user}
        },
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "mptt", "hordak"],
        DEFAULT_CURRENCY=CURRENCY,
        HORDAK_INTERNAL_CURRENCY=CURRENCY,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()


def create(targets: int, rounds: int) -> None:
    """Make the tables, a hot account for each round with plenty in it, and the accounts that are paid."""
    from django.core.management import call_command  # type: ignore[import-not-found]
    from hordak.models import Account  # type: ignore[import-not-found]
    from moneyed import Money  # type: ignore[import-not-found]

    def opened(name: str) -> Any:
        return Account.objects.create(name=name, type="AS", currencies=[CURRENCY], code=None)

    call_command("migrate", verbosity=0)
    source = opened("issuance")
    for number in range(rounds):
        source.transfer_to(opened(f"hot {number}"), Money(PLENTY, CURRENCY))
    for index in range(targets):
        opened(f"shop {index}")


def transfer(hot: Any, target: Any, *, checked: bool) -> None:
    """One transfer in a transaction of its own."""
    from django.db import transaction  # type: ignore[import-not-found]
    from hordak.models import Account
    from moneyed import Money

    amount = Money("0.01", CURRENCY)
    with transaction.atomic():
        if checked:
            locked = Account.objects.select_for_update().get(pk=hot.pk)
            if locked.get_balance()[CURRENCY] < amount:
                raise RuntimeError("the hot account is empty")
        hot.transfer_to(target, amount)


def serve(threads: int, first: int) -> None:
    """Carry out rounds until the input ends."""
    from hordak.models import Account

    targets = [Account.objects.get(name=f"shop {first + index}") for index in range(threads)]
    with ThreadPoolExecutor(threads) as clients:
        say({"hordak": version("django-hordak"), "django": version("django")})
        for line in sys.stdin:
            kind, number, seconds = line.split()
            hot = Account.objects.get(name=f"hot {number}")
            end = time.perf_counter() + float(seconds)
            rounds = [clients.submit(work, hot, target, end, checked=kind == "checked") for target in targets]
            say({"latencies_ms": [latency for one in rounds for latency in one.result()]})


def work(hot: Any, target: Any, end: float, *, checked: bool) -> list[float]:
    """One client's transfers until the end; how long each took, in milliseconds."""
    latencies = []
    while (started := time.perf_counter()) < end:
        transfer(hot, target, checked=checked)
        latencies.append(round(1_000 * (time.perf_counter() - started), 2))
    return latencies


def say(what: dict[str, object]) -> None:
    """Answer with a line."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    configure(*sys.argv[1:4])
    if sys.argv[4] == "create":
        create(int(sys.argv[5]), int(sys.argv[6]))
    else:
        serve(int(sys.argv[5]), int(sys.argv[6]))
