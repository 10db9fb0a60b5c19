"""An index over the few entries that may move between institutions, so that the audit page adds them up in no time.

Applies to a database that is being served: writers wait for as long as the entries are read once.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

NAME = "entries_between_institutions"


def upgrade() -> None:
    where = sa.text("kind IN ('bridge_in', 'fund', 'grant', 'reverse', 'settle', 'transfer')")
    op.create_index(NAME, "entries", ["city", "kind", "seq"], postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    op.drop_index(NAME, table_name="entries")
