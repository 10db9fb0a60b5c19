"""The product on the home screen: manifest, service worker, and the page that stands in when there is no network.

A city is what one installs: its manifest starts in the wallet. The service worker is one for the installation, for
codes and one-time links have addresses without a city. What it does stands in `static/worker.js`.
"""

from __future__ import annotations

from flask import Response, jsonify, url_for

from api.web.shell import Visit, page, render, static, web
from api.web.words import N_, name, speech

ICONS = (
    ("icon-192.png", "192x192", "any"),
    ("icon-512.png", "512x512", "any"),
    ("icon-512.png", "512x512", "maskable"),
)
FRAME = "#1c2158"
"""The indigo of the head and of the icons: while the program starts, in the light and in the dark."""


@web.get("/c/<city>/app.webmanifest")
@page("city.read")
def manifest(visit: Visit) -> Response:
    """What the home screen needs to know."""
    shown = jsonify(
        id=visit.address("whats_on"),
        name=visit.text(N_("{symbol} of {city}"), symbol=visit.city.symbol, city=name(visit.city)),
        short_name=visit.city.symbol,
        description=visit.text(N_("Learn in the city, collect tokens, spend them at its small shops.")),
        lang=speech(),
        start_url=visit.address("wallet"),
        scope=url_for("web.landing"),
        display="standalone",
        background_color=FRAME,
        theme_color=FRAME,
        icons=[
            {"src": static(file), "sizes": sizes, "type": "image/png", "purpose": use} for file, sizes, use in ICONS
        ],
        shortcuts=[
            {"name": visit.text(N_("What's on")), "url": visit.address("whats_on")},
            {"name": visit.text(N_("Promotions")), "url": visit.address("promotions")},
        ],
    )
    shown.mimetype = "application/manifest+json"
    return shown


@web.get("/worker.js")
def worker() -> Response:
    """The service worker. It stands at the top, because a worker governs only what lies below its own address."""
    return web.send_static_file("worker.js")


@web.get("/offline")
def offline() -> str:
    """What the service worker shows instead of a page that it could not fetch."""
    return render("offline.html")
