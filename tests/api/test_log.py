"""The public log over HTTP: bytes, status codes and headers, for programs of any origin."""

from __future__ import annotations

import gzip

import pytest

from ledger.book import seal
from ledger.log import tiles
from ledger.log.tiles import Resource
from ledger.proof.checkpoint import verify
from tests.api.client import Answer, Api
from tests.factories import CITY, grow

FOR_EVER = "public, max-age=31536000, immutable"


def _get(api: Api, path: str, **headers: str) -> Answer:
    return api.get(f"//log/{CITY}/{path}", **headers)


def test_the_tiles_of_the_checkpoint_s_size_are_there(api: Api) -> None:
    """Each with the bytes of the log, as octets, for ever and for pages of any origin."""
    grow(api.installation, (600,))
    size = verify(_get(api, "checkpoint").raw.decode(), api.installation.city_keys().vkey).size
    assert size == 600
    with api.installation.read() as session:
        for resource in tiles.resources(0, size):
            answer = _get(api, resource.path)
            assert answer.status == 200
            assert answer.raw == tiles.read(session, CITY, resource)
            assert answer.headers["Content-Type"] == "application/octet-stream"
            assert answer.headers["Cache-Control"] == FOR_EVER
            assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "path",
    ["tile/0/002", "tile/0/002.p/89", "tile/1/000", "tile/1/000.p/3", "tile/2/000.p/1", "tile/entries/002",
     "tile/entries/002.p/89", "tile/0/0", "tile/0/000.p/256", "tile/0/x000/000", "tile/0/000/", "tile/0", "tile/",
     "tile/64/000", "tile/0/../0/000", "elsewhere"],
)  # fmt: skip
def test_what_is_not_there_is_not_found(api: Api, path: str) -> None:
    """Not yet, or not by this spelling: 404, which nobody may keep, since it may be there in a second."""
    grow(api.installation, (600,))
    answer = _get(api, path)
    assert answer.status == 404
    assert answer.headers["Cache-Control"] == "no-store"


def test_another_city_s_log_is_not_found(api: Api) -> None:
    """Also its tiles; the refusal, too, may be read from any origin."""
    for path in ("checkpoint", "tile/0/000.p/1", "vkey"):
        answer = api.get(f"//log/nowhere/{path}")
        assert answer.status == 404
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_bundles_are_compressed_for_those_who_take_it(api: Api) -> None:
    """Gzip where it is accepted, plain bytes elsewhere, and caches are told that there are two."""
    grow(api.installation, (300,))
    path = Resource(None, 0).path
    plain = _get(api, path)
    packed = _get(api, path, Accept_Encoding="gzip, identity")
    refused = _get(api, path, Accept_Encoding="gzip;q=0, identity")
    assert "Content-Encoding" not in plain.headers
    assert "Content-Encoding" not in refused.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.raw) == plain.raw == refused.raw
    assert len(packed.raw) < len(plain.raw) / 2
    assert int(packed.headers["Content-Length"]) == len(packed.raw)
    assert {one.headers["Vary"] for one in (plain, packed, refused)} == {"Accept-Encoding"}
    hashes = _get(api, Resource(0, 0).path, Accept_Encoding="gzip")
    assert "Content-Encoding" not in hashes.headers  # nothing is won by packing hashes
    assert len(hashes.raw) == 8192


def test_the_checkpoint_is_asked_for_again_and_again(api: Api) -> None:
    """It may be kept for a second; while it is the same, a client that has it gets 304, and then the new one."""
    first = _get(api, "checkpoint")
    assert first.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert first.headers["Cache-Control"] == "public, max-age=1"
    tag = first.headers["ETag"]
    again = _get(api, "checkpoint", If_None_Match=tag)
    assert (again.status, again.raw) == (304, b"")
    api.installation.grant()
    later = _get(api, "checkpoint", If_None_Match=tag)
    assert later.status == 200
    with api.installation.read() as session:
        assert later.raw.decode() == seal.latest(session, CITY).note


def test_only_reading_is_possible(api: Api) -> None:
    """HEAD tells the length; nothing can be written."""
    grow(api.installation, (300,))
    head = api.call("HEAD", f"//log/{CITY}/tile/0/000")
    assert (head.status, head.raw, head.headers["Content-Length"]) == (200, b"", "8192")
    assert api.call("POST", f"//log/{CITY}/checkpoint").status == 405
    assert api.call("PUT", f"//log/{CITY}/tile/0/000").status == 405
