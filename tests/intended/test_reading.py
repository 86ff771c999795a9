"""Reading answers: what has the wrong type counts for nothing."""

from typing import Any

import pytest

from intended.reading import Fields, Nonsense, parse


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"decision": "ALLOW"',
        b"<html>502</html>",
        b"\xff\xfe{}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"decision": "DENY", "decision": "ALLOW"}',
        b"[" * 100_000,
        b'{"n": ' + b"1" * 5000 + b"}",
    ],
)
def test_what_is_not_one_clear_json_value_is_nonsense(body: bytes) -> None:
    """Two readers must not take two verdicts from one answer."""
    with pytest.raises(Nonsense):
        parse(body)


@pytest.mark.parametrize(
    ("method", "arguments", "wrong"),
    [
        ("text", (), [None, "", 1, True, [], {}]),
        ("number", (), [None, "1", True, -1, 101, float("inf"), []]),
        ("count", (), [None, "1", True, 1.0, -1]),
        ("flag", (), [None, "true", 1]),
        ("texts", (), [None, "a", [1], {}]),
        ("one", (dict,), [None, 1, []]),
        ("each", (Fields.whole,), [None, {}, [1]]),
        ("text_or", (), [1, [], {}]),
        ("number_or", (), ["1", True, float("inf")]),
        ("count_or", (), ["1", -1]),
        ("texts_or", (), ["a", [1]]),
        ("each_or", (Fields.whole,), ["a", [1]]),
        ("object_or", (), ["a", []]),
    ],
)
def test_a_member_of_the_wrong_type_is_nonsense(method: str, arguments: tuple[Any, ...], wrong: list[Any]) -> None:
    """A number that is a text, or True, is a service that this client does not know."""
    bounds = {"least": 0, "most": 100} if method == "number" else {}
    for value in wrong:
        with pytest.raises(Nonsense, match="m"):
            getattr(Fields({"m": value}), method)("m", *arguments, **bounds)


def test_absent_and_null_members_have_their_default() -> None:
    """Services leave out what they have nothing to say about, or say null."""
    for fields in (Fields({}), Fields(dict.fromkeys("abcdef"))):
        assert fields.text_or("a") == ""
        assert fields.text_or("a", "x") == "x"
        assert fields.number_or("b") is None
        assert fields.count_or("c", 3) == 3
        assert fields.texts_or("d") == ()
        assert fields.each_or("e", Fields.whole) == ()
        assert fields.object_or("f") == {}
        assert not fields.has("a")


def test_what_is_there_is_returned() -> None:
    """The other side of strictness."""
    fields = Fields({"t": "x", "n": 1.5, "c": 3, "f": False, "l": ["a"], "o": {"k": 1}, "e": [{"k": 2}]})
    assert fields.text("t") == fields.text_or("t") == "x"
    assert fields.number("n", least=0, most=2) == fields.number_or("n") == 1.5
    assert fields.count("c") == fields.count_or("c") == 3
    assert fields.flag("f") is False
    assert fields.texts("l") == fields.texts_or("l") == ("a",)
    assert fields.one("o", Fields.whole) == fields.object_or("o") == {"k": 1}
    assert fields.each("e", Fields.whole) == fields.each_or("e", Fields.whole) == ({"k": 2},)


def test_the_error_names_the_place_and_not_the_value() -> None:
    """Answers may hold tokens."""
    with pytest.raises(Nonsense) as caught:
        Fields({"token": ["secret"]}, "`decision`").text("token")
    assert "`decision`" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_answer_must_be_an_object() -> None:
    """A list, a number or null say nothing."""
    for value in (None, [], 1, "ALLOW", True):
        with pytest.raises(Nonsense, match="not an object"):
            Fields(value)
