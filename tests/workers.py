"""Sharing the tests out over the machine's cores: in which order, to how many processes, and which stay together.

The fast tests run first, so that a mistake shows soon. Whoever is free takes what is next. Each process is a session
of its own: its own PostgreSQL, temporary directories and compiled templates, and ports that no other process gets
(`tests.servers.free_port`). Two kinds of tests stay in one process, one after the other:

* those of a module that has something in common, a fixture of the scope `module`, which is then made once;
* those marked `@pytest.mark.xdist_group("fleet")`, whose server processes keep every core busy: two of them at once
  would be slower than one after the other, and nearer to the bounds of time that they watch.
"""

from __future__ import annotations

import os

import pytest

FIRST = ("tidy", "proof")
"""Folders of `tests/` that run before the others."""

LAST = (
    *("book", "properties", "city", "api", "log", "web", "journeys", "faults", "chain"),
    *("browser/test_pages", "browser"),
    *(f"browser/test_{brief}" for brief in ("airdrop", "chain", "speed", "site", "proof")),
)
"""Folders, and modules of theirs, that run after the others, in this order.

A module that shares a site is one piece of work. The longest begins first and the shortest come last, so that no
process is left without work for long while another ends.
"""

MOST = 4
"""Processes at most. Many tests start servers, so a large machine is busy with these."""


def wanted(config: pytest.Config) -> int:
    """How many processes to use for `-n auto`; 0 is this one alone.

    Folders are shared out, and so is the whole suite. Files and tests that were named run here, which spares the
    start of the processes, and so does what is to print or ask as it goes (`-s`).
    """
    named = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    cores = min(len(os.sched_getaffinity(0)), MOST)
    alone = cores == 1 or config.getoption("capture") == "no" or not any(path.is_dir() for path in named)
    return 0 if alone else cores


def rank(item: pytest.Item) -> int:
    """The place of a test's module: `FIRST`, those not named, `LAST`."""
    module = item.nodeid.partition(".py")[0].removeprefix("tests/")
    for name in (module, module.partition("/")[0]):
        if name in FIRST:
            return FIRST.index(name) - len(FIRST)
        if name in LAST:
            return LAST.index(name) + 1
    return 0


def keep_together(items: list[pytest.Item]) -> None:
    """Put the tests of a module that has something in common into one group, unless they are in one already."""
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("xdist_group") is None and _shares(item):
            item.add_marker(pytest.mark.xdist_group(f"{item.path.parent.name}/{item.path.stem}"))


def send_groups(items: list[pytest.Item]) -> None:
    """Have xdist share out by groups: what it wrote behind the tests' names becomes the names that it sends.

    xdist 3.8 writes into an attribute that pytest 9.2 no longer reads, and would share out single tests.
    """
    for item in items:
        written = getattr(item, "_nodeid", item.nodeid)
        if written != item.nodeid:
            item._id = type(item.id).parse(written)


def _shares(test: pytest.Function) -> bool:
    found = test._fixtureinfo.name2fixturedefs.values()
    return any(definition.scope == "module" for definitions in found for definition in definitions)


def plain(name: str) -> str:
    """A test's name without the group that xdist puts behind it, so that it can be given to pytest again."""
    bare, mark, _ = name.rpartition("@")
    return bare if mark and name.rfind("@") > name.rfind("]") else name
