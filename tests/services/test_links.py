"""A link leads to the page, or there is none."""

from gateway.services.links import Links


def test_a_link_is_on_the_address_that_is_served() -> None:
    """Also where the port is known only once it is bound."""
    links = Links("http://127.0.0.1:0")
    links.serve("http://127.0.0.1:4711")
    assert links.base == "http://127.0.0.1:4711"
    assert links.approval("apr_1") == "http://127.0.0.1:4711/approve/apr_1"


def test_the_operator_s_word_stands() -> None:
    """Behind a proxy the address that is served leads nobody anywhere."""
    links = Links("https://gate.example.org", fixed=True)
    links.serve("http://127.0.0.1:4711")
    assert links.approval("apr_1") == "https://gate.example.org/approve/apr_1"


def test_there_is_no_link_without_a_page_or_an_approval() -> None:
    """A text then names the command alone."""
    assert Links().approval("apr_1") == ""
    assert Links("http://127.0.0.1:1").approval("") == ""


def test_pages_are_for_an_agents_user_where_the_operator_has_said_where_they_are() -> None:
    """An address that happens to be served may lead nowhere from where the user sits."""
    served = Links()
    served.serve("http://127.0.0.1:8787")
    assert (served.public, Links("https://gate.test", fixed=True).public) == (False, True)
