"""A learner's record lies side by side: what opens a check-in's commitment, which nobody reads with it, stands apart.

Each check-in asks for the learner's earlier ones. On SQLite the check-ins are now their key, the learner first, so that
this is one short walk. Those who came to a session are in the order of their coming.

Stop the servers before this one: on SQLite the table is built anew.
"""

import sqlalchemy as sa
from alembic import op

from ledger.db import rebuild

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

EVIDENCE = "check_in_evidence"
OPENING = (sa.Column("salt", sa.LargeBinary()), sa.Column("evidence", sa.Text()))
SESSION = ["city", "activity", "session"]
END = "CONSTRAINT check_ins_entry UNIQUE (city, entry)\n)"
BY_KEY = " WITHOUT ROWID"


def upgrade() -> None:
    columns = [sa.Column(column.name, column.type, nullable=False) for column in OPENING]
    op.create_table(
        EVIDENCE,
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("city", "entry"),
        sqlite_with_rowid=False,
    )
    op.execute(f"INSERT INTO {EVIDENCE} SELECT city, entry, salt, evidence FROM check_ins ORDER BY city, entry")
    op.drop_index("check_ins_session", table_name="check_ins")
    for column in OPENING:
        op.drop_column("check_ins", column.name)
    if op.get_bind().dialect.name == "sqlite":
        rebuild(op.get_bind(), "check_ins", (END, END + BY_KEY))
    op.create_index("check_ins_session", "check_ins", [*SESSION, "entry"])


def downgrade() -> None:
    op.drop_index("check_ins_session", table_name="check_ins")
    if op.get_bind().dialect.name == "sqlite":
        rebuild(op.get_bind(), "check_ins", (END + BY_KEY, END))
    for column in OPENING:
        op.add_column("check_ins", sa.Column(column.name, column.type))
        op.execute(
            f"UPDATE check_ins SET {column.name} = (SELECT opened.{column.name} FROM {EVIDENCE} AS opened"
            " WHERE opened.city = check_ins.city AND opened.entry = check_ins.entry)"
        )
    op.create_index("check_ins_session", "check_ins", SESSION)
    op.drop_table(EVIDENCE)
