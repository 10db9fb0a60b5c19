"""Alembic's entry: runs the numbered migrations on the database that `ledger.db.upgrade` names.

A migration must apply to a database that is being served: add before you remove, never rewrite a journal table
(`entries legs openings tiles checkpoints`), and take no lock longer than a moment on `heads`. One that cannot, as 0006,
says that the servers have to be stopped, and `docs/operating.md` says it too.
"""

import importlib
import pkgutil

from alembic import context
from sqlalchemy import text

import ledger
from ledger.db import Base, Database

for package in ("book", "log", "people", "programme", "commerce", "chain"):
    for module in pkgutil.iter_modules([f"{ledger.__path__[0]}/{package}"]):
        importlib.import_module(f"ledger.{package}.{module.name}")

UPGRADING = 0x6B676F
"""The advisory lock of whoever changes the schema of a PostgreSQL database; on SQLite the file has one writer."""

config = context.config
database = Database(config.get_main_option("sqlalchemy.url") or "")
with database.writing.connect() as connection:
    if connection.dialect.name == "postgresql":
        # A writer that says nothing for seconds is cut off; a migration may well think for longer.
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        # Of two servers that start at once the second finds the work done.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADING})
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
database.close()
