"""QR symbols, read back by an independent reader."""

from __future__ import annotations

import re
from itertools import chain
from xml.etree import ElementTree

import png as pypng
import pytest
import zxingcpp

from ledger.programme import codes, qr
from ledger.programme.codes import Issuer

LONGEST = codes.issue(Issuer(b"k" * 32, "khon-kaen", "kk", "library", "abcd", 1), "https://" + "h" * 28, None).url
TEXTS = [LONGEST, "https://learn.example/r/abc", "KGO", "เมืองแห่งการเรียนรู้"]
SVG = "{http://www.w3.org/2000/svg}"
LIGHT, DARK = 255, 0

Pixels = list[list[int]]


def _read(pixels: Pixels) -> list[str]:
    flat = bytes(chain.from_iterable(pixels))
    picture = memoryview(flat).cast("B", (len(pixels), len(pixels[0])))
    return [str(found.text) for found in zxingcpp.read_barcodes(picture)]


def _enlarge(pixels: Pixels, scale: int = 6) -> Pixels:
    return [[pixel for pixel in row for _ in range(scale)] for row in pixels for _ in range(scale)]


def _painted(path: str, width: int, height: int) -> Pixels:
    """The modules that a path of one-row rectangles covers."""
    pixels = [[LIGHT] * width for _ in range(height)]
    runs = re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", path)
    assert "".join("M{} {}h{}v1h-{}z".format(*run) for run in runs) == path
    for x, y, length, back in (tuple(map(int, run)) for run in runs):
        assert length == back
        pixels[y][x : x + length] = [DARK] * length
    return pixels


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("scale", [2, 8])
def test_the_png_is_read(text: str, scale: int) -> None:
    """A phone's reader gets the text out of the picture, which has the size that the scale says."""
    width, height, rows, _ = pypng.Reader(bytes=qr.png(text, scale)).read()
    assert width == height == scale * (len(qr.matrix(text)) + 8)
    assert _read([[pixel * LIGHT for pixel in row] for row in rows]) == [text]


@pytest.mark.parametrize("text", TEXTS)
def test_the_svg_is_read(text: str) -> None:
    """The drawing's one path, filled in, is the symbol inside a quiet zone of four modules."""
    root = ElementTree.fromstring(qr.svg(text, 'โปสเตอร์ <1> & "2"'))  # noqa: S314 - our own output
    left, top, width, height = (int(number) for number in root.attrib["viewBox"].split())
    assert (left, top, width) == (0, 0, height)
    assert [child.text for child in root.findall(f"{SVG}title")] == ['โปสเตอร์ <1> & "2"']
    (path,) = root.findall(f"{SVG}path")
    pixels = _painted(path.attrib["d"], width, height)
    dark = [(x, y) for y, row in enumerate(pixels) for x, pixel in enumerate(row) if pixel == DARK]
    assert (min(dark)[0], min(y for _, y in dark)) == (4, 4)
    assert (max(dark)[0], max(y for _, y in dark)) == (width - 5, height - 5)
    assert _read(_enlarge(pixels)) == [text]


def test_a_dense_symbol_holds_the_longest_text() -> None:
    """Capitals and digits up to the bound fill version 40 and are read; one more character fits no symbol."""
    text = ("KGO-RECEIPT:" + "Z9 $%*+-./:A" * 400)[: qr.MAX_DENSE_CHARS]
    width, _, rows, _ = pypng.Reader(bytes=qr.png(text, 4, qr.Level.DENSE)).read()
    assert width == 4 * (177 + 8)
    assert _read([[pixel * LIGHT for pixel in row] for row in rows]) == [text]
    with pytest.raises(ValueError, match="41"):
        qr.matrix(text + "0", qr.Level.DENSE)


def test_an_address_fits_version_4() -> None:
    """With a host of 28 characters under https the symbol has at most 33 modules a side; a longer one has more."""
    assert len(qr.matrix(LONGEST)) <= 33
    assert len(qr.matrix(LONGEST + "x" * 10)) > 33


def test_a_scratched_symbol_is_still_read() -> None:
    """Error correction M mends what a scratch covers; with half of the symbol gone nothing is read."""
    side = len(qr.matrix(LONGEST)) + 8
    path = re.findall(r' d="([^"]*)"', qr.svg(LONGEST))[0]
    scratched, ruined = _painted(path, side, side), _painted(path, side, side)
    for y in range(20, 24):
        scratched[y][18:30] = [LIGHT] * 12
    for y in range(16, side):
        ruined[y][14:] = [LIGHT] * (side - 14)
    assert _read(_enlarge(scratched)) == [LONGEST]
    assert _read(_enlarge(ruined)) == []


def test_the_svg_names_itself_only_when_told() -> None:
    """Without a title there is no title element."""
    assert "<title>" not in qr.svg("KGO")
    assert "<title>KGO</title>" in qr.svg("KGO", "KGO")
