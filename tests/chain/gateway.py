"""Stands between a client and a real node, and does to JSON-RPC what networks and providers do.

A rule looks at each question and says what happens: `None` passes it on, `LOSE_QUESTION` breaks the connection before
the node hears of it, `LOSE_ANSWER` lets the node act and breaks the connection then, and anything else is answered in
the node's place.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from tests.anvil import PATIENCE_SECONDS

JSON = {"Content-Type": "application/json"}

LOSE_QUESTION, LOSE_ANSWER = "lose the question", "lose the answer"

Rule = Callable[[dict[str, Any]], Any]


class Gateway:
    """A gateway to a node.

    Attributes:
        url: where it answers, with a path that has to stay secret.
        rule: what it does to questions.
    """

    def __init__(self, target: str) -> None:
        gateway = self
        client = self._client = httpx.Client(
            timeout=PATIENCE_SECONDS
        )  # one for all: it takes longer to make than to ask

        class Handler(BaseHTTPRequestHandler):
            """Answers one question."""

            def do_POST(self) -> None:
                """Pass the question on, or what the rule says."""
                body = self.rfile.read(int(self.headers["Content-Length"]))
                says = gateway.rule(json.loads(body))
                if says == LOSE_QUESTION:
                    return
                if says is None or says == LOSE_ANSWER:
                    answer = client.post(target, content=body, headers=JSON).content
                else:
                    answer = says if isinstance(says, bytes) else json.dumps(says).encode()
                if says == LOSE_ANSWER:
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                """Keep quiet."""

        self.rule: Rule = lambda question: None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v3/secret-key-of-the-provider"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._client.close()


def error(question: dict[str, Any], number: int, message: str) -> dict[str, Any]:
    """An answer that refuses."""
    return {"jsonrpc": "2.0", "id": question["id"], "error": {"code": number, "message": message}}
