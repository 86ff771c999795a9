"""The settings as a tree to walk."""

import pytest

from gateway.configuration.shape import Kind, root
from gateway.settings import Settings

SHAPE = root(Settings)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", Kind.SECTION),
        ("port", Kind.VALUE),
        ("policies", Kind.PATHS),
        ("data", Kind.PATH),
        ("allowed_hosts", Kind.LIST),
        ("limits", Kind.SECTION),
        ("upstreams", Kind.MAP),
        ("upstreams.x", Kind.SECTION),
        ("upstreams.x.headers", Kind.MAP),
        ("upstreams.x.headers.Y", Kind.VALUE),
        ("upstreams.x.cwd", Kind.PATH),
        ("audit.arguments", Kind.VALUE),
    ],
)
def test_every_place_has_its_kind(path: str, kind: Kind) -> None:
    """Read from the models, so that a new setting needs no second list."""
    node = SHAPE.at(path.split(".") if path else [])
    assert node is not None
    assert node.kind is kind


@pytest.mark.parametrize("path", ["prot", "port.x", "limits.x", "upstreams.a.b", "limits.x.y"])
def test_what_is_not_there_is_nowhere(path: str) -> None:
    """A value has nothing inside it, a section only its own names."""
    assert SHAPE.at(path.split(".")) is None


def test_a_credential_is_known_by_its_type() -> None:
    """It is masked, and may stand in a file, wherever it is added."""
    assert [SHAPE.at(path).secret for path in (["tokens", "key"], ["tokens", "issuer"], ["port"])] == [
        True,
        False,
        False,
    ]  # type: ignore[union-attr]
