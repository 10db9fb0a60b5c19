"""What the verifier remembers from one run to the next, in a directory of the user's own.

    <origin's hash>/checkpoint   the last checkpoint seen of a log, which every later one must extend
    <origin's hash>/vkey         the key it was signed with: pinned by having been seen first
    <origin's hash>/walk.sqlite  how far the entries have been verified (`walks`)
    addresses.json               which log was seen at which URL

Whoever can write here can make the verifier forget, as they could change the verifier itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ledger.proof.checkpoint import CheckpointError, verify
from ledger.verifier.source import SMALL_FILE_BYTES


class MemoryFault(Exception):
    """A memory that is there and cannot be used; the message says what to look at."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The last checkpoint seen of a log, a signed note, and the key that signed it."""

    note: str
    vkey: str


def default_directory(environment: Mapping[str, str]) -> Path:
    """Return `kgo` in the user's directory for state."""
    state = environment.get("XDG_STATE_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".local/state")
    return Path(state) / "kgo"


class Memory:
    """A directory of what was seen; made when something is first remembered."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def _home(self, origin: str) -> Path:
        return self.directory / sha256(origin.encode()).hexdigest()[:32]

    def forgetting(self, origin: str) -> str:
        """Return what somebody does whose memory speaks of another log than the one that is here now."""
        return (
            "either this history was made anew, which is what the memory is there to find, or it is a new installation "
            "under the old name, such as a test set up afresh: compare with the key that the city publishes. "
            f"To forget the old log, remove {self._home(origin)}; to look once without it, add --no-state"
        )

    def walk_path(self, origin: str) -> Path:
        """Return where the walk over this log's entries is kept."""
        return self._home(origin) / "walk.sqlite"

    def recall(self, origin: str) -> Seen | None:
        """Return what was last seen of a log.

        Raises:
            MemoryFault: it was damaged, and so can neither be relied on nor passed over.
        """
        home = self._home(origin)
        note, vkey = _read(home / "checkpoint"), _read(home / "vkey")
        if note is None and vkey is None:
            return None
        try:
            found = verify(note or "", vkey or "").origin
        except CheckpointError as error:
            raise MemoryFault(f"what is remembered of {origin}, in {home}, is damaged: {error}") from error
        if found != origin:
            raise MemoryFault(f"what is remembered of {origin}, in {home}, is of another log")
        return Seen(note or "", vkey or "")

    def remember(self, origin: str, seen: Seen) -> None:
        """Put `seen` in the place of what was remembered of this log. Raises OSError."""
        home = self._home(origin)
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(home / "vkey", seen.vkey)
        _write(home / "checkpoint", seen.note)

    def log_at(self, url: str) -> str | None:
        """Return the origin of the log that was seen at this URL."""
        return self._addresses().get(url)

    def remember_address(self, url: str, origin: str) -> None:
        """Note which log was seen at this URL. Raises OSError."""
        known = self._addresses()
        if known.get(url) != origin:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(self.directory / "addresses.json", json.dumps(known | {url: origin}, indent=1, sort_keys=True))

    def _addresses(self) -> dict[str, str]:
        path = self.directory / "addresses.json"
        try:
            known = json.loads(_read(path) or "{}")
        except ValueError as error:
            raise MemoryFault(f"{path} is damaged: {error}") from error
        if not isinstance(known, dict) or not all(isinstance(origin, str) for origin in known.values()):
            raise MemoryFault(f"{path} is damaged: not an object of texts")
        return known


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(SMALL_FILE_BYTES).decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise MemoryFault(f"{path} cannot be read: {error}") from error


def _write(path: Path, text: str) -> None:
    """Put the file in place whole: a crash leaves the old one or the new one."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
