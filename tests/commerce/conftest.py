"""The street, on both databases."""

from __future__ import annotations

import pytest

from tests.commerce.street import Street
from tests.factories import Installation


@pytest.fixture
def street(installation: Installation) -> Street:
    """An empty street in Khon Kaen with a full treasury."""
    return Street(installation)
