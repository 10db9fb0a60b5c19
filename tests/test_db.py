"""How many connections a process has to PostgreSQL; what the two kinds of transaction do, see tests/book."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from sqlalchemy import text

from ledger.db import CONNECTIONS, Database

SOON_SECONDS = 20
"""In which what is awaited comes on any machine."""

OPEN = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")


def test_threads_of_a_process_share_its_connections(postgresql_url: str) -> None:
    """Many more threads than there are connections all read; the server never sees more than it was told to expect."""
    reading = threading.Barrier(CONNECTIONS)

    def read(number: int) -> int:
        with database.read() as session:
            if number < CONNECTIONS:
                reading.wait(SOON_SECONDS)
            session.execute(text("SELECT 1"))
            return int(session.scalar(OPEN) or 0) + 1

    with closing(Database(postgresql_url)) as database, ThreadPoolExecutor(4 * CONNECTIONS) as pool:
        assert max(pool.map(read, range(10 * CONNECTIONS))) == CONNECTIONS
