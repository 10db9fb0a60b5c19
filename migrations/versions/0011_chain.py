"""The chain: wished calls, the signed transactions that carry them out, nonces, and the anchors that were seen.

Applies to a database that is being served: it makes new tables and touches none that is there.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

APPEND_ONLY = ("chain_attempts", "anchors")

_SQLITE_TRIGGER = """
CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END
"""

_POSTGRESQL_TRIGGERS = (
    "CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION append_only()",
    "CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION append_only()",
)


def upgrade() -> None:
    op.create_table(
        "chain_calls",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("contract", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=True),
        sa.Column("nonce", sa.BigInteger(), nullable=True),
        sa.Column("lost_at", sa.BigInteger(), nullable=True),
        sa.Column("refused_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("params", sa.Text(), nullable=True),
        sa.Column("transaction", sa.Text(), nullable=True),
        sa.Column("block_number", sa.BigInteger(), nullable=True),
        sa.Column("deployed", sa.Text(), nullable=True),
        sa.Column("queued_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("city", "purpose", "key"),
        sa.UniqueConstraint("city", "chain_id", "sender", "nonce", name="chain_calls_nonce"),
        sa.CheckConstraint("state IN ('queued', 'sent', 'done', 'reverted')", name="chain_calls_state"),
        sa.CheckConstraint("(state IN ('queued', 'sent')) = (ended_at IS NULL)", name="chain_calls_ended"),
        sa.CheckConstraint("state <> 'queued' OR nonce IS NULL", name="chain_calls_queued"),
        sa.CheckConstraint("state NOT IN ('sent', 'done') OR nonce IS NOT NULL", name="chain_calls_sent"),
    )
    is_open = sa.text("ended_at IS NULL")
    op.create_index(
        "chain_calls_open", "chain_calls", ["city", "queued_at"], sqlite_where=is_open, postgresql_where=is_open
    )
    op.create_table(
        "chain_attempts",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("gas", sa.BigInteger(), nullable=False),
        sa.Column("most", sa.BigInteger(), nullable=False),
        sa.Column("tip", sa.BigInteger(), nullable=True),
        sa.Column("signed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("city", "chain_id", "sender", "nonce", "number"),
    )
    op.create_table(
        "chain_nonces",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("city", "chain_id", "sender"),
        sa.CheckConstraint("next >= 0", name="chain_nonces_next"),
    )
    op.create_table(
        "anchors",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("contract", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("old_size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("transaction", sa.Text(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("city", "chain_id", "contract", "size"),
    )
    op.create_table(
        "anchor_readings",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("contract", sa.Text(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("city", "chain_id", "contract"),
    )
    if op.get_bind().dialect.name == "postgresql":
        for table in APPEND_ONLY:
            for trigger in _POSTGRESQL_TRIGGERS:
                op.execute(trigger.format(table=table))
    else:
        for table in APPEND_ONLY:
            for verb in ("UPDATE", "DELETE"):
                op.execute(_SQLITE_TRIGGER.format(table=table, verb=verb))


def downgrade() -> None:
    for table in ("anchor_readings", "anchors", "chain_nonces", "chain_attempts", "chain_calls"):
        op.drop_table(table)
