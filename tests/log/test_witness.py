"""The witness role: every answer that C2SP tlog-witness lays down, and no way back, whoever races or restores what."""

from __future__ import annotations

import base64
import multiprocessing
import shutil
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from ledger.book import seal, tree
from ledger.book.cities import KeyRing
from ledger.db import Database
from ledger.log.submission import request_body
from ledger.log.witness import MAX_PROOF_LINES, PLAIN, SIZE, Reply, Witness, WitnessExists
from ledger.proof.checkpoint import CheckpointError, VerifierKey
from ledger.proof.cosignature import cosigned_at, parse_vkey
from ledger.signing import sign_note
from tests.counts import scale
from tests.factories import CITY, START, Clock, Installation, grow
from tests.log.outsiders import Outsider

NAME = "witness.example/w1"
LOG = Outsider()


def _witness(database: Database, directory: Path, clock: Clock | None = None) -> Witness:
    """The witness of a data directory, as a process has it that was just started."""
    return Witness(database, KeyRing(directory / "keys"), directory / "witness", clock or Clock())


@pytest.fixture
def witness(database: Database, tmp_path: Path) -> Witness:
    """A witness that knows one outsider's log."""
    made = _witness(database, tmp_path)
    made.create(NAME)
    (tmp_path / "witness" / "logs").write_text(f"# whom we witness\n\n {LOG.vkey} \n{Outsider('other.example').vkey}\n")
    return made


def _vkey(witness: Witness) -> str:
    assert witness.key is not None
    return witness.key.vkey


def _cosigned(witness: Witness, note: str, reply: Reply) -> int:
    """When a reply cosigned a note; fails unless it is one line that does so."""
    assert (reply.status, reply.content_type) == (200, PLAIN), reply
    assert reply.body.startswith(f"— {NAME} ")
    assert reply.body.count("\n") == 1
    at = cosigned_at(note + reply.body, parse_vkey(_vkey(witness)))
    assert at is not None
    return at


def test_a_log_that_grows_is_cosigned(witness: Witness) -> None:
    """From nothing, from size to size, and the same size again; each cosignature bears the time it was made."""
    for old, new in ((0, 0), (0, 1), (1, 7), (7, 7), (7, 300)):
        assert _cosigned(witness, LOG.note(new), witness.add_checkpoint(LOG.request(old, new))) == START.timestamp()


@pytest.mark.parametrize("old", [0, 1, 6, 8])
def test_another_old_size_is_answered_by_the_right_one(witness: Witness, old: int) -> None:
    """409, the size on a line, under the content type that clients look for; nothing changes."""
    witness.add_checkpoint(LOG.request(0, 7))
    for _ in range(2):
        assert witness.add_checkpoint(LOG.request(old, 9)) == Reply(409, SIZE, "7\n")
    _cosigned(witness, LOG.note(9), witness.add_checkpoint(LOG.request(7, 9)))


def test_a_rollback_is_refused(witness: Witness) -> None:
    """An older checkpoint, rightly signed, is none to cosign: not from its own size, nor from any other."""
    witness.add_checkpoint(LOG.request(0, 7))
    assert witness.add_checkpoint(LOG.request(5, 5)) == Reply(409, SIZE, "7\n")
    assert witness.add_checkpoint(LOG.request(0, 5)) == Reply(409, SIZE, "7\n")
    assert witness.add_checkpoint(request_body(7, [], LOG.note(5))).status == 400


def test_a_fork_of_the_same_size_is_refused(witness: Witness) -> None:
    """Two roots at one size: 409, whatever proof comes with the second."""
    fork = Outsider(word="other")
    witness.add_checkpoint(LOG.request(0, 7))
    for proof in ([], fork.proof(5, 7)):
        assert witness.add_checkpoint(request_body(7, proof, fork.note(7))) == Reply(409, SIZE, "7\n")
    _cosigned(witness, LOG.note(8), witness.add_checkpoint(LOG.request(7, 8)))


