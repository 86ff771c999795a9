"""A pin stands for exactly one definition."""

import pytest

from gateway.core.call import HeaderMark, PinnedTool, Review
from gateway.core.pinning import pin_tool
from gateway.errors import CanonicalError

ECHO = {"name": "echo", "inputSchema": {"type": "object"}}


def test_the_first_pin_is_unreviewed_and_an_equal_definition_keeps_it() -> None:
    """Nothing changes by being listed again."""
    pinned = pin_tool("u", ECHO)
    assert (pinned.review, pinned.name, pinned.schema_problem) == (Review.UNREVIEWED, "echo", "")
    assert pin_tool("u", dict(reversed(ECHO.items())), known=pinned) is pinned


def test_any_change_of_the_definition_is_a_new_pin() -> None:
    """Also of a description: it is what the model reads."""
    before = pin_tool("u", ECHO)
    after = pin_tool("u", ECHO | {"description": "new"}, known=before)
    assert (after.review, after.pin != before.pin) == (Review.CHANGED, True)


def test_a_definition_without_a_usable_schema_says_why() -> None:
    """It is withheld, and `check` can tell the operator."""
    pinned = pin_tool("u", {"name": "echo"})
    assert pinned.schema is None
    assert pinned.schema_problem == "inputSchema is missing or not an object"


def test_a_definition_without_canonical_form_cannot_be_pinned() -> None:
    """Two readers could take its numbers for different ones."""
    with pytest.raises(CanonicalError):
        pin_tool("u", ECHO | {"n": 2**60})


def test_header_marks_are_read_once_with_the_pin() -> None:
    """Each call is held against them; a schema is walked when it is pinned, not when it is called."""
    marked = {"name": "w", "inputSchema": {"properties": {"city": {"type": "string", "x-mcp-header": "City"}}}}
    assert pin_tool("u", marked).header_marks == (HeaderMark(path=("city",), header="city", integer=False),)
    assert isinstance(PinnedTool(upstream="u", name="w", pin="", definition=marked).header_marks, str)
