"""No text becomes markup."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.console.markup import joined, tag


class Reader(HTMLParser):
    """What a browser would take for elements, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((name, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_elements_are_written_with_their_attributes() -> None:
    """True is an attribute without a value, False none; a trailing `_` frees names that Python keeps for itself."""
    made = tag("p", "a", tag("br"), None, tag("b", "c"), class_="x", hidden=True, lang=False)
    assert made.text == '<p class="x" hidden>a<br><b>c</b></p>'
    assert joined("a<", tag("i")).text == "a&lt;<i></i>"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_stays_a_text(text: str) -> None:
    """In an element and in an attribute."""
    read = Reader(tag("p", text, title=text).text)
    assert [name for name, _ in read.elements] == ["p"]
    assert list(read.elements[0][1]) == ["title"]


@pytest.mark.parametrize("char", ["\u202e", "\u200b", "\x00", "\x1b", "\u2028", "\u00a0"])
def test_a_character_that_hides_is_written_out(char: str) -> None:
    """Also where nobody thought of it before."""
    assert char not in tag("p", f"a{char}b").text


def test_the_end_of_a_line_stays_one() -> None:
    """Arguments are shown on lines."""
    assert tag("pre", "a\nb\u200b").text == "<pre>a\nb\\u200b</pre>"
