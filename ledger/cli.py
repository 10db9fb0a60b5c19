"""`kgo`: the command line of operators and auditors.

Every command imports what it needs when it runs, so that `kgo verify` works where only `cryptography` is installed
beside it, and so that `--help` is immediate. The exit status is 0 when all went well, 1 when the answer is no, 2 when
the command was called wrongly.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.book.unit import Unit
    from ledger.installation import Installation

CHAIN_ROLES = ("admin", "proposer", "guardian", "anchorer", "pauser", "relayer")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] == ["verify"]:
        from ledger.verifier.cli import main as verify

        return verify(arguments[1:])
    options = _parser().parse_args(arguments)
    from ledger import process
    from ledger.errors import LedgerError, ValidationFailed

    process.collect_rarely()
    try:
        return int(options.run(options) or 0)
    except ValidationFailed as refusal:
        for field, remedy in refusal.fields.items():
            print(f"kgo: {field}: {remedy}", file=sys.stderr)
    except LedgerError as refusal:
        print(f"kgo: {refusal}", file=sys.stderr)
    except (OSError, ValueError) as fault:
        print(f"kgo: {fault}", file=sys.stderr)
    except KeyboardInterrupt:
        print("kgo: stopped", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kgo", description="The ledger of a learning city.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    serve = _command(commands, "serve", "serve the pages and the API", _serve)
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--public-url", help="the address that people reach it by; it stands in QR codes and links")
    serve.add_argument("--workers", type=int, default=1, help="processes; more than one pays on PostgreSQL alone")
    serve.add_argument("--welcome", action="store_true", help="print where each kind of user goes")
    serve.add_argument("--bare", action="store_true", help="with --welcome: make no one-time links")

    database = commands.add_parser("db", help="the database").add_subparsers(metavar="WHAT", required=True)
    _command(database, "upgrade", "bring the database to the newest schema", _upgrade)

    city = commands.add_parser("city", help="cities").add_subparsers(metavar="WHAT", required=True)
    load = _command(city, "import", "load city files; what is there already stays", _import)
    load.add_argument("files", nargs="+", type=Path, metavar="FILE")
    load.add_argument("--samples", action="store_true", help="load what is marked as a sample, and fund it")

    for name, what, handler in (
        ("token", "sign-ins for programs", _create_token),
        ("link", "one-time links for people", _create_link),
    ):
        group = commands.add_parser(name, help=what).add_subparsers(metavar="WHAT", required=True)
        create = _command(group, "create", f"make one of the {what}; its secret is printed once", handler, city=True)
        create.add_argument("--role", required=True, action="append", help="may be given more than once")
        create.add_argument("--shop", help="the shop's id, with the role shop")
        create.add_argument("--activity", help="the activity's id, with the role kiosk")
        if name == "link":
            create.add_argument("--public-url", help="the address that people reach the installation by")

    simulate = _command(commands, "simulate", "play a year of a city into an empty log", _simulate, city=True)
    simulate.add_argument("--learners", type=int, default=7_000)
    simulate.add_argument("--shops", type=int, default=600)
    simulate.add_argument("--entries", type=int, default=100_000)
    simulate.add_argument("--seed", type=int, default=1)

    export = _command(commands, "export", "write a city's log for auditors", _export, city=True)
    export.add_argument("--out", type=Path, required=True, metavar="DIR")
    export.add_argument("--openings", action="store_true", help="with the personal side, for appointed auditors")

    audit = _command(commands, "audit", "check a city's book inside the database", _audit, city=True)
    audit.add_argument("--json", action="store_true", help="print the report as JSON")
    commands.add_parser("verify", help="verify an exported log, without database and server", add_help=False)

    logs = commands.add_parser("log", help="the public logs").add_subparsers(metavar="WHAT", required=True)
    publish = _command(logs, "publish", "mirror a city's log as static files", _publish, city=True)
    publish.add_argument("target", metavar="DIR|s3://BUCKET/PREFIX")
    _command(logs, "witness", "ask the policy's witnesses for cosignatures now", _collect, city=True)

    witness = commands.add_parser("witness", help="the installation's own witness")
    roles = witness.add_subparsers(metavar="WHAT", required=True)
    create_witness = _command(roles, "create", "make its key, once, and print its verifier key", _create_witness)
    create_witness.add_argument("--name", required=True, help="for example witness.khonkaen.example/w1")
    _command(roles, "show", "print its verifier key", _show_witness)

    _add_chain(commands)
    jobs = commands.add_parser("jobs", help="what happens by itself").add_subparsers(metavar="WHAT", required=True)
    run = _command(jobs, "run", "run every job once, or again and again", _jobs)
    run.add_argument("--every", type=float, metavar="SECONDS", help="go on until interrupted")
    return parser


def _add_chain(commands) -> None:  # type: ignore[no-untyped-def]
    group = commands.add_parser("chain", help="the optional token chain").add_subparsers(metavar="WHAT", required=True)
    key = _command(group, "key", "make a role's key in a keystore file, once, and print its address", _chain, city=True)
    key.add_argument("--role", required=True, choices=CHAIN_ROLES)
    deploy = _command(group, "deploy", "deploy the contracts and write <data>/chain/<city>.toml", _chain, city=True)
    deploy.add_argument("--rpc", required=True, metavar="URL", help="a node of any EVM chain")
    for role in CHAIN_ROLES[:5]:
        deploy.add_argument(f"--{role}", metavar="0x…", help="address, where the key is not on this machine")
    for name, default, what in (
        ("supply-cap", 100_000_000, "most minor units in circulation on the chain"),
        ("increase-limit", 1_000_000, "most minor units that become claimable in one period"),
        ("period", 604_800, "seconds"),
        ("delay", 172_800, "seconds in which a proposal can be vetoed"),
        ("minimum-delay", 86_400, "seconds; the delay is never set below"),
        ("anchor-seconds", 3_600, "how long after an anchor the next is due"),
        ("anchor-entries", 1_000, "after how many entries it is due in any case"),
        ("number", 0, "raised to deploy the same once more"),
        ("confirmations", None, "blocks that make one final, on a chain that tells none"),
    ):
        deploy.add_argument(f"--{name}", type=int, default=default, help=what)
    deploy.add_argument("--badge-uri", default="", help="what the address of a badge's description begins with")
    deploy.add_argument("--explorer", metavar="URL", help="a site that shows transactions below /tx/")
    deploy.add_argument("--local", action="store_true", help="on a development node: make keys and give them money")
    _command(group, "status", "contracts, anchors, keys and their money, what waits", _chain, city=True)
    for name, what in (("anchor", "anchor the newest checkpoint now"), ("pause", "pause claims and deposits")):
        now = _command(group, name, what, _chain, city=True)
        now.add_argument(
            "--wait", type=float, default=0, metavar="SECONDS", help="for how long to wait until it is final"
        )
    now.add_argument("--resume", action="store_true", help="resume them, with the admin's key")
    _command(
        group, "suspense", "deposits that nobody could be credited with, and what speaks for whom", _chain, city=True
    )
    solve = _command(group, "resolve", "move a deposit out of suspense to the learner whose it is", _chain, city=True)
    solve.add_argument("--deposit", type=int, required=True, metavar="NUMBER", help="as `kgo chain suspense` tells it")
    solve.add_argument("--learner", required=True, metavar="ID", help="the account to credit")
    solve.add_argument("--chain-id", type=int, help="where the city has bridges to several chains")
    _command(group, "propose", "list what can be claimed next, and propose it if it is due", _chain, city=True)
    watch = _command(group, "watch", "do once what the jobs do: anchors, deposits, claims, sending", _chain, city=True)
    watch.add_argument("--every", type=float, metavar="SECONDS", help="go on until interrupted")
    for name, command in group.choices.items():
        command.set_defaults(what=name)


def _command(group, name: str, help_: str, run, *, city: bool = False) -> argparse.ArgumentParser:  # type: ignore[no-untyped-def]
    command: argparse.ArgumentParser = group.add_parser(
        name, help=help_, description=help_[0].upper() + help_[1:] + "."
    )
    command.add_argument("--data", type=Path, metavar="DIR", help="the data directory ($KGO_DATA, or ./data)")
    if city:
        command.add_argument("--city", required=True, help="the city's id, for example khon-kaen")
    command.set_defaults(run=run)
    return command


def _open(options: argparse.Namespace) -> Installation:
    from ledger.config import Settings
    from ledger.installation import open_installation

    return open_installation(Settings.from_environment(data=options.data))


def _serve(options: argparse.Namespace) -> None:
    from ledger import serving

    serving.serve(
        options.data,
        host=options.host,
        port=options.port,
        public_url=options.public_url,
        workers=options.workers,
        welcome=options.welcome,
        links=not options.bare,
    )


def _upgrade(options: argparse.Namespace) -> None:
    from ledger.config import Settings
    from ledger.db import upgrade

    upgrade(Settings.from_environment(data=options.data).database_url)


def _import(options: argparse.Namespace) -> None:
    from ledger.city import cityfile, load

    files = [cityfile.load(path) for path in options.files]
    with _open(options) as installation:
        for file in files:
            done = load.load(installation.writer, file, samples=options.samples)
            print(f"{file.name_en}: {done}")


def _create_token(options: argparse.Namespace) -> None:
    from ledger.people import tokens

    with _open(options) as installation:
        secret = installation.writer.run(
            options.city, lambda unit: tokens.issue(unit, options.role, _subject(unit, options), label="cli")
        )
    print(f"{', '.join(options.role)} token of {options.city}: {secret}")


def _create_link(options: argparse.Namespace) -> None:
    from ledger.people import tokens

    with _open(options) as installation:
        secret = installation.writer.run(
            options.city, lambda unit: tokens.create_link(unit, options.role, _subject(unit, options))
        )
        address = (options.public_url or installation.settings.public_url).rstrip("/")
    print(f"{address}/l/{secret}")


def _subject(unit: Unit, options: argparse.Namespace) -> str | None:
    """The shop or the activity that a sign-in is for; it has to exist."""
    from ledger.commerce import shops
    from ledger.errors import ValidationFailed
    from ledger.programme import activities

    for role, given in (("shop", options.shop), ("kiosk", options.activity)):
        if role in options.role and not given:
            option = "--shop" if role == "shop" else "--activity"
            raise ValidationFailed({option: f"Name what the role '{role}' is for."})
    if options.shop:
        return shops.find(unit.session, unit.city.id, options.shop).id
    if options.activity:
        return activities.row(unit.session, unit.city.id, options.activity).id
    return None


def _simulate(options: argparse.Namespace) -> None:
    from ledger.city import cityfile, simulate
    from ledger.config import Settings
    from ledger.db import upgrade
    from ledger.installation import assemble
    from ledger.progress import Bar

    files = {file.id: file for file in map(cityfile.load, cityfile.shipped())}
    if options.city not in files:
        raise ValueError(f"--city: choose one of {', '.join(files)}")
    settings = Settings.from_environment(data=options.data)
    upgrade(settings.database_url)
    scale = simulate.Scale(options.learners, options.shops, options.entries, options.seed)
    with assemble(settings, clock=lambda: simulate.BEGIN) as installation:
        print(simulate.simulate(installation.writer, files[options.city], scale, progress=Bar("entries")))


def _export(options: argparse.Namespace) -> None:
    from ledger.city import export
    from ledger.progress import Bar

    with _open(options) as installation:
        size = export.write_directory(
            installation.database,
            installation.keys,
            options.city,
            options.out,
            openings=options.openings,
            progress=Bar("entries"),
        )
    print(f"{size} entries in {options.out}; check them with: kgo verify {options.out}")


def _publish(options: argparse.Namespace) -> None:
    from ledger.book import cities
    from ledger.log.public import PublicLog
    from ledger.log.publish import publish
    from ledger.log.targets import open_target
    from ledger.progress import Bar

    with _open(options) as installation:
        with installation.database.read() as session:
            vkey = installation.keys.get(cities.get(session, options.city)).vkey
            note = PublicLog(installation).checkpoint(session, options.city, vkey)
        target = open_target(options.target)
        done = publish(installation.database, installation.keys, options.city, target, note, Bar("files"))
    print(
        f"{options.target} shows {done.size} entries (it showed {done.old_size}): "
        f"{done.written} files written, {done.found} found, {done.removed} removed"
    )


def _collect(options: argparse.Namespace) -> int:
    from ledger.log.public import PublicLog

    with _open(options) as installation:
        standings = PublicLog(installation).collect(options.city, insist=True).get(options.city)
    if standings is None:
        print(f"no policy concerns {options.city}; see docs/operating.md")
        return 1
    for one in standings:
        print(f"{one.name}: {one.problem or 'cosigned'}, {one.size} entries")
    return 1 if any(one.problem for one in standings) else 0


def _create_witness(options: argparse.Namespace) -> None:
    from ledger.log.public import PublicLog

    with _open(options) as installation:
        print(PublicLog(installation).witness.create(options.name).vkey)


def _show_witness(options: argparse.Namespace) -> int:
    from ledger.log.public import PublicLog

    with _open(options) as installation:
        key = PublicLog(installation).witness.key
    if key is None:
        print("this installation is no witness; make it one by: kgo witness create --name NAME", file=sys.stderr)
        return 1
    print(key.vkey)
    return 0


def _audit(options: argparse.Namespace) -> int:
    import json

    from ledger.book import audit, cities
    from ledger.verifier import summary

    with _open(options) as installation, installation.database.read() as session:
        city = cities.get(session, options.city)
        report = audit.audit(session, city.id, installation.keys.get(city))
    print(json.dumps(report.as_json(), indent=2) if options.json else summary.text(report))
    return 0 if report.ok else 1


def _chain(options: argparse.Namespace) -> int:
    import time
    from datetime import timedelta

    from ledger.chain import console

    ends = time.monotonic() + getattr(options, "wait", 0)

    def wait() -> bool:
        time.sleep(1)
        return time.monotonic() < ends

    with _open(options) as installation:
        city = options.city
        match options.what:
            case "deploy":
                answer = console.deploy(installation, vars(options))
            case "key":
                answer = console.make_key(installation, city, options.role)
            case "anchor":
                answer = console.anchor(installation, city, wait=wait)
            case "resolve":
                answer = console.resolve(installation, city, vars(options))
            case "pause":
                now = installation.writer.clock()
                answer = console.stop(installation, city, resume=options.resume, now=now, wait=wait)
            case "watch" if options.every is not None:
                for answer in console.watching(installation, city, timedelta(seconds=options.every)):
                    print(answer.text, flush=True)
            case what:
                answer = getattr(console, what)(installation, city)
        print(answer.text)
    return 0 if answer.ok else 1


def _jobs(options: argparse.Namespace) -> None:
    import threading
    from datetime import timedelta
    from functools import partial

    from ledger import jobs
    from ledger.log.public import PublicLog

    with _open(options) as installation:
        public, tend = PublicLog(installation), jobs.chain_job(installation)
        tend()  # first, for it knows whether anything may be signed
        for city, entries in jobs.run_once(installation.writer).items():
            print(f"{city}: {entries} new entries")
        jobs.collect_cosignatures(public)
        if options.every:
            stop, every = threading.Event(), timedelta(seconds=options.every)
            collect = partial(jobs.collect_cosignatures, public)
            for job in (collect, tend):
                threading.Thread(target=jobs.run_for_ever, args=(job, stop, every), daemon=True).start()
            jobs.run_for_ever(partial(jobs.run_once, installation.writer), stop, every)


if __name__ == "__main__":
    sys.exit(main())
