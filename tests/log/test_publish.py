"""Mirrors: complete at every instant, incremental, resumable wherever they were cut off, and never led astray."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader

from ledger.book import seal, tree
from ledger.log import tiles
from ledger.log.publish import ATTEMPTS, CHECKPOINT, VKEY, MirrorConflict, Mirrored, publish
from ledger.log.targets import DRAFT, LOCK, Bucket, Directory, MirrorBusy, MirrorUnreachable, Target, open_target
from ledger.proof.checkpoint import verify
from ledger.proof.tiles import TILE_WIDTH
from tests.counts import scale
from tests.factories import CITY, Installation, add_city, grow, install, leaf_data

ROOT = Path(__file__).parents[2]
OWN = {CHECKPOINT, VKEY, LOCK, DRAFT, ATTEMPTS}
SIZES = (0, 1, 5, 255, 256, 300, 513, 900)


def _publish(installation: Installation, target: Target, size: int | None = None) -> Mirrored:
    """Publish the newest checkpoint, or that of a size."""
    with installation.read() as session:
        found = seal.latest(session, CITY) if size is None else session.get_one(seal.SignedCheckpoint, (CITY, size))
    return publish(installation.database, installation.keys, CITY, target, found.note)


def _files(root: Path) -> dict[str, bytes]:
    """The mirror's files but for its own."""
    found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {path: content for path, content in found.items() if path not in OWN}


def _check(installation: Installation, target: Target, vkey: str) -> int:
    """Everything that the mirror's checkpoint speaks of is there, byte for byte; its size."""
    note = target.read(CHECKPOINT)
    size = verify(note.decode(), vkey).size if note else 0
    with installation.read() as session:
        for resource in tiles.resources(0, size):
            assert target.read(resource.path) == tiles.read(session, CITY, resource), resource.path
    return size


def _grown(installation: Installation, size: int) -> None:
    if size:
        grow(installation, (size,))


@pytest.fixture
def empty(database_url: str, tmp_path: Path) -> Iterator[Installation]:
    """A city whose log has nothing in it."""
    made = install(database_url, tmp_path / "data")
    yield made
    made.close()


def test_a_mirror_grows_with_its_log(empty: Installation, tmp_path: Path) -> None:
    """Each time only what is new is written; what an older checkpoint speaks of stays until the full tile is there."""
    target, vkey = Directory(tmp_path / "mirror"), empty.city_keys().vkey
    shown: list[int] = []
    for size in SIZES:
        _grown(empty, size)
        done = _publish(empty, target)
        old = shown[-1] if shown else 0
        assert (done.old_size, done.size, done.found) == (old, size, 0)
        assert done.written == len(tiles.resources(old, size))
        assert _check(empty, target, vkey) == size
        shown.append(size)
        kept = {one.path for one in tiles.resources(0, size)}
        for earlier in shown:  # partial tiles that are not full yet
            kept |= {
                one.path
                for one in tiles.resources(0, earlier)
                if (one.index + 1) * TILE_WIDTH > size >> 8 * (one.level or 0)
            }
        assert set(_files(tmp_path / "mirror")) == kept
    assert (tmp_path / "mirror" / VKEY).read_text() == vkey + "\n"
    assert not (tmp_path / "mirror" / ATTEMPTS).exists()
    assert _publish(empty, target) == Mirrored(900, 900, 0, 0, 0)


def test_an_independent_reader_follows_the_mirror(empty: Installation, tmp_path: Path) -> None:
    """A program that knows nothing of this project finds root, entries and proofs in the files."""
    grow(empty, (5, 256, 300, 900))
    _publish(empty, Directory(tmp_path / "mirror"))
    reader = TilesReader(LocalBackend(tmp_path / "mirror"))
    shown = reader.get_checkpoint()
    head = verify((tmp_path / "mirror" / CHECKPOINT).read_text(), empty.city_keys().vkey)
    assert (shown.size, reader.calculate_root_hash()) == (head.size, head.root) == (900, shown.root_hash)
    for seq in (0, 255, 256, 767, 768, 899):
        assert reader.get_entry(seq) == leaf_data(seq)
    with empty.read() as session:
        for old in (1, 5, 256, 300, 899):
            assert reader.get_consistency_proof(old, 900).node_hashes == tree.consistency(session, CITY, old, 900)
            assert reader.get_inclusion_proof(old, 900).node_hashes == tree.inclusion(session, CITY, old, 900)


class PowerCut(Exception):
    """The end of a process, at a point that a test chose."""


class Cut:
    """A target that ends with the operation of a given number, before or after it is done."""

    def __init__(self, inner: Target, after: int) -> None:
        self._inner = inner
        self._left = after
        self.hold = inner.hold
        self.read, self.names, self.flush = inner.read, inner.names, inner.flush

    def write(self, path: str, content: bytes, *, media: str, cache: str) -> None:
        """Write, unless the power is cut."""
        self._spend()
        self._inner.write(path, content, media=media, cache=cache)
        self._spend()

    def remove(self, path: str) -> None:
        """Remove, unless the power is cut."""
        self._spend()
        self._inner.remove(path)

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise PowerCut


