"""`/export`: a city's whole log as a zip, for `kgo verify`."""

from __future__ import annotations

from collections.abc import Iterator

from api.operations import CITY, Ask, Operations
from api.schemas.base import Flag, In
from api.services import services
from ledger.city import export as exports
from ledger.people.roles import require

routes = Operations("export", "The whole log, to be verified offline.")


class ExportQuery(In):
    """What to put into the export."""

    openings = Flag(
        load_default=False,
        metadata={"description": "Which account each handle stands for: personal, for appointed auditors."},
    )


@routes.read(
    f"{CITY}/export",
    permission="log.read",
    query=ExportQuery(),
    media="application/zip",
    filename="log.zip",
    problems=("unauthenticated", "forbidden"),
    summary="Download the log",
    description="A zip of `entries.ndjson`, `checkpoint`, `vkey` and, for an appointed auditor, `openings.ndjson`.",
)
def export(ask: Ask) -> Iterator[bytes]:
    """The export, streamed."""
    openings = ask.query["openings"]
    if openings:
        require(ask.caller, "openings.read")
    installation = services().installation
    return exports.stream_zip(installation.database, installation.keys, ask.city.id, openings=openings)
