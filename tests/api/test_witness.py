"""The witness over HTTP, and cities that witness each other: real servers, each with a database of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tlog_scales.backend import HttpBackend
from tlog_scales.reader import TilesReader

from ledger.log.submission import request_body
from ledger.log.targets import Directory
from ledger.proof import policy, receipt
from ledger.proof.checkpoint import parse, verify
from ledger.proof.cosignature import cosigned_at
from ledger.proof.cosignature import parse_vkey as parse_witness
from tests.api.client import Answer, Api
from tests.factories import CITY
from tests.log.outsiders import Outsider
from tests.servers import Deployment

LOG = Outsider()


@pytest.fixture
def witnessing(api: Api, tmp_path: Path) -> Api:
    """An installation with a witness that knows an outsider's log."""
    directory = api.app.extensions["kgo"].installation.settings.witness
    api.app.extensions["kgo"].public_log.witness.create("witness.example/w1")
    (directory / "logs").write_text(LOG.vkey + "\n")
    return api


def _add(api: Api, body: bytes) -> Answer:
    return api.call("POST", "//witness/add-checkpoint", body, Content_Type="text/plain")


def test_an_outsider_is_cosigned(witnessing: Api) -> None:
    """No sign-in: a request by the specification, answered by a cosignature under the witness's published key."""
    answer = _add(witnessing, LOG.request(0, 5))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    key = parse_witness(witnessing.get("//witness/vkey").raw.decode().strip())
    assert cosigned_at(LOG.note(5) + answer.raw.decode(), key) is not None


def test_statuses_and_content_types(witnessing: Api) -> None:
    """As specified: 409 with the size, 422, 403, 404, 400; nothing may be kept by caches."""
    _add(witnessing, LOG.request(0, 5))
    conflict = _add(witnessing, LOG.request(3, 7))
    assert (conflict.status, conflict.headers["Content-Type"], conflict.raw) == (409, "text/x.tlog.size", b"5\n")
    assert conflict.headers["Cache-Control"] == "no-store"
    for body, status in (
        (request_body(5, [], LOG.note(7)), 422),
        (Outsider("unknown.example").request(0, 1), 404),
        (request_body(5, LOG.proof(5, 7), LOG.note(7, key=Ed25519PrivateKey.generate())), 403),
        (b"", 400),
        (b"old 9\n\n" + LOG.note(7).encode(), 400),
    ):
        assert _add(witnessing, body).status == status
    assert _add(witnessing, b"x" * 70_000).status == 413
    assert witnessing.get("//witness/add-checkpoint").status == 405


def test_without_a_key_there_is_no_witness(api: Api) -> None:
    """404 for its key and for every log."""
    assert api.get("//witness/vkey").status == 404
    assert _add(api, LOG.request(0, 5)).status == 404


def test_the_installation_s_own_cities_are_witnessed(witnessing: Api) -> None:
    """Over HTTP as anybody's."""
    note = witnessing.get(f"//log/{CITY}/checkpoint").raw
    assert _add(witnessing, b"old 0\n\n" + note).status == 200


@pytest.fixture
def deployments(
    request: pytest.FixtureRequest, database_url: str, tmp_path: Path
) -> Iterator[tuple[Deployment, Deployment]]:
    """Two installations on fresh databases of one kind, with a city each; nothing is served yet."""
    kind = "sqlite" if database_url.startswith("sqlite") else "postgresql"
    make: Callable[[], str] = request.getfixturevalue(f"new_{kind}_url")
    home, away = (Deployment(tmp_path / name / "data", make()) for name in ("home", "away"))
    home.import_city("khon-kaen")
    away.import_city("phayao")
    yield home, away
    home.close()
    away.close()


def test_cities_of_two_installations_witness_each_other(
    deployments: tuple[Deployment, Deployment], tmp_path: Path
) -> None:
    """Over HTTP, by policy: the shown checkpoint has both cosignatures, receipts and mirrors too; then one is down."""
    home, away = deployments
    own, abroad = (one.here("witness create", "--name", f"{one.data.parent.name}.example/w") for one in deployments)
    far, near = away.serve(), home.serve()
    vkey = httpx.get(f"{near.url}/log/khon-kaen/vkey").text.strip()
    (away.data / "witness" / "logs").write_text(vkey + "\n")
    rule = (
        f"log {vkey} {near.url}/log/khon-kaen\nwitness own {own}\nwitness far {abroad} {far.url}/witness\n"
        "group both all own far\nquorum both\n"
    )
    (home.data / "policy").write_text(rule)
    assert "far: cosigned" in home.kgo("log witness", "--city", "khon-kaen")
    wanted = policy.parse(rule.encode())
    note = httpx.get(f"{near.url}/log/khon-kaen/checkpoint").text
    size = verify(note, vkey).size
    assert size > 0
    assert set(wanted.cosigners(note)) == {"own", "far"}
    proof = receipt.parse(httpx.get(f"{near.url}/log/khon-kaen/receipt/{size - 1}").text)
    assert receipt.verify(proof, vkey)[0].size == size
    assert wanted.satisfied(wanted.cosigners(proof.note))
    reader = TilesReader(HttpBackend(f"{near.url}/log/khon-kaen"))  # a program that knows nothing of this project
    assert reader.get_checkpoint().root_hash == reader.calculate_root_hash() == parse(note).root
    home.here("log publish", tmp_path / "mirror", "--city", "khon-kaen")
    assert (Directory(tmp_path / "mirror").read("checkpoint") or b"").decode() == note

    far.stop()
    steward = home.token("steward", "--role", "treasurer")
    grant = {"kind": "grant", "amount_minor": 100}
    headers = {"Authorization": f"Bearer {steward}", "Idempotency-Key": "k" * 16}
    made = httpx.post(f"{near.url}/v1/cities/khon-kaen/entries", json=grant, headers=headers)
    assert made.status_code == 201
    with pytest.raises(AssertionError, match="far: "):
        home.kgo("log witness", "--city", "khon-kaen")
    assert httpx.get(f"{near.url}/log/khon-kaen/checkpoint").text == note
    newest = httpx.get(f"{near.url}/log/khon-kaen/newest-checkpoint").text
    assert parse(newest).size == size + 1
    late = receipt.parse(httpx.get(f"{near.url}/log/khon-kaen/receipt/{size}").text)
    assert receipt.verify(late, vkey)[0].size == size + 1  # acknowledged, so covered by the city's own word
