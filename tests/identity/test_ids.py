"""Identifiers are ULIDs that nobody can guess or meet twice."""

import time

from ulid import ULID

from gateway.identity.ids import DRAWN_AT_ONCE, RandomIds


def test_an_id_is_a_ulid_of_this_moment() -> None:
    """Read by the library that implements the specification."""
    ids = RandomIds()
    before = int(time.time() * 1000)
    prefix, _, text = ids.new("int").partition("_")
    ulid = ULID.from_str(text)
    assert prefix == "int"
    assert before <= ulid.milliseconds <= int(time.time() * 1000)
    assert str(ulid) == text


def test_no_id_comes_twice() -> None:
    """Also across the draws of randomness."""
    ids = RandomIds()
    made = [ids.new("evt") for _ in range(DRAWN_AT_ONCE * 5)]
    assert len(set(made)) == len(made)


def test_all_random_bits_are_used() -> None:
    """Each character of the random part takes every value of the alphabet."""
    ids = RandomIds()
    columns = list(zip(*(ids.new("x")[-16:] for _ in range(2000)), strict=True))
    assert [len(set(column)) for column in columns] == [32] * 16


def test_a_secret_is_visible_ascii_and_long() -> None:
    """A session id must be unguessable and fit into a header."""
    secret = RandomIds().secret()
    assert len(secret) >= 43
    assert secret.isascii()
    assert secret.isprintable()
