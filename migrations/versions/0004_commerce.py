"""Spending: shops, promotions, redemptions, and the misses at the till."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shops",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name_th", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("about_th", sa.Text(), nullable=False),
        sa.Column("about_en", sa.Text(), nullable=False),
        sa.Column("district", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("sample", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('applied', 'approved', 'suspended')", name="shops_state"),
        sa.PrimaryKeyConstraint("city", "id"),
    )
    op.create_index("shops_by_state", "shops", ["city", "state", "id"], unique=False)
    op.create_table(
        "lookup_misses",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("shop", sa.Text(), nullable=False),
        sa.Column("recent", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["city", "shop"],
            ["shops.city", "shops.id"],
        ),
        sa.PrimaryKeyConstraint("city", "shop"),
    )
    op.create_table(
        "promotions",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("shop", sa.Text(), nullable=False),
        sa.Column("title_th", sa.Text(), nullable=False),
        sa.Column("title_en", sa.Text(), nullable=False),
        sa.Column("benefit_th", sa.Text(), nullable=False),
        sa.Column("benefit_en", sa.Text(), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("stock", sa.BigInteger(), nullable=True),
        sa.Column("per_learner", sa.BigInteger(), nullable=True),
        sa.Column("starts_at", sa.BigInteger(), nullable=True),
        sa.Column("ends_at", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("sample", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'paused')", name="promotions_state"),
        sa.CheckConstraint("per_learner > 0", name="promotions_per_learner"),
        sa.CheckConstraint("price_minor > 0", name="promotions_price"),
        sa.CheckConstraint("starts_at < ends_at", name="promotions_times"),
        sa.CheckConstraint("stock >= 0", name="promotions_stock"),
        sa.ForeignKeyConstraint(
            ["city", "shop"],
            ["shops.city", "shops.id"],
        ),
        sa.PrimaryKeyConstraint("city", "id"),
    )
    op.create_index("promotions_by_price", "promotions", ["city", "state", "price_minor", "id"], unique=False)
    op.create_index("promotions_by_shop", "promotions", ["city", "shop", "state", "id"], unique=False)
    op.create_table(
        "redemptions",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("promotion", sa.Text(), nullable=False),
        sa.Column("shop", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("case_seq", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("offer", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_minor > 0", name="redemptions_amount"),
        sa.CheckConstraint("expires_at > created_at", name="redemptions_times"),
        sa.CheckConstraint("length(code) = 6", name="redemptions_code"),
        sa.ForeignKeyConstraint(
            ["city", "promotion"],
            ["promotions.city", "promotions.id"],
        ),
        sa.ForeignKeyConstraint(
            ["city", "shop"],
            ["shops.city", "shops.id"],
        ),
        sa.PrimaryKeyConstraint("city", "id"),
        sa.UniqueConstraint("city", "case_seq", name="redemptions_case"),
        sa.UniqueConstraint("city", "secret", name="redemptions_secret"),
    )
    op.create_index("redemptions_by_code", "redemptions", ["city", "shop", "code", "case_seq"], unique=False)
    op.create_index("redemptions_by_learner", "redemptions", ["city", "learner", "case_seq"], unique=False)
    op.create_index("redemptions_by_promotion", "redemptions", ["city", "promotion", "learner"], unique=False)
    op.create_index("redemptions_by_shop", "redemptions", ["city", "shop", "case_seq"], unique=False)


def downgrade() -> None:
    op.drop_index("redemptions_by_shop", table_name="redemptions")
    op.drop_index("redemptions_by_promotion", table_name="redemptions")
    op.drop_index("redemptions_by_learner", table_name="redemptions")
    op.drop_index("redemptions_by_code", table_name="redemptions")
    op.drop_table("redemptions")
    op.drop_index("promotions_by_shop", table_name="promotions")
    op.drop_index("promotions_by_price", table_name="promotions")
    op.drop_table("promotions")
    op.drop_table("lookup_misses")
    op.drop_index("shops_by_state", table_name="shops")
    op.drop_table("shops")
