"""The values of a read message."""

import dataclasses

import pytest

from gateway.core.message import Rejection


def test_a_rejection_cannot_be_changed_on_its_way() -> None:
    """It is recorded and answered from the same value."""
    rejection = Rejection(status=400, code=-32600, message="no")
    with pytest.raises(dataclasses.FrozenInstanceError):
        rejection.status = 200  # type: ignore[misc]
