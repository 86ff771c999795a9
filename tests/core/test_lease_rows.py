"""What is kept of a lease is what it was."""

from gateway.core.lease_rows import Lease, lease_key, read_lease, read_shape, shape_bytes, shape_key, uses_key
from gateway.core.leases import Check, Constraint, Leased, LeaseState, Shape

LEASE = Lease(
    id="lse_1",
    tenant="acme",
    agent="bot",
    upstream="u",
    tool="t",
    pin="p",
    approval_id="apr_1",
    intent_id="int_1",
    requested_by="key_1",
    human="",
    granted="2026-11-22T12:00:00.000Z",
    granted_by="ps_1",
    claimed="jane",
    rationale="agreed",
    expires="2026-11-22T12:10:00.000Z",
    uses=10,
    fact=Leased(id="lse_1", rules=frozenset({("ask", "d")}), risk=40, factors=frozenset({"payment"}), tier=2),
)


def test_a_lease_is_read_as_it_was_written() -> None:
    """A restart loses nothing of it."""
    assert read_lease("acme", LEASE.written(), 3) == Lease(
        **{name: getattr(LEASE, name) for name in Lease.__slots__} | {"version": 3}
    )
    ended = LEASE.after(LeaseState.REVOKED, ended="2026-11-22T12:01:00.000Z", by="cli", reason="enough")
    again = read_lease("acme", ended.written(), 0)
    assert again == ended
    assert (again.state, again.ended_by, again.ended_reason) == (LeaseState.REVOKED, "cli", "enough")


def test_a_shape_is_read_as_it_was_written() -> None:
    """It is what the human saw, to the last value."""
    shape = Shape(
        arguments={"path": "/srv/data/a", "amount": 5.5, "more": [None, True]},
        constraints=(
            Constraint(path="/path", check=Check.PREFIX, value="/srv/data/"),
            Constraint(path="/amount", check=Check.ONE_OF, value=[5.5, 6]),
            Constraint(path="/more", check=Check.ANY),
        ),
    )
    assert read_shape(shape_bytes(shape)) == shape


def test_the_rows_of_a_lease_are_apart() -> None:
    """A scan for leases finds neither counters nor shapes."""
    assert len({lease_key("x"), uses_key("x"), shape_key("x")}) == 3
    assert not uses_key("x").startswith(lease_key(""))
    assert not shape_key("x").startswith(lease_key(""))
