"""`intended.yaml` as a layer: values with the place of their key. What is refused is in `test_resolve.py`."""

from pathlib import Path

from gateway.configuration.file import read_file
from gateway.configuration.shape import root
from gateway.settings import Settings


def test_each_value_has_the_position_of_its_key(tmp_path: Path) -> None:
    """An error about it must lead to the line."""
    file = tmp_path / "intended.yaml"
    file.write_text("upstreams:\n  a:\n    url: http://x\nallowed_hosts: [b]\nlimits: {}\n")
    layer, problems = read_file(file, root(Settings))
    assert problems == []
    assert layer.values == {"upstreams": {"a": {"url": "http://x"}}, "allowed_hosts": ["b"], "limits": {}}
    assert {".".join(path): (origin.line, origin.column) for path, origin in layer.origins.items()} == {
        "upstreams.a.url": (3, 5),
        "upstreams.a": (2, 3),
        "upstreams": (1, 1),
        "allowed_hosts": (4, 1),
        "limits": (5, 1),
    }


def test_names_that_do_not_exist_are_kept_for_the_judgement_after_merging(tmp_path: Path) -> None:
    """One place says what an unknown name is, for every source."""
    file = tmp_path / "intended.yaml"
    file.write_text("prot: {x: 1}\n")
    layer, problems = read_file(file, root(Settings))
    assert (layer.values, problems) == ({"prot": {"x": 1}}, [])
