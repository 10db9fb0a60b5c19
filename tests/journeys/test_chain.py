"""The main job with the chain off, with it on, and with its node down: to the people it is one and the same."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from ledger.cli import main
from tests.anvil import Anvil
from tests.journeys.day import live
from tests.servers import Deployment, Server

Entry = tuple[str, str, list[int]]


def test_the_main_job_is_the_same_with_the_chain_off_on_and_its_node_down(
    sqlite_deployment: Deployment, tmp_path: Path
) -> None:
    """Off; on, and anchored; the node gone under a running server; gone when a server starts: the same entries."""
    town = sqlite_deployment
    town.variables["KGO_CHAIN_PASSWORD"] = "open"
    town.import_city()
    tokens = town.token("steward", "--role", "treasurer"), town.token("shop", "--shop", "sample-som-tam")
    exports = iter(range(9))

    def day(server: Server) -> list[Entry]:
        """What one day puts into the log, of which everything verifies."""
        first = int(httpx.get(f"{server.url}/log/khon-kaen/newest-checkpoint").text.splitlines()[1])
        live(server, *tokens)
        place = tmp_path / f"export-{next(exports)}"
        town.here("export", "--city", "khon-kaen", "--out", place)
        assert main(["verify", str(place)]) == 0
        lines = [json.loads(line) for line in (place / "entries.ndjson").read_text("utf-8").splitlines()]
        return [
            (one["kind"], one["actor"], [posting["amount"] for posting in one["postings"]]) for one in lines[first:]
        ]

    server = town.serve()
    off = day(server)
    server.stop()
    node = Anvil("--block-time", "0.3", slots=1)
    try:
        settings = ("--local", "--delay", "60", "--minimum-delay", "60", "--anchor-entries", "1")
        said = town.here("chain deploy", "--city", "khon-kaen", "--rpc", node.url, *settings)
        server = town.serve()
        on = day(server)
        town.here("chain anchor", "--city", "khon-kaen", "--wait", "60")
        token = next(word.strip(",") for word in said.split() if word.startswith("0x"))
        address = f"{server.url}/log/khon-kaen"
        assert main(["verify", address, "--rpc", node.url, "--contract", token]) == 0
    finally:
        node.stop()
    gone = day(server)
    server.stop()
    started_without = day(town.serve())
    assert off == on == gone == started_without
    assert [kind for kind, _, _ in off] == ["policy", "fund", "reward", "hold", "capture"]
    assert town.here("audit", "--city", "khon-kaen").endswith("OK: all of it holds")
