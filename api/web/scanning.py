"""The till's eye: what the camera saw becomes the page of a reservation. Looking moves nothing.

The till's script sends either the text that the browser's own detector read, or a grey picture, one byte a pixel in
rows of `?width=`, for browsers that have no detector; it is read here and kept nowhere. The answer is JSON for that
script alone: `{"url": …}` to go on to, `{"problem": …}` in the reader's language, or `{}` where there is no symbol.

Nothing of the reader's is kept between pictures: its binding counts what is still there when the process ends, and
would print each object, type and function as leaked behind every Ctrl-C.

Bounds: `MAX_PIXELS` a picture, which the reader works through in some milliseconds.
"""

from __future__ import annotations

import re

import zxingcpp
from flask import jsonify, request

from api.web.shell import Answer, Visit, asked_whole, page, web
from api.web.shop import ANOTHER_SHOP
from api.web.words import N_, say
from ledger.commerce import redemptions
from ledger.errors import Forbidden, NotFound, Unauthenticated

MAX_PIXELS = 640 * 640
MIN_WIDTH, MAX_WIDTH = 32, 1_280
LONGEST_TEXT = 500
_SECRET = re.compile(r"/r/([A-Za-z0-9]{10,64})/?(?:[?#].*)?$").search


@web.post("/c/<city>/shop/scan")
@page("redemption.find", door="shop")
def till_scan(visit: Visit) -> Answer:
    """Find the reservation that a symbol names."""
    if request.mimetype == "text/plain":
        text = request.get_data()[:LONGEST_TEXT].decode("utf-8", "replace")
    else:
        text = symbol_in(request.get_data(), asked_whole("width") or 0)
    if not text:
        return jsonify({})
    match = _SECRET(text.strip())
    if match is None:
        return _problem(N_("This QR is not a customer's reservation. Ask for the page with the six digits."))
    try:
        view = redemptions.find_by_secret(visit.session, visit.shop, match[1], visit.now)
    except NotFound:
        return _problem(N_("This reservation is not known here. Is it from another city?"))
    except (Forbidden, Unauthenticated):
        return _problem(ANOTHER_SHOP)
    late = {} if view.state == "pending" else {"late": 1}
    return jsonify({"url": visit.address("till_redemption", redemption_id=view.id, **late)})


def symbol_in(pixels: bytes, width: int) -> str:
    """The text of the QR symbol in a grey picture, or nothing where there is none or the picture is none."""
    if not MIN_WIDTH <= width <= MAX_WIDTH or not pixels or len(pixels) > MAX_PIXELS or len(pixels) % width:
        return ""
    picture = memoryview(pixels).cast("B", (len(pixels) // width, width))
    only_qr = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
    found = zxingcpp.read_barcodes(picture, formats=only_qr)
    return str(found[0].text) if found else ""


def _problem(msgid: str) -> Answer:
    answer = jsonify({"problem": say(msgid)})
    answer.status_code = 422
    return answer
