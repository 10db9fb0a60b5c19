"""Fewer index entries for each entry of the book: a moment in the log is found by its batch.

All entries of a batch bear one time, so that the checkpoint that seals it tells it for all of them, and the index of
entries by time has no reader left. Legs are found by account; the index of them by entry goes too.

Stop the servers before this one: they would sign checkpoints that tell no time, and on SQLite that table is built anew.
"""

import sqlalchemy as sa
from alembic import op

from ledger.db import rebuild

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

TIME = (
    "COALESCE((SELECT entries.at FROM entries"
    " WHERE entries.city = checkpoints.city AND entries.seq = checkpoints.size - 1), 0)"
)
"""When a batch that is there was made: when its last entry was. An empty log's checkpoint is earlier than all."""

NODES, AT = "nodes BLOB", ", \n\tat BIGINT NOT NULL"


def upgrade() -> None:
    op.drop_index("entries_by_time", table_name="entries")
    op.drop_index("legs_by_seq", table_name="legs")
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("checkpoints", sa.Column("at", sa.BigInteger(), nullable=True))
        op.execute("ALTER TABLE checkpoints DISABLE TRIGGER checkpoints_no_change")
        op.execute(f"UPDATE checkpoints SET at = {TIME}")
        op.execute("ALTER TABLE checkpoints ENABLE TRIGGER checkpoints_no_change")
        op.alter_column("checkpoints", "at", nullable=False)
    else:
        rebuild(op.get_bind(), "checkpoints", (NODES, NODES + AT), more=TIME)
    op.create_index("checkpoints_by_time", "checkpoints", ["city", "at", "size"])


def downgrade() -> None:
    op.drop_index("checkpoints_by_time", table_name="checkpoints")
    op.drop_column("checkpoints", "at")
    op.create_index("legs_by_seq", "legs", ["city", "seq"])
    op.create_index("entries_by_time", "entries", ["city", "at", "seq"])
