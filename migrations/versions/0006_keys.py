"""The book's keys: fewer places to write for each entry.

Legs stand in the order of their account and entry, which is the order of statements and of balances in the past: one
key serves both, and on SQLite it is the table. An index over a column that is mostly NULL holds what is not. Nobody
looks an entry up by its random id.

Stop the servers before this one: it builds keys anew, and on SQLite the tables that bear them.
"""

import sqlalchemy as sa
from alembic import op

from ledger.db import rebuild

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

LEGS = ("legs", "openings")
BY_VERSION, BY_SEQ = ["city", "account", "version"], ["city", "account", "seq", "line", "side"]
PARTIAL = {
    "entries_by_case": ("entries", ["city", "origin", "seq"], "origin", False),
    "check_ins_single_code": ("check_ins", ["city", "activity", "single_code"], "single_code", True),
    "check_ins_turn": ("check_ins", ["city", "turn"], "turn", True),
}
"""Indexes over columns that are mostly NULL: table, columns, the column in question, whether unique."""

ENTRIES_ID = ", \n\tCONSTRAINT entries_id UNIQUE (city, id)"
ONCE = (
    ", \n\tCONSTRAINT check_ins_single_code UNIQUE (city, activity, single_code)",
    ", \n\tCONSTRAINT check_ins_turn UNIQUE (city, turn)",
)


def upgrade() -> None:
    op.drop_index("entries_by_case", table_name="entries")
    for table in LEGS:
        op.drop_index(f"{table}_by_account_seq", table_name=table)
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("entries_id", "entries")
        op.drop_constraint("check_ins_single_code", "check_ins")
        op.drop_constraint("check_ins_turn", "check_ins")
        _key_legs(BY_SEQ)
    else:
        rebuild(op.get_bind(), "entries", (ENTRIES_ID, ""))
        rebuild(op.get_bind(), "check_ins", *((constraint, "") for constraint in ONCE))
        for table in LEGS:
            rebuild(op.get_bind(), table, (_key(BY_VERSION) + "\n)", _key(BY_SEQ) + "\n) WITHOUT ROWID"))
    for name, (table, columns, present, unique) in PARTIAL.items():
        where = sa.text(f"{present} IS NOT NULL")
        op.create_index(name, table, columns, unique=unique, postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    for name, (table, *_) in PARTIAL.items():
        op.drop_index(name, table_name=table)
    if op.get_bind().dialect.name == "postgresql":
        op.create_unique_constraint("entries_id", "entries", ["city", "id"])
        op.create_unique_constraint("check_ins_single_code", "check_ins", ["city", "activity", "single_code"])
        op.create_unique_constraint("check_ins_turn", "check_ins", ["city", "turn"])
        _key_legs(BY_VERSION)
    else:
        rebuild(op.get_bind(), "entries", ("PRIMARY KEY (city, seq)", "PRIMARY KEY (city, seq)" + ENTRIES_ID))
        whole = "PRIMARY KEY (city, learner, activity, session)"
        rebuild(op.get_bind(), "check_ins", (whole, whole + "".join(ONCE)))
        for table in LEGS:
            rebuild(op.get_bind(), table, (_key(BY_SEQ) + "\n) WITHOUT ROWID", _key(BY_VERSION) + "\n)"))
    for table in LEGS:
        op.create_index(f"{table}_by_account_seq", table, ["city", "account", "seq"])
    op.create_index("entries_by_case", "entries", ["city", "origin", "seq"])


def _key_legs(columns: list[str]) -> None:
    for table in LEGS:
        op.drop_constraint(f"{table}_pkey", table)
        op.create_primary_key(f"{table}_pkey", table, columns)


def _key(columns: list[str]) -> str:
    return f"PRIMARY KEY ({', '.join(columns)})"
