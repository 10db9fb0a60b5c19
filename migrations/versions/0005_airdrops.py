"""Airdrops: lists of rewards, and their rows.

Applies to a database that is being served: it makes new tables and touches none that is there.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "airdrops",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("activity", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("file_hash", sa.Text(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("accepted", sa.BigInteger(), nullable=False),
        sa.Column("sum_minor", sa.BigInteger(), nullable=False),
        sa.Column("left_minor", sa.BigInteger(), nullable=False),
        sa.Column("paid_minor", sa.BigInteger(), nullable=False),
        sa.Column("settled_line", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('draft', 'running', 'done', 'cancelled')", name="airdrops_state"),
        sa.CheckConstraint("left_minor >= 0 AND paid_minor >= 0", name="airdrops_amounts"),
        sa.CheckConstraint("left_minor + paid_minor <= sum_minor", name="airdrops_sum"),
        sa.ForeignKeyConstraint(["city", "activity"], ["activities.city", "activities.id"], name="airdrops_activity"),
        sa.PrimaryKeyConstraint("city", "id"),
    )
    op.create_index("airdrops_created", "airdrops", ["city", "created_at", "id"], unique=False)
    op.create_index("airdrops_running", "airdrops", ["city", "state"], unique=False)
    op.create_index("airdrops_file", "airdrops", ["city", "file_hash"], unique=False)
    op.create_table(
        "airdrop_rows",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("airdrop", sa.Text(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("given", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(verdict = 'paid') = (entry IS NOT NULL)", name="airdrop_rows_paid"),
        sa.CheckConstraint("amount_minor > 0", name="airdrop_rows_amount"),
        sa.ForeignKeyConstraint(["city", "airdrop"], ["airdrops.city", "airdrops.id"], name="airdrop_rows_airdrop"),
        sa.PrimaryKeyConstraint("city", "airdrop", "line"),
        sa.UniqueConstraint("city", "entry", name="airdrop_rows_entry"),
    )


def downgrade() -> None:
    op.drop_table("airdrop_rows")
    op.drop_index("airdrops_file", table_name="airdrops")
    op.drop_index("airdrops_running", table_name="airdrops")
    op.drop_index("airdrops_created", table_name="airdrops")
    op.drop_table("airdrops")
