"""Witnesses: what they cosigned of the cities' logs, and what this installation's own witness has seen of others'.

Applies to a database that is being served: it makes new tables and touches none that is there.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

APPEND_ONLY = ("cosignatures", "quorums")

_SQLITE_TRIGGER = """
CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END
"""

_POSTGRESQL_TRIGGERS = (
    "CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION append_only()",
    "CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION append_only()",
)

_BACK = "NEW.origin <> OLD.origin OR NEW.size < OLD.size OR (NEW.size = OLD.size AND NEW.root <> OLD.root)"
"""A change of what was seen of a log that would take something back."""

_SQLITE_FORWARD = f"""
CREATE TRIGGER witnessed_forward BEFORE UPDATE ON witnessed WHEN {_BACK}
BEGIN SELECT RAISE(ABORT, 'witnessed goes forward only'); END
"""

_POSTGRESQL_FUNCTION = f"""
CREATE FUNCTION forward_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF {_BACK} THEN
        RAISE EXCEPTION '% goes forward only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""

_POSTGRESQL_FORWARD = (
    "CREATE TRIGGER witnessed_forward BEFORE UPDATE ON witnessed FOR EACH ROW EXECUTE FUNCTION forward_only()",
    "CREATE TRIGGER witnessed_no_change BEFORE DELETE ON witnessed FOR EACH ROW EXECUTE FUNCTION append_only()",
    "CREATE TRIGGER witnessed_no_truncate BEFORE TRUNCATE ON witnessed EXECUTE FUNCTION append_only()",
)


def upgrade() -> None:
    op.create_table(
        "cosignatures",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("witness", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("city", "size", "witness"),
    )
    op.create_table(
        "quorums",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("city", "policy", "size"),
    )
    op.create_table(
        "submissions",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("witness", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("tried_at", sa.BigInteger(), nullable=False),
        sa.Column("retry_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("city", "witness"),
    )
    op.create_table(
        "witnessed",
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("origin"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_POSTGRESQL_FUNCTION)
        for table in APPEND_ONLY:
            for trigger in _POSTGRESQL_TRIGGERS:
                op.execute(trigger.format(table=table))
        for trigger in _POSTGRESQL_FORWARD:
            op.execute(trigger)
    else:
        for table in APPEND_ONLY:
            for verb in ("UPDATE", "DELETE"):
                op.execute(_SQLITE_TRIGGER.format(table=table, verb=verb))
        op.execute(_SQLITE_FORWARD)
        op.execute(_SQLITE_TRIGGER.format(table="witnessed", verb="DELETE"))


def downgrade() -> None:
    op.drop_table("witnessed")
    op.drop_table("submissions")
    op.drop_table("quorums")
    op.drop_table("cosignatures")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION forward_only()")
