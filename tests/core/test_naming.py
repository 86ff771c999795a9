"""Names on a path that serves several upstreams, there and back."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.naming import EXPOSED_NAME_CHARS, exposed_name, own_name, split_name

UPSTREAMS = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True)
NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1, max_size=100)


@given(UPSTREAMS, NAMES)
def test_every_name_finds_its_way_back(upstream: str, name: str) -> None:
    """What an agent calls by an exposed name is decided and forwarded under the upstream's own."""
    exposed = exposed_name(upstream, name)
    assert len(exposed) <= EXPOSED_NAME_CHARS
    assert split_name(exposed)[0] == upstream
    assert own_name(upstream, exposed, [name]) == name


def test_a_name_with_the_separator_in_it_keeps_it() -> None:
    """Upstream ids have no underscore, so the first separator is ours."""
    assert split_name("files__read__all") == ("files", "read__all")


def test_a_plain_name_belongs_to_no_upstream() -> None:
    """An agent that leaves the prefix out reaches nobody."""
    assert split_name("read") == ("", "")


def test_long_names_that_begin_alike_differ() -> None:
    """The digest is over the whole name."""
    one, two = (exposed_name("files", "x" * 80 + end) for end in "ab")
    assert one != two
    assert own_name("files", two, ["x" * 80 + "a", "x" * 80 + "b"]) == "x" * 80 + "b"


def test_an_unknown_shortened_name_is_nobodys() -> None:
    """It is looked up as it is, and not found."""
    exposed = exposed_name("files", "x" * 80)
    assert own_name("files", exposed, []) == split_name(exposed)[1]
