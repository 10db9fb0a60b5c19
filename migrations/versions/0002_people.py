"""People: learners, sign-ins and one-time links."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "learners",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("secured_at", sa.BigInteger(), nullable=True),
        sa.Column("recovery_hash", sa.Text(), nullable=False),
        sa.CheckConstraint("length(id) = 26", name="learners_id"),
        sa.PrimaryKeyConstraint("city", "id"),
        sa.UniqueConstraint("city", "recovery_hash", name="learners_recovery_hash"),
    )
    op.create_table(
        "links",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("expires_at > created_at", name="links_lifetime"),
        sa.CheckConstraint("length(hash) = 64", name="links_hash_length"),
        sa.PrimaryKeyConstraint("city", "id"),
        sa.UniqueConstraint("city", "hash", name="links_hash"),
    )
    op.create_table(
        "tokens",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("expires_at IS NULL OR expires_at > created_at", name="tokens_lifetime"),
        sa.CheckConstraint("length(hash) = 64", name="tokens_hash_length"),
        sa.PrimaryKeyConstraint("city", "id"),
        sa.UniqueConstraint("city", "hash", name="tokens_hash"),
    )
    op.create_index("tokens_subject", "tokens", ["city", "subject"], unique=False)


def downgrade() -> None:
    op.drop_index("tokens_subject", table_name="tokens")
    op.drop_table("tokens")
    op.drop_table("links")
    op.drop_table("learners")
