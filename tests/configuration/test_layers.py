"""How layers lie over each other."""

from gateway.configuration.layers import Layer, Origin, leaves, merge


def layer(source: str, *paths: str, replaces: frozenset[str] = frozenset()) -> Layer:
    made = Layer(replaces=replaces)
    for path in paths:
        made.put(path.split("."), source, Origin(source=source))
    return made


def test_maps_are_mixed_key_by_key_and_the_first_layer_wins() -> None:
    """An environment variable changes one limit, not all of them."""
    merged = merge([layer("env", "a.x"), layer("file", "a.x", "a.y", "b")])
    assert merged.values == {"a": {"x": "env", "y": "file"}, "b": "file"}
    assert {path: str(origin) for path, origin in merged.origins.items()} == {
        ("a", "x"): "env",
        ("a", "y"): "file",
        ("b",): "file",
    }


def test_a_replaced_name_keeps_nothing_from_below() -> None:
    """Neither its values nor their origins."""
    merged = merge([layer("flag", "a.x", replaces=frozenset({"a"})), layer("file", "a.y", "a.x", "b")])
    assert merged.values == {"a": {"x": "flag"}, "b": "file"}
    assert set(merged.origins) == {("a", "x"), ("b",)}


def test_a_name_that_the_replacing_layer_does_not_write_stays() -> None:
    """Without upstreams on the command line those of the file hold."""
    assert merge([layer("flag", "c", replaces=frozenset({"a"})), layer("file", "a.y")]).values == {
        "c": "flag",
        "a": {"y": "file"},
    }


def test_merging_changes_no_layer() -> None:
    """A layer may be merged twice."""
    below = layer("file", "a.x")
    merge([layer("env", "a.y"), below])
    assert below.values == {"a": {"x": "file"}}


def test_leaves_are_values_and_empty_maps_in_order() -> None:
    """An empty map is something to show, a filled one is not."""
    assert list(leaves({"a": {"b": 1, "c": {}}, "d": [2]})) == [(("a", "b"), 1), (("a", "c"), {}), (("d",), [2])]


def test_an_origin_reads_as_a_place() -> None:
    """Editors jump to `file:line:column`."""
    assert str(Origin(source="a.yaml", line=2, column=3)) == "a.yaml:2:3"
    assert str(Origin(source="--port")) == "--port"
