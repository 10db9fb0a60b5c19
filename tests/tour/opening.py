"""The picture that the README opens with: a desk and a phone on the product's own cloth, composed by the browser."""

from __future__ import annotations

import base64
from pathlib import Path

from playwright.sync_api import Browser

from tests.servers import ROOT

STATIC = ROOT / "api" / "web" / "static"
WIDTH, HEIGHT = 1280, 780
DESK = (1280, 980)
"""The window of the desk that the picture shows, in CSS pixels."""

PAGE = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0; width: 1280px; height: 780px; position: relative; }
.cloth { position: absolute; inset: 0; border-radius: 26px; overflow: hidden; background: url(IKAT) #1c2158; }
.cloth::before, .cloth::after { content: ""; position: absolute; left: 0; right: 0; height: 24px;
  background: url(HEM) 0 0 / 54px 24px; }
.cloth::after { bottom: 0; }
img { display: block; width: 100%; }
.desk { position: absolute; left: 46px; top: 58px; width: 864px; border-radius: 12px; overflow: hidden;
  border: 2px solid #f5bd34; box-shadow: 0 18px 50px #000a; }
.phone { position: absolute; right: 46px; top: 76px; width: 278px; padding: 8px; border-radius: 38px;
  background: #0d0b1a; border: 2px solid #f5bd34; box-shadow: 0 18px 50px #000a; }
.phone img { border-radius: 30px; }
</style><div class="cloth"></div>
<div class="desk"><img src="DESK"></div><div class="phone"><img src="PHONE"></div>"""


def compose(browser: Browser, *, desk: bytes, phone: bytes, quality: int) -> bytes:
    """Two pictures side by side, with round corners on no ground at all, for light pages and dark ones; WebP."""
    written = PAGE
    for name, kind, content in (
        ("IKAT", "svg+xml", _drawn("ikat.svg")),
        ("HEM", "svg+xml", _drawn("hem.svg")),
        ("DESK", "webp", desk),
        ("PHONE", "webp", phone),
    ):
        written = written.replace(name, f"data:image/{kind};base64,{base64.b64encode(content).decode()}")
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=1.5)
    page.set_content(written, wait_until="load")
    wire = page.context.new_cdp_session(page)
    wire.send("Emulation.setDefaultBackgroundColorOverride", {"color": {"r": 0, "g": 0, "b": 0, "a": 0}})
    taken = wire.send("Page.captureScreenshot", {"format": "webp", "quality": quality})
    page.close()
    return base64.b64decode(taken["data"])


def _drawn(name: str) -> bytes:
    return Path(STATIC / name).read_bytes()
