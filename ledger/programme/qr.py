"""QR symbols, the only place that knows the encoder: SVG for screens and posters, PNG for everything else.

Error correction M and a quiet zone of four modules, as ISO/IEC 18004 asks for. An address of this installation
(a host of up to 28 characters and a code of 20) fits version 4, which a phone reads off an A4 poster from two
metres. A `Level.DENSE` symbol is for what is long and is read off a screen or a sheet that is whole: error
correction L, and up to `MAX_DENSE_CHARS` capitals and digits (alphanumeric mode) in version 40.
"""

from __future__ import annotations

import io
from enum import Enum
from functools import lru_cache
from html import escape
from itertools import groupby

import png as pypng
from qrcode.constants import ERROR_CORRECT_L, ERROR_CORRECT_M
from qrcode.main import QRCode

QUIET_ZONE = 4
"""Light modules around the symbol."""

MAX_DENSE_CHARS = 4296

Matrix = tuple[tuple[bool, ...], ...]


class Level(Enum):
    """How much of a symbol may be lost."""

    STURDY = ERROR_CORRECT_M
    DENSE = ERROR_CORRECT_L


@lru_cache(maxsize=256)
def matrix(text: str, level: Level = Level.STURDY) -> Matrix:
    """The modules of the smallest symbol for a text, dark as True, without the quiet zone."""
    code = QRCode(error_correction=level.value, border=0)
    code.add_data(text)
    code.make(fit=True)
    return tuple(tuple(bool(module) for module in row) for row in code.get_matrix())


def svg(text: str, title: str | None = None) -> str:
    """The symbol as an SVG element of its own: dark on white, sharp at any size.

    It is named by `title`; without one it is left out when the page is read aloud, for the words around it say more.
    """
    rows = matrix(text)
    side = len(rows) + 2 * QUIET_ZONE
    name = f"<title>{escape(title)}</title>" if title else ""
    spoken = 'role="img"' if title else 'aria-hidden="true"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" {spoken} '
        f'shape-rendering="crispEdges">{name}<rect width="{side}" height="{side}" fill="#fff"/>'
        f'<path fill="#000" d="{_path(rows)}"/></svg>'
    )


def png(text: str, scale: int = 8, level: Level = Level.STURDY) -> bytes:
    """The symbol as a one-bit PNG, `scale` pixels a module."""
    rows = matrix(text, level)
    margin = (False,) * QUIET_ZONE
    blank = (False,) * (len(rows) + 2 * QUIET_ZONE)
    framed = [blank] * QUIET_ZONE + [margin + row + margin for row in rows] + [blank] * QUIET_ZONE
    pixels = [[0 if module else 1 for module in row for _ in range(scale)] for row in framed for _ in range(scale)]
    file = io.BytesIO()
    pypng.Writer(len(pixels[0]), len(pixels), greyscale=True, bitdepth=1).write(file, pixels)
    return file.getvalue()


def _path(rows: Matrix) -> str:
    """One rectangle per run of dark modules in a row."""
    runs: list[str] = []
    for y, row in enumerate(rows):
        x = 0
        for dark, group in groupby(row):
            width = len(list(group))
            if dark:
                runs.append(f"M{x + QUIET_ZONE} {y + QUIET_ZONE}h{width}v1h-{width}z")
            x += width
    return "".join(runs)
