"""What is asked, for people."""

from gateway.core.call import Call


def test_a_call_is_named_by_what_it_is_aimed_at() -> None:
    """Entries show the target: a name, a URI, or at least the method."""

    def target(name: str, uri: str) -> str:
        return Call(method="roots/list", upstream="u", name=name, uri=uri, arguments={}, arguments_digest="").target

    assert (target("t", ""), target("", "x://1"), target("", "")) == ("t", "x://1", "roots/list")
