"""A look at a gateway, as a value."""

from gateway.core.readings import Readings


def test_what_was_not_read_is_missing_and_nothing_is_claimed() -> None:
    """A gauge of 0 that nobody has read would be a lie; ready is only who said so."""
    nothing = Readings()
    assert not any((nothing.pending_intents, nothing.pending_approvals, nothing.trust, nothing.chains))
    assert (nothing.ready, nothing.reloaded) == (False, False)
