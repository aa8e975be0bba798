"""What explains a call: the rule that decided on an event, the span that caused a delivery."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns; nobody knows what they would hold for what is there already."""
    op.add_column("events", sa.Column("rule", sa.Text(), nullable=True))
    op.add_column("outbox", sa.Column("trace", sa.String(length=64), nullable=True))