def test_a_run_that_is_cut_off_anywhere_is_finished_by_the_next(sqlite_url: str, tmp_path: Path) -> None:
    """Cut before and after every single write: the mirror is whole, and the next run leaves it as if nothing was."""
    made = install(sqlite_url, tmp_path / "data")
    vkey = made.city_keys().vkey
    grow(made, (250, 300, 600, 900))
    before, straight = tmp_path / "before", tmp_path / "straight"
    _publish(made, Directory(before), 250)
    shutil.copytree(before, straight)
    _publish(made, Directory(straight), 600)
    _publish(made, Directory(straight), 900)
    wanted = _files(straight)
    cut = 0
    while True:
        root = tmp_path / f"cut-{cut}"
        shutil.copytree(before, root)
        try:
            _publish(made, Cut(Directory(root), cut), 600)
        except PowerCut:
            assert _check(made, Directory(root), vkey) in (250, 600)
        else:
            break
        again = _publish(made, Directory(root), 600)
        assert _check(made, Directory(root), vkey) == again.size == 600
        _publish(made, Directory(root), 900)
        assert _files(root) == wanted
        shutil.rmtree(root)
        cut += 1
    assert cut > 2 * len(tiles.resources(250, 600))
    made.close()


def test_a_cut_run_that_is_overtaken_leaves_nothing_behind(sqlite_url: str, tmp_path: Path) -> None:
    """The next run may be for a larger size: the partial tiles of the one that was cut off are found and removed."""
    made = install(sqlite_url, tmp_path / "data")
    grow(made, (250, 300, 900))
    target = Directory(tmp_path / "mirror")
    _publish(made, target, 250)
    with pytest.raises(PowerCut):
        _publish(made, Cut(target, 2 * len(tiles.resources(250, 300)) + 4), 300)
    assert target.names("tile/0/001.p") == ["44"]
    done = _publish(made, target)
    assert target.names("tile/0/001.p") == []
    assert done.found > 0  # the full tiles that the first run had come to
    assert _check(made, target, made.city_keys().vkey) == 900
    made.close()


PUBLISHER = """
import sys
from pathlib import Path
from ledger.book import seal, tree
from ledger.log.publish import publish
from ledger.log.targets import Directory
from tests.factories import CITY, reopen

made = reopen(sys.argv[1], Path(sys.argv[2]))
with made.read() as session:
    note = seal.latest(session, CITY).note
print("begun", flush=True)
publish(made.database, made.keys, CITY, Directory(Path(sys.argv[3])), note)
print("done", flush=True)
"""