def test_a_fork_that_grew_is_refused(witness: Witness) -> None:
    """Its proof is right, for another history: 422."""
    fork = Outsider(word="other")
    witness.add_checkpoint(LOG.request(0, 7))
    assert witness.add_checkpoint(fork.request(7, 9)).status == 422
    _cosigned(witness, LOG.note(8), witness.add_checkpoint(LOG.request(7, 8)))


@pytest.mark.parametrize(
    "proof",
    [
        [], LOG.proof(5, 9)[:-1], [*LOG.proof(5, 9), bytes(32)], LOG.proof(5, 8), LOG.proof(4, 9),
        [bytes(32), *LOG.proof(5, 9)[1:]], LOG.proof(5, 9)[::-1],
    ],
)  # fmt: skip
def test_a_proof_that_does_not_prove_is_refused(witness: Witness, proof: list[bytes]) -> None:
    """Missing, short, long, of other sizes, altered, in another order: 422."""
    witness.add_checkpoint(LOG.request(0, 5))
    assert witness.add_checkpoint(request_body(5, proof, LOG.note(9))).status == 422


def test_a_proof_where_none_belongs_is_refused(witness: Witness) -> None:
    """From nothing, and from a size to itself, the proof is empty: 422 for any other."""
    assert witness.add_checkpoint(request_body(0, [bytes(32)], LOG.note(5))).status == 422
    witness.add_checkpoint(LOG.request(0, 5))
    assert witness.add_checkpoint(request_body(5, [bytes(32)], LOG.note(5))).status == 422


def test_a_log_that_nobody_knows_is_refused(witness: Witness) -> None:
    """404, also where a known log's key or a longer name is near; and everything where there is no witness key."""
    for origin in ("unknown.example/log", "outsider.example", "outsider.example/log2"):
        stranger = Outsider(origin)
        assert witness.add_checkpoint(stranger.request(0, 3)).status == 404


def test_an_installation_without_a_key_is_no_witness(database: Database, tmp_path: Path) -> None:
    """It knows no log."""
    assert _witness(database, tmp_path).add_checkpoint(LOG.request(0, 1)).status == 404


def test_another_key_s_signature_is_refused(witness: Witness) -> None:
    """403: signed by nobody the witness trusts for this origin; a trusted signature among others is enough."""
    stranger = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
    forged = LOG.note(3, key=stranger)
    assert witness.add_checkpoint(request_body(0, [], forged)).status == 403
    spoilt = bytearray(base64.b64decode(LOG.note(3).split(" ")[-1]))
    spoilt[-1] ^= 1
    altered = LOG.note(3).rpartition(" ")[0] + f" {base64.b64encode(spoilt).decode()}\n"
    assert witness.add_checkpoint(request_body(0, [], altered)).status == 403
    both = LOG.note(3) + forged.rpartition("\n\n")[2]
    _cosigned(witness, both, witness.add_checkpoint(request_body(0, [], both)))


def test_a_log_may_have_several_keys(witness: Witness, tmp_path: Path) -> None:
    """A checkpoint signed by any of them is the log's."""
    second = Outsider(key=Ed25519PrivateKey.from_private_bytes(bytes([2]) * 32))
    with (tmp_path / "witness" / "logs").open("a") as logs:
        logs.write(second.vkey + "\n")
    _cosigned(witness, LOG.note(3), witness.add_checkpoint(LOG.request(0, 3)))
    _cosigned(witness, second.note(5), witness.add_checkpoint(second.request(3, 5)))


def test_what_only_the_log_understands_is_cosigned_with_the_rest(witness: Witness) -> None:
    """Extension lines are part of the signed text, and so of the cosigned one."""
    note = LOG.note(3, more="time 1700000000\nmore\n")
    reply = witness.add_checkpoint(request_body(0, [], note))
    _cosigned(witness, note, reply)
    with pytest.raises(CheckpointError):
        cosigned_at(LOG.note(3) + reply.body, parse_vkey(_vkey(witness)))


GOOD = LOG.request(0, 3).decode()


