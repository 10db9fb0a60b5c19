"""The wire to a witness: what is sent, and that no answer, however bad, takes long or much."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from ledger.log.submission import MAX_REPLY_BYTES, HttpWitness, Unreachable, request_body
from ledger.log.witness import Reply

Serve = Callable[[socket.socket], None]


@contextmanager
def _server(*serve: Serve) -> Iterator[str]:
    """A listener that treats each connection by one of some functions, in turn; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            for one in serve:
                connection, _ = listener.accept()
                with closing(connection):
                    one(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/prefix/"
        thread.join(10)
        assert not thread.is_alive()


def _read(connection: socket.socket) -> bytes:
    """One request with the body `body`."""
    got = b""
    while not got.endswith(b"\r\n\r\nbody"):
        part = connection.recv(65536)
        if not part:
            break
        got += part
    return got


def _answer(head: str, body: bytes = b"", times: int = 1) -> Serve:
    def serve(connection: socket.socket) -> None:
        for _ in range(times):
            _read(connection)
            connection.sendall(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return serve


def test_a_request_s_body_is_laid_out_as_specified() -> None:
    """The old size, a line for each hash, an empty line, and the checkpoint as it is."""
    assert request_body(7, [bytes(32), b"\xff" * 32], "note\n") == (
        b"old 7\n" + b"A" * 43 + b"=\n" + b"/" * 42 + b"8=\n\nnote\n"
    )
    assert request_body(0, [], "note\n") == b"old 0\n\nnote\n"


def test_it_posts_to_the_prefix_and_keeps_the_connection() -> None:
    """The path ends in add-checkpoint; two requests go over one connection; the answer comes back as it is."""
    requests: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        for number in range(2):
            requests.append(_read(connection))
            body = f"{number}\n".encode()
            head = f"HTTP/1.1 409 Conflict\r\nContent-Type: text/x.tlog.size\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)

    with _server(serve) as url, closing(HttpWitness(url)) as witness:
        assert [witness(b"body"), witness(b"body")] == [Reply(409, "text/x.tlog.size", f"{n}\n") for n in range(2)]
    assert all(request.startswith(b"POST /prefix/add-checkpoint HTTP/1.1\r\n") for request in requests)


def test_a_connection_that_was_closed_meanwhile_is_opened_anew() -> None:
    """The witness hung up between two requests; the second one goes through."""
    with _server(_answer("200 OK", b"a"), _answer("200 OK", b"b")) as url, closing(HttpWitness(url)) as witness:
        assert witness(b"body").body == "a"
        assert witness(b"body").body == "b"


def test_redirections_are_not_followed() -> None:
    """A witness is where the policy says."""
    with (
        _server(_answer("302 Found\r\nLocation: http://127.0.0.1:1/")) as url,
        closing(HttpWitness(url)) as witness,
    ):
        assert witness(b"body").status == 302


def _silent(connection: socket.socket) -> None:
    _read(connection)
    connection.recv(1)


def _dripping(connection: socket.socket) -> None:
    _read(connection)
    try:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.05)
    except OSError:
        return


def _endless(connection: socket.socket) -> None:
    _read(connection)
    try:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(1_000):
            connection.sendall(b"x" * MAX_REPLY_BYTES)
    except OSError:
        return


@pytest.mark.parametrize("serve", [_silent, _dripping, _endless])
def test_no_answer_takes_long(serve: Serve) -> None:
    """Silence, a drop at a time, or a flood: it is given up within three time limits."""
    began = time.monotonic()
    with (
        _server(serve) as url,
        closing(HttpWitness(url, timeout=0.3)) as witness,
        pytest.raises(Unreachable, match="timeout"),
    ):
        witness(b"body")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "serve",
    [lambda connection: None, lambda connection: connection.sendall(b"SSH-2.0-OpenSSH\r\n"),
     _answer("200 OK", b"\xff\xfe")],
    ids=["hangs up", "another protocol", "no text"],
)  # fmt: skip
def test_what_is_no_http_is_no_answer(serve: Serve) -> None:
    """Hanging up, another protocol, bytes that are no text."""
    with _server(serve) as url, closing(HttpWitness(url, timeout=2)) as witness, pytest.raises(Unreachable):
        witness(b"body")


def test_nobody_there_is_no_answer() -> None:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with closing(HttpWitness(f"http://127.0.0.1:{port}")) as witness, pytest.raises(Unreachable):
        witness(b"body")


@pytest.mark.parametrize("url", ["", "w.example", "ftp://w.example", "http://", "https://w.example/?a", "http://w:x/"])
def test_what_is_no_prefix_is_refused(url: str) -> None:
    """Http or https, a host, and no query."""
    with pytest.raises(ValueError, match=r"prefix|port|[Pp]ort"):
        HttpWitness(url)
