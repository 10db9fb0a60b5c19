"""The town, on both databases."""

from __future__ import annotations

import pytest

from tests.factories import Installation
from tests.programme.town import Town


@pytest.fixture
def town(installation: Installation) -> Town:
    """A town with one place and a full treasury."""
    return Town(installation)