@pytest.mark.parametrize(
    "body",
    [
        "", "old 0\n", "old 0\n\n", GOOD[:-1], GOOD.replace("old 0", "old 00"), GOOD.replace("old 0", "old -1"),
        GOOD.replace("old 0", "old"), GOOD.replace("old 0", "Old 0"), GOOD.replace("old 0", " old 0"),
        GOOD.replace("old 0\n", ""), GOOD.replace("old 0\n\n", "old 0\n"), GOOD.replace("old 0", "old 0 "),
        GOOD.replace("\n3\n", "\n03\n"), GOOD.replace("\n3\n", "\n-3\n"), GOOD.replace("old 0\n", "old 0\nAAAA\n"),
        GOOD.replace("old 0\n", "old 0\n!\n"), GOOD.replace("old 0\n", "old 0\n" + "A" * 42 + "B=\n"),
        GOOD.replace("\n", "\r\n"), GOOD.replace("—", "-"), GOOD.replace("old 0\n", "old 4\n"),
        GOOD.replace("old 0\n", "old 0\n" + ("A" * 43 + "=\n") * (MAX_PROOF_LINES + 1)),
    ],
)  # fmt: skip
def test_a_body_of_another_form_is_refused(witness: Witness, body: str) -> None:
    """400, and 403 or 404 where only the signature or the origin is wrong by it; never a fault."""
    status = witness.add_checkpoint(body.encode()).status
    assert status in ((400, 403) if "\n03\n" in body or "\n-3\n" in body else (400,)), body


def test_a_rightly_signed_text_that_is_no_checkpoint_is_refused(witness: Witness) -> None:
    """400: an empty line in the text, a size beyond every log, a root of another length."""
    body = f"{LOG.origin}\n3\n{base64.b64encode(LOG.root(3)).decode()}\n"
    for text in (
        body + "\nmore\n", body.replace("\n3\n", f"\n{2**63}\n"), body.replace("\n3\n", "\n03\n"),
        f"{LOG.origin}\n3\n", f"{LOG.origin}\n3\nAAAA\n", f"{LOG.origin}\n3\n!\n",
    ):  # fmt: skip
        assert witness.add_checkpoint(request_body(0, [], sign_note(text, LOG.origin, LOG.key))).status == 400, text
    assert witness.add_checkpoint(b"old 0\n\n\xff\xfe").status == 400


def test_cities_are_witnessed_without_being_listed(installation: Installation, tmp_path: Path) -> None:
    """Each under its own origin and key, from proofs out of the stored tree."""
    grow(installation, (300, 700))
    made = _witness(installation.database, tmp_path)
    made.create(NAME)
    with installation.read() as session:
        notes = {size: session.get_one(seal.SignedCheckpoint, (CITY, size)).note for size in (300, 700)}
        proof = tree.consistency(session, CITY, 300, 700)
    _cosigned(made, notes[300], made.add_checkpoint(request_body(0, [], notes[300])))
    _cosigned(made, notes[700], made.add_checkpoint(request_body(300, proof, notes[700])))


def test_what_was_seen_outlives_the_process(witness: Witness, database_url: str, tmp_path: Path) -> None:
    """A witness that was started again goes on from where it was, and refuses what it refused."""
    witness.add_checkpoint(LOG.request(0, 7))
    database = Database(database_url)
    again = _witness(database, tmp_path)
    assert again.add_checkpoint(LOG.request(0, 5)) == Reply(409, SIZE, "7\n")
    _cosigned(again, LOG.note(9), again.add_checkpoint(LOG.request(7, 9)))
    database.close()


def test_a_restored_database_does_not_lead_it_back(sqlite_url: str, tmp_path: Path) -> None:
    """The copy is older than the last cosignature; the witness knows by the note beside it, and refuses the fork."""
    file = Path(make_url(sqlite_url).database or "")
    database = Database(sqlite_url)
    made = _witness(database, tmp_path)
    made.create(NAME)
    (tmp_path / "witness" / "logs").write_text(LOG.vkey)
    made.add_checkpoint(LOG.request(0, 5))
    database.close()
    shutil.copytree(file.parent, tmp_path / "backup")
    _witness(database, tmp_path).add_checkpoint(LOG.request(5, 9))
    database.close()
    shutil.rmtree(file.parent)
    shutil.copytree(tmp_path / "backup", file.parent)
    restored = _witness(Database(sqlite_url), tmp_path)
    fork = Outsider(word="other")
    assert restored.add_checkpoint(LOG.request(5, 7)) == Reply(409, SIZE, "9\n")
    assert restored.add_checkpoint(fork.request(9, 12)).status == 422
    _cosigned(restored, LOG.note(12), restored.add_checkpoint(LOG.request(9, 12)))


