"""Alembic's entry: runs the numbered migrations on the database that `ledger.db.upgrade` names.

A migration must apply to a database that is being served: add before you remove, never rewrite a journal table
(`entries legs openings tiles checkpoints`), and take no lock longer than a moment on `heads`. One that cannot, as 0006,
says that the servers have to be stopped, and `docs/operating.md` says it too.
"""

import importlib
import pkgutil

from alembic import context

import ledger
from ledger.db import Base, Database

for package in ("book", "log", "people", "programme", "commerce", "chain"):
    for module in pkgutil.iter_modules([f"{ledger.__path__[0]}/{package}"]):
        importlib.import_module(f"ledger.{package}.{module.name}")

config = context.config
database = Database(config.get_main_option("sqlalchemy.url") or "")
with database.writing.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
database.close()
