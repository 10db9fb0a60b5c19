"""One index less over check-ins: a learner's record is short, and its key leads to it as well.

Applies to a database that is being served.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("check_ins_day", table_name="check_ins")


def downgrade() -> None:
    op.create_index("check_ins_day", "check_ins", ["city", "learner", "day"])
