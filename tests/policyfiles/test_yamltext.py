"""Policies read one way only: each second reading that YAML offers is refused, at its place."""

import pytest

from gateway.core.policy.reading import Place
from gateway.errors import PolicyError
from gateway.policyfiles.yamltext import read_yaml


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\na: 2\n", (2, 1), "the key `a` is there twice (first in line 1)"),
        ('a: 1\n"\\x61": 2\n', (2, 1), "the key `a` is there twice"),
        ("x: {a: 1, a: 2}\n", (1, 11), "twice"),
        ("a: &x 1\n", (1, 4), "the anchor &x is refused"),
        ("a: *x\n", (1, 4), "the alias *x is refused"),
        ("a: !!str 1\n", (1, 4), "the tag tag:yaml.org,2002:str is refused"),
        ("a: !python/object/apply:os.system [x]\n", (1, 4), "the tag"),
        ("<<: {a: 1}\n", (1, 1), "merge keys (<<) are refused"),
        ("a: 2020-01-01\n", (1, 4), "a plain timestamp is refused"),
        ("a: =\n", (1, 4), "a plain value is refused"),
        ("a: 012\n", (1, 4), "more than one way"),
        ("a: 0x1f\n", (1, 4), "more than one way"),
        ("a: 0o17\n", (1, 4), "more than one way"),
        ("a: 1_000\n", (1, 4), "more than one way"),
        ("a: +1\n", (1, 4), "more than one way"),
        ("a: 99999999999999999\n", (1, 4), "more than one way"),
        ("a: .nan\n", (1, 4), "more than one way"),
        ("a: .inf\n", (1, 4), "more than one way"),
        ("a: 1e999\n", (1, 4), "more than one way"),
        ("a: 1_0.5\n", (1, 4), "more than one way"),
        ("a: True\n", (1, 4), "more than one way"),
        ("1: a\n", (1, 1), "the key `1` is not text"),
        ("? [a]\n: 1\n", (1, 3), "a key must be text"),
        ("%YAML 1.1\n---\na: 1\n", (2, 1), "directives"),
        ("%TAG ! tag:x,2000:\n---\na: 1\n", (2, 1), "directives"),
        ("---\na: 1\n---\nb: 1\n", (3, 1), "a second document"),
        ("a: [1\n", (2, 1), "not YAML"),
        ("a: 1\n b: 2\n", (2, 3), "not YAML"),
        ("\ta: 1\n", (1, 1), "not YAML"),
        ("a: \x01\n", (0, 0), "a character that YAML does not allow"),
        ("# nothing\n", (2, 1), "the file is empty"),
        ("[" * 30 + "]" * 30 + "\n", (1, 26), "nested deeper than 24"),
    ],
)
def test_what_could_be_read_another_way_is_refused_where_it_stands(
    text: str, place: tuple[int, int], words: str
) -> None:
    """`action: deny` with a second `action: allow` was read as allow elsewhere (ecosystem research 4)."""
    with pytest.raises(PolicyError) as caught:
        read_yaml("p.yaml", text)
    problem = caught.value.problems[0]
    assert words in problem.message
    assert (problem.line, problem.column) == place
    assert problem.remedy


def test_plain_values_are_those_of_yaml_1_2() -> None:
    """`no` is text, not False; numbers are numbers."""
    text = "a: no\nb: true\nc: false\nd: ~\ne:\nf: -3\ng: 1.5\nh: 1e3\ni: '12'\nj: [x, {y: 0}]\nk: 1.\n"
    data, _ = read_yaml("p.yaml", text)
    assert data == {
        "a": "no", "b": True, "c": False, "d": None, "e": None, "f": -3, "g": 1.5, "h": 1000.0, "i": "12",
        "j": ["x", {"y": 0}], "k": 1.0,
    }  # fmt: skip


def test_places_lead_to_values_keys_and_the_characters_of_texts() -> None:
    """An engine's error inside a condition is shown at its place in the file."""
    text = (
        "plain: x > 1\n"
        "single: 'x > 1'\n"
        'double: "x > 1"\n'
        "block: |\n"
        "\n"
        "    x\n"
        "     > 1\n"
        "folded: >-\n"
        "  x\n"
        "  > 1\n"
        "empty: |\n"
        "\n"
        "long: x\n"
        "  > 1\n"
        "rules:\n"
        "  - id: a\n"
    )
    data, places = read_yaml("p.yaml", text)
    assert data["block"] == "\nx\n > 1\n"
    assert places.of(("plain",)).within(1, 3) == Place(line=1, column=10)
    assert places.of(("single",)).within(1, 3) == Place(line=2, column=12)
    assert places.of(("double",)).within(1, 3) == Place(line=3, column=12)
    assert places.of(("block",)).within(3, 2) == Place(line=7, column=6)
    assert places.of(("folded",)).within(2, 1) == Place(line=8, column=9)
    assert places.of(("long",)).within(2, 1) == Place(line=13, column=7)
    assert places.of(("empty",)).within(1, 1) == Place(line=12, column=1)
    assert places.of(("rules", 0, "id")) == Place(line=16, column=9, text_line=16, text_column=9)
    assert places.of(("rules", 0, "id"), key=True).column == 5
