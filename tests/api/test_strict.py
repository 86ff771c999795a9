"""Bodies and queries, read in one strict way."""

from collections.abc import Callable
from typing import Annotated, Literal

import anyio
import pytest
from pydantic import Discriminator, Field, Tag
from starlette.requests import ClientDisconnect

from gateway.api.errors import PayloadTooLarge, UnsupportedMediaType
from gateway.api.fields import Asked, PageQuery
from gateway.api.strict import read_json, read_model, read_query
from gateway.core.jsonvalue import JsonObject
from gateway.core.message import WireLimits
from gateway.errors import FieldProblem, InvalidRequest

LIMITS = WireLimits(body_bytes=100, depth=4, keys=10, id_chars=10)
JSON = ((b"content-type", b"application/json"),)


class Thing(Asked):
    """A body."""

    name: str = Field(title="Name", min_length=1)
    kind: Annotated[
        Annotated[str, Tag("<text>")] | Annotated[dict[str, int], Tag("<object>")],
        Discriminator(lambda value: "<object>" if isinstance(value, dict) else "<text>"),
    ] = ""
    state: Literal["on", "off"] = "on"
    count: int = 0
    note: str | None = Field(default=None, min_length=1)


def arriving(*pieces: bytes, gone: bool = False) -> Callable[[], object]:
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.disconnect"} if gone else {"type": "http.request", "body": b"", "more_body": False})
    waiting = iter(messages)

    async def receive() -> object:
        await anyio.lowlevel.checkpoint()
        return next(waiting)

    return receive


async def read(body: bytes, headers=JSON, *, optional: bool = False) -> JsonObject | None:
    return await read_json(headers, arriving(body[:3], body[3:]), LIMITS, optional=optional)


def problems(error: InvalidRequest) -> list[tuple[tuple[str | int, ...], str]]:
    return [(one.path, one.message) for one in error.problems]


@pytest.mark.parametrize(
    "media",
    [
        b"application/json",
        b"Application/JSON; charset=UTF-8",
        b'application/json;charset="utf-8"',
        b"application/json;",
    ],
)
async def test_json_is_read_under_its_own_media_type(media: bytes) -> None:
    """With or without the only charset that it has (RFC 8259)."""
    assert await read(b'{"a": 1}', ((b"content-type", media),)) == {"a": 1}


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"content-type", b"application/x-www-form-urlencoded"),),
        ((b"content-type", b"text/json"),),
        ((b"content-type", b"application/json; charset=latin-1"),),
        (*JSON, (b"content-encoding", b"gzip")),
    ],
)
async def test_another_media_type_is_refused(headers) -> None:
    """A form that a foreign page can send must not be read as JSON."""
    with pytest.raises(UnsupportedMediaType):
        await read(b'{"a": 1}', headers)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a": 1, "a": 2}',
        b'{"a": 1, "A": 2}',
        b'{"a": NaN}',
        b'{"a": "\\u0000"}',
        b'{"a": "\\ud800"}',
        b'{"a": 9007199254740993}',
        b'{"a": 1e999}',
        b'{"a": [[[[[1]]]]]}',
        b'{"a": [1,2,3,4,5,6,7,8,9,0,1]}',
        b'{"a": 1} {}',
        b"\xff",
        b"[]",
        b"null",
    ],
)
async def test_what_two_readers_could_read_differently_is_refused(body: bytes) -> None:
    """The decoder of the MCP front: duplicates, NaN, NUL, huge numbers, deep nesting, and what is no object."""
    with pytest.raises(InvalidRequest) as caught:
        await read(body)
    assert [path for path, _ in problems(caught.value)] == [()]
    assert str(caught.value).startswith("body: ")


async def test_a_body_that_need_not_be_there_may_be_empty_under_any_media_type() -> None:
    """The guide's curl line for approve sends neither body nor type; its clients send the type alone."""
    assert await read(b"", (), optional=True) is None
    assert await read(b"", JSON, optional=True) is None
    assert await read(b"{}", JSON, optional=True) == {}
    with pytest.raises(UnsupportedMediaType):
        await read(b"{}", (), optional=True)


async def test_a_body_beyond_its_bound_is_refused_as_soon_as_that_is_known() -> None:
    """By its declared length before anything is read, else by what came."""
    with pytest.raises(PayloadTooLarge):
        await read_json((*JSON, (b"content-length", b"101")), arriving(), LIMITS, optional=False)
    with pytest.raises(PayloadTooLarge):
        await read_json((*JSON, (b"content-length", b"9" * 5000)), arriving(), LIMITS, optional=False)
    with pytest.raises(PayloadTooLarge):
        await read(b'{"a": "' + b"x" * 100 + b'"}')
    assert await read(b'{"a": "' + b"x" * 91 + b'"}') is not None


async def test_a_caller_that_leaves_is_told_nothing() -> None:
    """There is nobody to answer, and half a body decides nothing."""
    with pytest.raises(ClientDisconnect):
        await read_json(JSON, arriving(b'{"a":', gone=True), LIMITS, optional=True)


def test_every_failed_field_is_told_in_json_s_words() -> None:
    """The guide: the message joins them, the details list them."""
    with pytest.raises(InvalidRequest) as caught:
        read_model(Thing, {"name": "", "kind": {"a": "1"}, "state": "maybe", "count": "5", "note": ""})
    assert problems(caught.value) == [
        (("name",), "Name is required"),
        (("kind", "a"), "must be a whole number"),
        (("state",), "Input should be 'on' or 'off'"),
        (("count",), "must be a whole number"),
        (("note",), "String should have at least 1 character"),
    ]
    with pytest.raises(InvalidRequest) as caught:
        read_model(Thing, {"kind": 1})
    assert problems(caught.value) == [(("name",), "Name is required"), (("kind",), "must be a text")]


def test_members_that_no_document_names_are_passed_over() -> None:
    """Published clients send what they like beside; a null is the same as nothing where a field is optional."""
    assert read_model(Thing, {"name": "a", "note": None, "else": 1}).name == "a"


def test_a_query_is_read_by_its_names() -> None:
    """Numbers of digits; unknown parameters are passed over."""
    assert read_query(PageQuery, b"page=2&pageSize=7&x=1") == PageQuery(page=2, pageSize=7)
    assert read_query(PageQuery, b"").pageSize == 20


@pytest.mark.parametrize(
    ("query", "path"),
    [
        (b"page=1&page=2", ("page",)),
        (b"page=0", ("page",)),
        (b"page=+1", ("page",)),
        (b"page=1.0", ("page",)),
        (b"page=", ("page",)),
        (b"page=1_0", ("page",)),
        (b"page=" + b"9" * 40, ("page",)),
        (b"pageSize=101", ("pageSize",)),
        (b"page=%ff", ()),
        (b"&".join(b"p%d=1" % number for number in range(70)), ()),
        (b"page=\xff", ()),
    ],
)
def test_a_query_that_could_be_read_twice_is_refused(query: bytes, path: tuple[str, ...]) -> None:
    """A page that two readers see differently shows one of them the wrong thing."""
    with pytest.raises(InvalidRequest) as caught:
        read_query(PageQuery, query)
    assert [one for one, _ in problems(caught.value)] == [path]


def test_a_field_problem_has_no_value_in_it() -> None:
    """What was sent may be a secret."""
    with pytest.raises(InvalidRequest) as caught:
        read_model(Thing, {"name": 12345, "count": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert FieldProblem(path=("name",), message="must be a text") in caught.value.problems
