"""Check-ins without a foreign key to their activity: PostgreSQL locks that one row for each of a crowd.

The writer has read the activity in the transaction that writes the check-in, and no activity is ever deleted.

Stop the servers before this one: on SQLite the table is built anew.
"""

from alembic import op

from ledger.db import rebuild

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

NAME, COLUMNS, TARGET = "check_ins_activity", ["city", "activity"], ["city", "id"]
KEY = ", \n\tCONSTRAINT check_ins_activity FOREIGN KEY(city, activity) REFERENCES activities (city, id)"
AMOUNT = ", \n\tCONSTRAINT check_ins_amount"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(NAME, "check_ins", type_="foreignkey")
    else:
        rebuild(op.get_bind(), "check_ins", (KEY, ""))


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.create_foreign_key(NAME, "check_ins", "activities", COLUMNS, TARGET)
    else:
        rebuild(op.get_bind(), "check_ins", (AMOUNT, KEY + AMOUNT))