@pytest.mark.parametrize(
    "change",
    ["UPDATE witnessed SET size = size - 1", "UPDATE witnessed SET root = note", "DELETE FROM witnessed",
     "UPDATE witnessed SET origin = 'x'"],
)  # fmt: skip
def test_the_database_itself_refuses_the_way_back(witness: Witness, database: Database, change: str) -> None:
    """Also where somebody goes past the program."""
    witness.add_checkpoint(LOG.request(0, 7))
    change = change.replace("root = note", "root = 'x'")
    with database.writing.connect() as connection, pytest.raises(DBAPIError, match="only"):
        connection.exec_driver_sql(change)


def _race(
    url: str, directory: Path, sizes: list[int], word: str, start: Barrier, results: Queue[list[Reply]]
) -> None:  # fmt: skip
    """Push sizes of the log whose leaves bear a word, as fast as the witness lets; what it answered."""
    database = Database(url)
    witness, pusher = _witness(database, directory), Outsider(word=word)
    answers: list[Reply] = []
    known = 0
    start.wait(60)
    for size in sizes:
        for _ in range(50):
            if known > size:
                break
            reply = witness.add_checkpoint(pusher.request(known, size))
            answers.append(reply)
            if reply.status == 409 and int(reply.body) != known:
                known = int(reply.body)
                continue
            if reply.status == 200:
                known = size
            break
    database.close()
    results.put(answers)


@pytest.mark.parametrize("forked", [False, True])
def test_processes_that_race_leave_one_history(
    witness: Witness, database_url: str, tmp_path: Path, *, forked: bool
) -> None:
    """Two processes push one log, or the second a fork of it: whatever the order, one line of growth is cosigned."""
    context = multiprocessing.get_context("spawn")
    results: Queue[list[Reply]] = context.Queue()
    start = context.Barrier(2)
    words = [LOG.word, "other" if forked else LOG.word]
    last = scale(25, 200)
    pushers = [
        context.Process(target=_race, args=(database_url, tmp_path, [*range(first, last, 2)], word, start, results))
        for first, word in enumerate(words, 1)
    ]
    for pusher in pushers:
        pusher.start()
    answers = [reply for _ in pushers for reply in results.get(timeout=60)]
    for pusher in pushers:
        pusher.join()
    assert {reply.status for reply in answers} <= {200, 409, 422}
    key = parse_vkey(_vkey(witness))
    histories = {}
    for log in (LOG, Outsider(word="other")):
        lines = [reply.body for reply in answers if reply.status == 200]
        histories[log.word] = {
            size for size in range(1, last) for line in lines if _verifies(log.note(size) + line, key)
        }
    assert histories["leaf"] or histories["other"]
    if not forked:
        assert histories["other"] == set()
        assert max(histories["leaf"]) == last - 1
    else:
        assert not (histories["leaf"] and histories["other"])


def _verifies(note: str, key: VerifierKey) -> bool:
    try:
        return cosigned_at(note, key) is not None
    except CheckpointError:
        return False


def test_one_key_is_made_once(witness: Witness, tmp_path: Path) -> None:
    """A second would be another witness; the file is for the operator alone."""
    with pytest.raises(WitnessExists):
        witness.create("witness.example/w2")
    assert (tmp_path / "witness" / "key").stat().st_mode & 0o777 == 0o600
    assert _vkey(witness).startswith(f"{NAME}+")


@pytest.mark.parametrize("name", ["", "two words", "a+b", "a\nb"])
def test_a_name_that_no_signature_can_bear_is_refused(database: Database, tmp_path: Path, name: str) -> None:
    """And no key is made."""
    made = _witness(database, tmp_path)
    with pytest.raises(CheckpointError):
        made.create(name)
    assert made.key is None
