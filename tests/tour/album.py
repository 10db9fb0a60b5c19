"""The pictures of the tour on disk: taken from a page as WebP by the browser itself, and the text that names them.

`missing` and `unnamed` compare the folder with `docs/tour.md`; nothing compares pixels, since codes and handles are
fresh in every run.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Page

QUALITY = 80
MOST_BYTES = 1_500_000
"""What all pictures together may weigh."""

SUFFIX = ".webp"
COUNTING = "() => [...document.querySelectorAll('[data-until]')].every((one) => one.textContent.trim())"
"""Whether the countdowns of a page have begun."""

_NAMED = re.compile(r"tour/([a-z-]+\.webp)")
_IMAGE = re.compile(r"<img\b[^>]*>|!\[[^\]]*\]\([^)]*\)")


@dataclass
class Album:
    """A folder of pictures, and the names of those taken into it in this run."""

    folder: Path
    taken: list[str] = field(default_factory=list)

    def take(self, page: Page, name: str, part: str | None = None) -> None:
        """Keep what the window shows, or a part of the page at its full height."""
        self.keep(name, look(page, part))

    def keep(self, name: str, picture: bytes) -> None:
        """Write a picture."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{name}{SUFFIX}").write_bytes(picture)
        self.taken.append(name)

    def read(self, name: str) -> bytes:
        """A picture of this run."""
        return (self.folder / f"{name}{SUFFIX}").read_bytes()

    def forget_others(self) -> list[str]:
        """Remove the pictures of earlier runs that this one has not taken; their names."""
        old = [path for path in self.folder.glob(f"*{SUFFIX}") if path.stem not in self.taken]
        for path in old:
            path.unlink()
        return [path.name for path in old]


def look(page: Page, part: str | None = None) -> bytes:
    """What the window shows once all is there, or a part of the page at its full height; WebP."""
    page.wait_for_load_state()
    page.evaluate("document.fonts.ready.then(() => document.activeElement?.blur())")
    page.wait_for_function(COUNTING)
    options: dict[str, object] = {"format": "webp", "quality": QUALITY, "captureBeyondViewport": part is not None}
    if part is not None:
        options["clip"] = page.locator(part).first.evaluate(
            "(part) => { const { x, y, width, height } = part.getBoundingClientRect();"
            " return { x: x + scrollX, y: y + scrollY, width, height, scale: 1 }; }"
        )
    wire = page.context.new_cdp_session(page)
    picture = base64.b64decode(wire.send("Page.captureScreenshot", options)["data"])
    wire.detach()
    return picture


def faults(folder: Path, *texts: Path) -> list[str]:
    """In what the pictures of a folder and the texts that show them disagree; empty if they agree."""
    written = "\n".join(text.read_text(encoding="utf-8") for text in texts)
    there = {path.name: path.stat().st_size for path in folder.glob(f"*{SUFFIX}")}
    named = set(_NAMED.findall(written))
    found = [f"{name} is named but not there" for name in sorted(named - there.keys())]
    found += [f"{name} is there but not named" for name in sorted(there.keys() - named)]
    found += [f"no words for who cannot see: {image}" for image in _IMAGE.findall(written) if not _has_words(image)]
    if sum(there.values()) > MOST_BYTES:
        found.append(f"the pictures weigh {sum(there.values()):,} bytes, more than {MOST_BYTES:,}")
    return found


def _has_words(image: str) -> bool:
    return re.search(r'alt="[^"]{20,}"|!\[[^\]]{20,}\]', image) is not None
