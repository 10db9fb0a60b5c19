"""Earning: places, activities, their sessions, and check-ins."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "districts",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name_th", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("city", "id"),
    )
    op.create_table(
        "places",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name_th", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("district", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("street_order", sa.Integer(), nullable=True),
        sa.Column("note_th", sa.Text(), nullable=False),
        sa.Column("note_en", sa.Text(), nullable=False),
        sa.CheckConstraint("street_order > 0", name="places_street_order_positive"),
        sa.ForeignKeyConstraint(["city", "district"], ["districts.city", "districts.id"], name="places_district"),
        sa.PrimaryKeyConstraint("city", "id"),
        sa.UniqueConstraint("city", "street_order", name="places_street_order"),
    )
    op.create_table(
        "activities",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("name_th", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("about_th", sa.Text(), nullable=False),
        sa.Column("about_en", sa.Text(), nullable=False),
        sa.Column("organiser_th", sa.Text(), nullable=False),
        sa.Column("organiser_en", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("daily_from", sa.Text(), nullable=True),
        sa.Column("daily_until", sa.Text(), nullable=True),
        sa.Column("code_tag", sa.Text(), nullable=False),
        sa.Column("code_version", sa.Integer(), nullable=False),
        sa.Column("sample", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("mode IN ('poster', 'kiosk')", name="activities_mode"),
        sa.CheckConstraint("state IN ('draft', 'published', 'closed')", name="activities_state"),
        sa.CheckConstraint("(daily_from IS NULL) = (daily_until IS NULL)", name="activities_daily"),
        sa.CheckConstraint("daily_from < daily_until", name="activities_daily_order"),
        sa.CheckConstraint("length(code_tag) = 4 AND code_version > 0", name="activities_code"),
        sa.ForeignKeyConstraint(["city", "place"], ["places.city", "places.id"], name="activities_place"),
        sa.PrimaryKeyConstraint("city", "id"),
        sa.UniqueConstraint("city", "code_tag", name="activities_code_tag"),
    )
    op.create_table(
        "activity_sessions",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("activity", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("seats", sa.Integer(), nullable=True),
        sa.CheckConstraint("seats > 0", name="activity_sessions_seats"),
        sa.CheckConstraint("starts_at < ends_at", name="activity_sessions_order"),
        sa.ForeignKeyConstraint(
            ["city", "activity"], ["activities.city", "activities.id"], name="activity_sessions_activity"
        ),
        sa.PrimaryKeyConstraint("city", "activity", "id"),
    )
    op.create_index("activity_sessions_ends_at", "activity_sessions", ["city", "activity", "ends_at"], unique=False)
    op.create_table(
        "check_ins",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("activity", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("code_seconds", sa.BigInteger(), nullable=False),
        sa.Column("single_code", sa.BigInteger(), nullable=True),
        sa.Column("turn", sa.Text(), nullable=True),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("assurance", sa.Text(), nullable=False),
        sa.CheckConstraint("amount_minor > 0", name="check_ins_amount"),
        sa.ForeignKeyConstraint(["city", "activity"], ["activities.city", "activities.id"], name="check_ins_activity"),
        sa.PrimaryKeyConstraint("city", "learner", "activity", "session"),
        sa.UniqueConstraint("city", "activity", "single_code", name="check_ins_single_code"),
        sa.UniqueConstraint("city", "entry", name="check_ins_entry"),
        sa.UniqueConstraint("city", "turn", name="check_ins_turn"),
    )
    op.create_index("check_ins_day", "check_ins", ["city", "learner", "day"], unique=False)
    op.create_index("check_ins_session", "check_ins", ["city", "activity", "session"], unique=False)


def downgrade() -> None:
    op.drop_index("check_ins_session", table_name="check_ins")
    op.drop_index("check_ins_day", table_name="check_ins")
    op.drop_table("check_ins")
    op.drop_index("activity_sessions_ends_at", table_name="activity_sessions")
    op.drop_table("activity_sessions")
    op.drop_table("activities")
    op.drop_table("places")
    op.drop_table("districts")
