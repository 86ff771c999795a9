"""A lease as it is typed: what is read is what was meant, or it is refused."""

from typing import Any

import pytest
import typer

from gateway.cli.lease_terms import lease_body


def test_without_any_of_its_options_there_is_no_lease() -> None:
    """A plain yes is for one call."""
    assert lease_body(None, None, None) is None
    assert lease_body(None, None, []) is None


@pytest.mark.parametrize(
    ("time", "uses", "body"),
    [
        ("10m", None, {"minutes": 10}),
        ("2h", 5, {"minutes": 120, "uses": 5}),
        ("120s", None, {"minutes": 2}),
        (None, 3, {"uses": 3}),
    ],
)
def test_time_and_uses_are_read(time: str | None, uses: int | None, body: dict[str, Any]) -> None:
    """What is not said is the gateway's default."""
    assert lease_body(time, uses, None) == body


@pytest.mark.parametrize(
    ("typed", "place", "check", "value"),
    [
        ("args.path=prefix:/srv/data/", "/path", "prefix", "/srv/data/"),
        ("args.path=prefix:7", "/path", "prefix", "7"),
        ("args.amount=max:500", "/amount", "max", 500),
        ("args.amount=min:0.5", "/amount", "min", 0.5),
        ("args.note=any", "/note", "any", True),
        ("args.to.names[0].first=equals:Jane", "/to/names/0/first", "equals", "Jane"),
        ("args.dry=equals:true", "/dry", "equals", True),
        ("args.none=equals:null", "/none", "equals", None),
        ("args.x=equals:", "/x", "equals", ""),
        ('args.how=oneOf:["a","b,c",1]', "/how", "oneOf", ["a", "b,c", 1]),
        ("args.how=oneOf:a,b", "/how", "oneOf", ["a", "b"]),
        ("args.how=oneOf:5", "/how", "oneOf", [5]),
        ("/a~1b/0=max:1", "/a~1b/0", "max", 1),
        ("args.a/b=max:1", "/a~1b", "max", 1),
        ("args.q=equals:x=max:5", "/q", "equals", "x=max:5"),
        ("args.text=equals:two\nlines", "/text", "equals", "two\nlines"),
    ],
)
def test_a_place_its_check_and_its_value_are_read(typed: str, place: str, check: str, value: Any) -> None:
    """As people write paths, or as JSON pointers for the rest."""
    assert lease_body(None, None, [typed]) == {"constraints": {place: {check: value}}}


def test_several_checks_of_one_place_go_together() -> None:
    """A range."""
    assert lease_body(None, None, ["args.a=min:1", "args.a=max:5", "args.b=any"]) == {
        "constraints": {"/a": {"min": 1, "max": 5}, "/b": {"any": True}}
    }


@pytest.mark.parametrize(
    "typed",
    [
        "path=any",
        "args=any",
        "args.=any",
        "args.a",
        "args.a=",
        "args.a=like:x",
        "args.a=max",
        "args.a=any:x",
        "args.a=max:much",
        "args.a=max:true",
        "args.a]=any",
        "args.a..b=any",
        "args.a[x]=any",
        "",
    ],
)
def test_what_cannot_be_read_is_refused(typed: str) -> None:
    """A slip must not become a wider lease, nor a plain yes."""
    with pytest.raises(typer.BadParameter):
        lease_body("10m", None, [typed])


@pytest.mark.parametrize("time", ["90s", "10", "m"])
def test_a_time_that_is_no_whole_minutes_is_refused(time: str) -> None:
    """Rounding would grant more, or less, than was said."""
    with pytest.raises(typer.BadParameter):
        lease_body(time, None, None)


def test_one_check_of_a_place_twice_is_refused() -> None:
    """Which one is meant nobody knows."""
    with pytest.raises(typer.BadParameter, match="twice"):
        lease_body(None, None, ["args.a=max:1", "args.a=max:2"])


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("amount=max:500", "a place begins with `args.`: args.amount"),
        ("to.names[0]=any", "args.to.names[0]"),
        ("args.a=like:x", "CHECK is any, equals, oneOf, max, min, prefix, and not 'like'"),
        ("args.a=max", "'max' needs a value: write args.a=max:VALUE"),
        ("args.a=any:x", "'any' takes no value: write args.a=any"),
        ("args.a=max:much", "'max' takes a number, as max:500"),
        ("args.a", "write args.PLACE=CHECK:VALUE, as args.path=prefix:/srv/data/"),
        ("args=any", "write args.PLACE=CHECK:VALUE"),
    ],
)
def test_who_writes_it_wrongly_is_told_how_it_is_written(typed: str, hint: str) -> None:
    """With what was typed put right where that can be known."""
    with pytest.raises(typer.BadParameter) as caught:
        lease_body(None, None, [typed])
    assert hint in str(caught.value)
