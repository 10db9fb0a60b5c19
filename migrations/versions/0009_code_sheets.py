"""One-time codes: the mode `code` of activities, and the sheets whose serials have been given out.

Applies to a database that is being served: a check is widened and a table is made; no row is touched.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

WITHOUT, WITH = "mode IN ('poster', 'kiosk')", "mode IN ('poster', 'kiosk', 'code')"


def upgrade() -> None:
    _check_mode(WITHOUT, WITH)
    op.create_table(
        "code_sheets",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("activity", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("first_serial", sa.BigInteger(), nullable=False),
        sa.Column("last_serial", sa.BigInteger(), nullable=False),
        sa.Column("code_version", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("number > 0 AND first_serial > 0", name="code_sheets_numbers"),
        sa.CheckConstraint("first_serial <= last_serial", name="code_sheets_order"),
        sa.ForeignKeyConstraint(
            ["city", "activity"], ["activities.city", "activities.id"], name="code_sheets_activity"
        ),
        sa.PrimaryKeyConstraint("city", "activity", "number"),
        sa.UniqueConstraint("city", "activity", "first_serial", name="code_sheets_first_serial"),
    )


def downgrade() -> None:
    """Refused as long as an activity has the mode `code`."""
    used = op.get_bind().execute(sa.text("SELECT count(*) FROM activities WHERE mode = 'code'")).scalar()
    if used:
        raise RuntimeError(f"{used} activities have the mode 'code', which the tables of 0008 do not know")
    op.drop_table("code_sheets")
    _check_mode(WITH, WITHOUT)


def _check_mode(old: str, new: str) -> None:
    """Replace the check of the column.

    SQLite keeps a table's text: it is changed where it stands, since the table cannot be made anew while others refer
    to it.
    """
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("activities_mode", "activities")
        op.create_check_constraint("activities_mode", "activities", new)
        return
    op.execute("PRAGMA writable_schema = ON")
    op.get_bind().exec_driver_sql(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = 'activities'", (old, new)
    )
    op.execute("PRAGMA writable_schema = RESET")
