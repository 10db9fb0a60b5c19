"""A real node of the tests' own: anvil, out of the npm package that `scripts/contracts tools` fetches.

Blocks are mined at once for each transaction, unless a test stops that. `finalized` is eight blocks behind, with four
slots in an epoch; chains are taken back with `reorganize`. The node ends with the process that started it.
"""

from __future__ import annotations

import contextlib
import platform
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.parent import end_with_parent
from tests.servers import ROOT, free_port

START_SECONDS = 30
"""How long a start may take on a busy machine; 0.1 s is usual."""

REST_SECONDS = 1
PATIENCE_SECONDS = 3600
"""How long an answer may take: a machine may be so busy that node and tests both stand still for long."""

SLOTS_IN_AN_EPOCH = 4

KEYS = 10
_KEY = r"\(\d+\) 0x([0-9a-f]{64})"


class Anvil:
    """A running node.

    Attributes:
        url: where it answers.
        chain_id: of its chain.
        keys: private keys of accounts that have money.
    """

    def __init__(
        self, *arguments: str, chain_id: int = 31_337, port: int | None = None, slots: int = SLOTS_IN_AN_EPOCH
    ) -> None:
        port = port or free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.chain_id = chain_id
        # One for all questions: a client takes 20 ms to make and a question 1 ms.
        self._client = httpx.Client(timeout=PATIENCE_SECONDS)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        self.process = subprocess.Popen(
            [binary(), "--port", str(port), "--chain-id", str(chain_id), "--slots-in-an-epoch", str(slots),
             "--no-request-size-limit", *arguments],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            preexec_fn=partial(end_with_parent, signal.SIGKILL),
        )  # fmt: skip
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        self.keys = [bytes.fromhex(key) for key in re.findall(_KEY, self._output())]

    def rpc(self, method: str, *parameters: Any) -> Any:
        """Ask one question of JSON-RPC; AssertionError for an error."""
        question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        answer = self._client.post(self.url, json=question).json()
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def mine(self, blocks: int = 1) -> None:
        """Mine some blocks, on top of those that the node mines by itself."""
        self.rest()
        self.rpc("anvil_mine", hex(blocks))

    def finalize(self) -> None:
        """Mine until everything so far is finalized."""
        self.mine(2 * SLOTS_IN_AN_EPOCH + 1)

    def sleep(self, seconds: int) -> None:
        """Let the chain's time pass, and mine a block after it."""
        self.rpc("evm_increaseTime", hex(seconds))
        self.mine()

    def mined(self, transaction: str) -> dict[str, Any]:
        """Wait until a transaction is mined; its receipt as the node gives it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if (found := self.rpc("eth_getTransactionReceipt", transaction)) is not None:
                receipt: dict[str, Any] = found
                return receipt
            time.sleep(0.005)
        raise AssertionError(f"{transaction} was not mined:\n{self._output()}")

    @contextlib.contextmanager
    def mining_stopped(self) -> Iterator[None]:
        """Keep transactions waiting; they are mined at once again afterwards."""
        self.rpc("evm_setAutomine", False)
        try:
            yield
        finally:
            self.rpc("evm_setAutomine", True)

    def reorganize(self, depth: int) -> None:
        """Take the newest blocks back and mine as many empty ones in their place: their transactions are gone."""
        self.rest()
        self.rpc("anvil_reorg", depth, [])

    def rest(self) -> None:
        """Wait until a node that mines at once has done so: a moment after it took a transaction.

        What it will not mine, since too little is offered for it, is waited for in vain.
        """
        deadline = time.monotonic() + REST_SECONDS
        while time.monotonic() < deadline and self.rpc("anvil_getAutomine"):
            if int(self.rpc("txpool_status")["pending"], 16) == 0:
                return
            time.sleep(0.005)

    def stop(self, sent: signal.Signals = signal.SIGTERM) -> None:
        """End the node; SIGKILL as in a power cut."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(sent)
        self.process.wait(START_SECONDS)
        self._client.close()
        self._log.close()

    def _output(self) -> str:
        self._log.seek(0)
        return self._log.read().decode()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                # It may answer before it has printed its keys.
                if int(self.rpc("eth_chainId"), 16) == self.chain_id and len(re.findall(_KEY, self._output())) == KEYS:
                    return
            time.sleep(0.02)
        raise AssertionError(f"anvil did not start:\n{self._output()}")


def binary() -> Path:
    """The program, as npm installed it for this machine."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    found = ROOT / "contracts" / "node_modules" / "@foundry-rs" / f"anvil-linux-{machine}" / "bin" / "anvil"
    assert found.is_file(), f"there is no anvil at {found}: run scripts/contracts tools"
    return found
