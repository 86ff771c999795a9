"""The copy of the heads is whole or not there, and tells a store that holds less from one that holds more."""

import json
import stat
from pathlib import Path

import pytest

from gateway.errors import StoreRefused
from gateway.store.headcopy import Head, HeadCopy, Heads, differences

HEADS = Heads(store_id="one", heads={"b": Head(seq=3, hash=b"3" * 32), "ä": Head(seq=1, hash=b"1" * 32)})


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Design, "The head outside the store": store id, and number and hash per tenant; private, without leftovers."""
    copy = HeadCopy(state=tmp_path / "state", data=tmp_path / "data")
    assert copy.read() is None
    copy.write(Heads(store_id="one", heads={}))
    copy.write(HEADS)
    assert copy.read() == HEADS
    assert stat.S_IMODE(copy.path.stat().st_mode) == 0o600
    assert list(copy.path.parent.iterdir()) == [copy.path]


def test_each_data_folder_has_a_copy_of_its_own(tmp_path: Path) -> None:
    """Ours: two gateways of one user must not overwrite each other's copy."""
    one = HeadCopy(state=tmp_path, data=tmp_path / "one")
    two = HeadCopy(state=tmp_path, data=tmp_path / "two")
    one.write(HEADS)
    assert two.read() is None
    assert two.read_of_store("one") == [HEADS]
    assert two.read_of_store("another") == []
    assert one.read_of_store("one") == []


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"format": 2, "storeId": "one", "heads": {}}',
        b'{"format": 1, "storeId": "one", "heads": {"a": {"seq": 1, "hash": "zz"}}}',
        b'{"format": 1, "storeId": "one", "heads": []}',
        b'{"format": 1, "storeId": "one", "heads": {"a": 1}}',
        b"\xff",
    ],
)
def test_a_damaged_copy_is_refused_and_not_taken_for_none(tmp_path: Path, text: bytes) -> None:
    """Security, section 2: who can damage the copy must not thereby switch the check off."""
    copy = HeadCopy(state=tmp_path, data=tmp_path / "data")
    copy.write(HEADS)
    copy.path.write_bytes(text)
    with pytest.raises(StoreRefused, match="cannot be read") as caught:
        copy.read()
    assert "accept-head" in caught.value.remedy
    assert HeadCopy(state=tmp_path, data=tmp_path / "other").read_of_store("one") == []


def store(heads: dict[tuple[str, int], bytes]) -> object:
    return lambda tenant, seq: heads.get((tenant, seq))


SAME = {("b", 3): b"3" * 32, ("ä", 1): b"1" * 32}


@pytest.mark.parametrize(
    ("store_id", "held", "words"),
    [
        ("one", SAME, []),
        ("one", SAME | {("b", 4): b"4" * 32, ("c", 1): b"c" * 32}, []),
        ("two", SAME, ["another store"]),
        ("one", {("ä", 1): b"1" * 32}, ["'b' ends before entry 3"]),
        ("one", SAME | {("ä", 1): b"x" * 32}, ["entry 1 of tenant 'ä' is not the one"]),
        ("one", {}, ["ends before entry 3", "ends before entry 1"]),
    ],
)
def test_a_store_must_hold_what_the_copy_says(
    store_id: str, held: dict[tuple[str, int], bytes], words: list[str]
) -> None:
    """Design, "The head outside the store": cut, rolled back or foreign; holding more is what a second brings."""
    found = differences(HEADS, store_id, store(held))  # type: ignore[arg-type]
    assert len(found) == len(words)
    for text, word in zip(found, words, strict=True):
        assert word in text


def test_the_file_is_readable_for_people(tmp_path: Path) -> None:
    """Ours: an operator compares it with `intended audit verify`."""
    copy = HeadCopy(state=tmp_path, data=tmp_path / "data")
    copy.write(HEADS)
    document = json.loads(copy.path.read_bytes())
    assert document["heads"]["b"] == {"seq": 3, "hash": (b"3" * 32).hex()}
