"""Shops: a telephone number of their own, and what they ask the treasurer to settle.

Applies to a database that is being served: it makes a new table and adds a column with a constant default.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

OPEN = sa.text("state = 'asked'")


def upgrade() -> None:
    op.add_column("shops", sa.Column("phone", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "settlements",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("shop", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("entry", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("city", "id"),
        sa.ForeignKeyConstraint(["city", "shop"], ["shops.city", "shops.id"]),
        sa.CheckConstraint("amount_minor > 0", name="settlements_amount"),
        sa.CheckConstraint("state IN ('asked', 'settled', 'declined', 'withdrawn')", name="settlements_state"),
        sa.CheckConstraint("(state = 'asked') = (ended_at IS NULL)", name="settlements_ended"),
        sa.CheckConstraint("(state = 'settled') = (entry IS NOT NULL)", name="settlements_entry"),
    )
    op.create_index(
        "settlements_open", "settlements", ["city", "shop"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN
    )
    op.create_index("settlements_by_shop", "settlements", ["city", "shop", "asked_at"])
    op.create_index("settlements_by_state", "settlements", ["city", "state", "asked_at"])


def downgrade() -> None:
    op.drop_table("settlements")
    op.drop_column("shops", "phone")