def test_kill_9_leaves_a_whole_mirror(sqlite_url: str, tmp_path: Path) -> None:
    """A real process, killed at a random moment again and again; each run goes on where the last one ended."""
    data, root = tmp_path / "data", tmp_path / "mirror"
    made = install(sqlite_url, data)
    vkey = made.city_keys().vkey
    sizes = range(10_000, 10_000 * (scale(3, 20) + 1), 10_000)
    for number, size in enumerate(sizes):
        grow(made, (size,))
        command = [sys.executable, "-c", PUBLISHER, sqlite_url, str(data), str(root)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            time.sleep(0.005 * (number + 1))
            process.kill()
        assert _check(made, Directory(root), vkey) in (0, *sizes)
    _publish(made, Directory(root))
    assert _check(made, Directory(root), vkey) == sizes[-1]
    assert set(_files(root)) == {one.path for one in tiles.resources(0, sizes[-1])}
    made.close()


def test_a_longer_mirror_is_not_led_back(empty: Installation, tmp_path: Path) -> None:
    """A database that was restored from an older copy does not take back what the mirror showed."""
    grow(empty, (300, 400))
    target = Directory(tmp_path / "mirror")
    _publish(empty, target)
    before = _files(tmp_path / "mirror")
    with pytest.raises(MirrorConflict) as refusal:
        _publish(empty, target, 300)
    assert (refusal.value.reason, refusal.value.params) == ("ahead", {"shown_size": 400, "size": 300})
    assert _files(tmp_path / "mirror") == before


@pytest.fixture
def fork(empty: Installation, new_sqlite_url: Callable[[], str], tmp_path: Path) -> Iterator[Installation]:
    """The same city with the same keys, whose log has another first entry."""
    directory = tmp_path / "fork"
    shutil.copytree(tmp_path / "data" / "keys", directory / "keys")
    made = install(new_sqlite_url(), directory)
    made.clock.advance(days=1)
    made.grant(5)
    grow(made, (300, 400))
    yield made
    made.close()


def test_another_history_is_not_published_over(empty: Installation, fork: Installation, tmp_path: Path) -> None:
    """Signed by the right key and of the right length, but not what the mirror showed: refused, nothing changed."""
    grow(empty, (300,))
    target = Directory(tmp_path / "mirror")
    _publish(empty, target)
    before = _files(tmp_path / "mirror")
    for size in (300, 400):
        with pytest.raises(MirrorConflict) as refusal:
            _publish(fork, target, size)
        assert refusal.value.reason == "history"
    assert _files(tmp_path / "mirror") == before


def test_what_a_cut_run_of_another_history_left_is_not_mixed_in(
    empty: Installation, fork: Installation, tmp_path: Path
) -> None:
    """It never came to its checkpoint, but its tiles lie there; the operator is told which."""
    grow(empty, (400,))
    target = Directory(tmp_path / "mirror")
    with pytest.raises(PowerCut):
        _publish(fork, Cut(target, 8))
    with pytest.raises(MirrorConflict) as refusal:
        _publish(empty, target)
    assert (refusal.value.reason, refusal.value.params) == ("leftover", {"path": "tile/entries/000"})


def test_a_mirror_of_another_city_is_left_alone(empty: Installation, tmp_path: Path) -> None:
    """Its checkpoint is signed by another key; so is one that is no checkpoint at all."""
    add_city(empty.database, empty.keys, "phayao", code_prefix="py")
    with empty.read() as session:
        note = seal.latest(session, "phayao").note
    target = Directory(tmp_path / "mirror")
    publish(empty.database, empty.keys, "phayao", target, note)
    with pytest.raises(MirrorConflict, match="foreign"):
        _publish(empty, target)
    (tmp_path / "mirror" / CHECKPOINT).write_bytes(b"\xff spoilt")
    with pytest.raises(MirrorConflict, match="foreign"):
        _publish(empty, target)


def test_two_publishers_do_not_meet(empty: Installation, tmp_path: Path) -> None:
    """The second one is told; the lock ends with its holder."""
    target = Directory(tmp_path / "mirror")
    with target.hold(), pytest.raises(MirrorBusy):
        _publish(empty, Directory(tmp_path / "mirror"))
    assert _publish(empty, target).size == 0


def test_a_directory_never_shows_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are on the disk before the name is; and the names are, once it was flushed."""
    synced: list[str] = []
    real = os.fsync

    def note(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        assert not (tmp_path / "mirror/tile/0/000").exists() or len(synced) > 1
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    target = Directory(tmp_path / "mirror")
    with target.hold():
        target.write("tile/0/000", b"x", media="", cache="")
        assert synced == [DRAFT]
    assert set(synced) == {DRAFT, "mirror", "tile", "0"}


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The endpoint of a server that speaks S3."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh bucket, and the variables by which tools find it."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    import boto3

    name = f"bucket-{time.monotonic_ns()}"
    boto3.client("s3").create_bucket(Bucket=name)
    return name


def test_a_bucket_is_a_mirror_too(sqlite_url: str, bucket: str, tmp_path: Path) -> None:
    """Under a prefix, with the content types and caching that a static host hands on; cut off and resumed as well."""
    import boto3

    made = install(sqlite_url, tmp_path / "data")
    vkey, address = made.city_keys().vkey, f"s3://{bucket}/logs/khon-kaen/"
    grow(made, (250, 600))
    _publish(made, open_target(address), 250)
    assert _check(made, Bucket(address), vkey) == 250
    with pytest.raises(PowerCut):
        _publish(made, Cut(Bucket(address), 9))
    assert _check(made, Bucket(address), vkey) == 250
    _publish(made, Bucket(address))
    assert _check(made, Bucket(address), vkey) == 600
    client = boto3.client("s3")
    keys = {one["Key"] for one in client.list_objects_v2(Bucket=bucket)["Contents"]}
    assert keys == {f"logs/khon-kaen/{one.path}" for one in tiles.resources(0, 600)} | {
        f"logs/khon-kaen/{name}" for name in (CHECKPOINT, VKEY)
    }
    tile = client.head_object(Bucket=bucket, Key="logs/khon-kaen/tile/0/000")
    assert (tile["ContentType"], tile["CacheControl"]) == ("application/octet-stream", tiles.FOR_EVER)
    note = client.head_object(Bucket=bucket, Key="logs/khon-kaen/checkpoint")
    assert (note["ContentType"], note["CacheControl"]) == ("text/plain; charset=utf-8", tiles.BRIEFLY)
    with pytest.raises(MirrorConflict, match="ahead"):
        _publish(made, Bucket(address), 250)
    made.close()


def test_a_bucket_that_is_not_there_is_told(bucket: str, sqlite_url: str, tmp_path: Path) -> None:
    """A wrong name ends in words, not in a traceback."""
    made = install(sqlite_url, tmp_path / "data")
    for address in (f"s3://{bucket}-not", "s3://", "s3:///prefix"):
        with pytest.raises(MirrorUnreachable):
            _publish(made, open_target(address))
    made.close()
