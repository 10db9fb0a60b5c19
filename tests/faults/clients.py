"""A client as an integrator would write it: every command bears an idempotency key and is asked until it is answered.

No answer, 503 `overloaded` and 503 `outcome_unknown` are asked again, with the same key, of any server. Every other
answer is final. Two things take more thought:

* A refusal that follows an attempt without an answer may be overtaken by that attempt, for refusals are not stored:
  such a command is `unsure`, and is asked once more when no attempt can be under way any more.
* An answer of 500, or a 503 of another code, is a fault of the server: it is noted, and asked again too.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.factories import CITY

HASTY_SECONDS, PATIENT_SECONDS = 6.0, 60.0
"""How long an attempt waits for its answer: longer than most stalls of the network and shorter than some; or as long
as it takes, where nothing is broken."""

LONGEST_PAUSE_SECONDS = 0.3
"""A client that keeps to `Retry-After` to the second would spend a short run waiting."""

ASK_AGAIN = ("overloaded", "outcome_unknown")
TROUBLE = (OSError, http.client.HTTPException)


class GaveUp(Exception):
    """Nobody answered in time, although everything was healed."""


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> dict[str, Any]:
        """The body, where it is an object."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def code(self) -> str:
        """The problem's code; empty where the answer is no problem."""
        if "problem+json" not in self.headers.get("content-type", ""):
            return ""
        return str(self.json["code"])


@dataclass
class Command:
    """A command, and what became of it.

    Attributes:
        act: what it was for, in the words of `acts`.
        facts: what the reconciliation has to know besides body and answer.
        attempts: how often it was sent.
        repeats: how often it was sent again although it had been acknowledged.
        unsure: it was refused, but an attempt without an answer may have been carried out since.
    """

    act: str
    path: str
    body: dict[str, Any]
    token: str
    key: str
    facts: dict[str, Any] = field(default_factory=dict)
    attempts: int = 0
    repeats: int = 0
    unsure: bool = False
    answer: Answer | None = None

    @property
    def done(self) -> bool:
        """Whether it was acknowledged."""
        return self.answer is not None and self.answer.status < 400


@dataclass
class Record:
    """What all clients of a round saw. Appending to a list is safe from any thread.

    Attributes:
        commands: everything that was asked.
        faults: answers that no server may give.
        notes: the signed checkpoints that were shown.
        reserved: whose each hold is, by the seq of its entry; carried from round to round.
    """

    commands: list[Command] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: set[str] = field(default_factory=set)
    reserved: dict[int, str] = field(default_factory=dict)


class Client:
    """One client with connections of its own; used by one thread.

    Args:
        name: makes its keys its own.
        urls: where the servers answer.
        chance: what it draws from.
        record: where it writes down what it sees.
        give_up: set when a command that is still unanswered is to be given up.
        attempt_seconds: how long it waits for an answer before it asks another server.
    """

    def __init__(
        self,
        name: str,
        urls: list[str],
        chance: random.Random,
        record: Record,
        give_up: threading.Event,
        attempt_seconds: float,
    ) -> None:
        self._name, self._hosts, self.chance, self.record = name, [urlsplit(url).netloc for url in urls], chance, record
        self._give_up, self._attempt_seconds = give_up, attempt_seconds
        self._lines: dict[str, http.client.HTTPConnection] = {}
        self._numbers = 0
        self.last: Command | None = None

    def ask(self, act: str, path: str, body: dict[str, Any], token: str = "", **facts: Any) -> Command:
        """Send a command until it is answered; what became of it.

        Raises:
            GaveUp: it was not.
        """
        self._numbers += 1
        command = Command(act, path, body, token, f"{self._name}-{self._numbers:010d}", facts)
        self.last = command
        self.record.commands.append(command)
        self.settle(command)
        return command

    def settle(self, command: Command) -> None:
        """Send a command, for the first time or again, until it is answered."""
        overtaken = False
        while True:
            answer = self._attempt(command)
            if answer is not None and answer.code not in ASK_AGAIN and answer.status < 500:
                break
            overtaken = overtaken or answer is None or answer.code != "overloaded"
            self._pause(answer)
        command.answer, command.unsure = answer, overtaken and answer.status >= 400

    def repeat(self, command: Command) -> None:
        """Send an acknowledged command again: it must be answered the same, marked as a replay."""
        first = command.answer
        command.repeats += 1
        self.settle(command)
        again = command.answer
        if first and again and (again.status, again.body) != (first.status, first.body):
            self.record.faults.append(f"{command.key} was answered {first} and then {again}")
        if again and again.headers.get("idempotent-replay") != "true":
            self.record.faults.append(f"{command.key} was carried out twice: {first}, {again}")

    def checkpoint(self) -> str:
        """The newest checkpoint, as some server shows it."""
        while True:
            answer = self._get(f"/log/{CITY}/checkpoint")
            if answer is not None and answer.status == 200:
                note = answer.body.decode()
                self.record.notes.add(note)
                return note
            self._pause(answer)

    def get(self, path: str, token: str) -> dict[str, Any]:
        """Something of the city, by the JSON API."""
        while True:
            answer = self._get(f"/v1/cities/{CITY}/{path}", token)
            if answer is not None and answer.status == 200:
                return answer.json
            self._pause(answer)

    def close(self) -> None:
        """Close every connection."""
        for line in self._lines.values():
            line.close()

    def _attempt(self, command: Command) -> Answer | None:
        command.attempts += 1
        headers = {"Content-Type": "application/json", "Idempotency-Key": command.key}
        if command.token:
            headers["Authorization"] = f"Bearer {command.token}"
        return self._send("POST", f"/v1/cities/{CITY}/{command.path}", json.dumps(command.body), headers)

    def _get(self, path: str, token: str = "") -> Answer | None:
        return self._send("GET", path, None, {"Authorization": f"Bearer {token}"} if token else {})

    def _send(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer | None:
        """One attempt at a server that chance chooses; None where no answer came."""
        host = self.chance.choice(self._hosts)
        line = self._lines.setdefault(host, http.client.HTTPConnection(host, timeout=self._attempt_seconds))
        try:
            line.request(method, path, body, headers)
            got = line.getresponse()
            content = got.read()
        except TROUBLE:
            line.close()
            return None
        answer = Answer(got.status, content, {name.lower(): value for name, value in got.getheaders()})
        self._judge(f"{method} {path}", answer)
        return answer

    def _judge(self, what: str, answer: Answer) -> None:
        if answer.status < 500:
            return
        if answer.status != 503 or answer.code not in ASK_AGAIN:
            self.record.faults.append(f"{what} was answered {answer.status} {answer.code or answer.body[:300]!r}")
        elif answer.code == "overloaded" and not answer.headers.get("retry-after", "").isdecimal():
            self.record.faults.append(f"{what}: overloaded, but not when to come again: {answer.headers}")

    def _pause(self, answer: Answer | None) -> None:
        if self._give_up.is_set():
            raise GaveUp(f"the last answer was {answer}")
        seconds = float(answer.headers.get("retry-after", "0.1")) if answer else 0.1
        time.sleep(self.chance.uniform(0.5, 1) * min(seconds, LONGEST_PAUSE_SECONDS))
