"""`scripts/tour`: play the day and write its pictures, or with `--check` compare text and pictures alone."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.servers import ROOT
from tests.tour.album import SUFFIX, Album, faults
from tests.tour.day import SCENES, play

FOLDER = ROOT / "docs" / "tour"
TEXTS = ROOT / "docs" / "tour.md", ROOT / "README.md"
WEEKS, PEOPLE = 13, 180


def _say(line: str) -> None:
    sys.stdout.write(f"tour: {line}\n")
    sys.stdout.flush()


def main() -> int:
    """The exit status: 0 if text and pictures agree in the end."""
    parser = argparse.ArgumentParser(prog="scripts/tour", description=(__doc__ or "").split(": ", 1)[1])
    parser.add_argument("--check", action="store_true", help="only see whether text and pictures agree")
    options = parser.parse_args()
    if not options.check:
        _say(f"{WEEKS} weeks of a city with {PEOPLE} learners, and a day in {len(SCENES)} scenes")
        album, program = Album(FOLDER), Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
        with sync_playwright() as playwright:
            play(playwright.chromium, program, album, weeks=WEEKS, people=PEOPLE, tell=_say)
        for name in album.forget_others():
            _say(f"{name} is of an earlier tour: removed")
        weight = sum((FOLDER / f"{name}{SUFFIX}").stat().st_size for name in album.taken)
        _say(f"{len(album.taken)} pictures, {weight / 1000:,.0f} kB")
    found = faults(FOLDER, *TEXTS)
    for fault in found:
        _say(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
