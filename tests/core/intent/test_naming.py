"""Names come apart into words whatever their style, and what hides in them is noticed."""

import time

import pytest

from gateway.core.intent.naming import MAX_NAME_CHARS, compatible, hidden, plain, singular, split, words_of


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("getUserByID2", ("get", "user", "by", "id2")),
        ("create_or_update_file", ("create", "or", "update", "file")),
        ("API-post-search", ("api", "post", "search")),
        ("drive.files.list", ("drive", "files", "list")),
        ("HTTPRequest", ("http", "request")),
        ("deleteAll", ("delete", "all")),
        ("v2Run", ("v2", "run")),
        ("", ()),
        ("__", ()),
        ("ＤＥＬＥＴＥ_file", ("delete", "file")),
        ("de\u200blete_file", ("delete", "file")),
    ],
)
def test_names_come_apart_into_words(name: str, words: tuple[str, ...]) -> None:
    """Servers name tools in every style, and the verb must be found in each."""
    assert split(name) == words


def test_a_name_of_absurd_length_is_read_up_to_a_bound() -> None:
    """A name may be megabytes long; reading it must not be a way to slow the gate down."""
    assert sum(map(len, split("a_" * 1_000_000))) <= MAX_NAME_CHARS


def test_words_come_with_singulars_and_joined_pairs() -> None:
    """`apiKeys`, `api_keys` and `apikeys` must meet the same entry of a table."""
    assert words_of("apiKeys") >= {"api", "keys", "key", "apikeys"}


@pytest.mark.parametrize(
    ("word", "one"),
    [
        ("policies", "policy"), ("boxes", "box"), ("branches", "branch"), ("keys", "key"), ("access", "access"),
        ("status", "status"), ("bus", "bus"), ("is", "is"), ("analysis", "analysis"), ("classes", "class"),
    ],
)  # fmt: skip
def test_nouns_lose_their_plural(word: str, one: str) -> None:
    """Word lists hold singulars only."""
    assert singular(word) == one


def test_plain_text_is_returned_as_it_is() -> None:
    """Most texts are ASCII and cost nothing."""
    text = "plain"
    assert plain(text) is text


@pytest.mark.parametrize(
    "text",
    [
        "dеlete",  # a Cyrillic letter among Latin ones
        "de\u200blete",  # zero width space
        "pay\u202eload",  # direction override
        "x\U000e0041",  # a tag character
        "a\u200db",  # a joiner between ASCII letters
        "αbc",
    ],
)
def test_what_a_reader_would_not_see_is_noticed(text: str) -> None:
    """A name that looks like another is how a poisoned tool gets past a human."""
    assert hidden(text)


@pytest.mark.parametrize(
    "text", ["delete", "löschen", "удалить файл", "δοκιμή", "👩\u200d👩\u200d👧", "naïve — text", "файл.txt", ""]
)
def test_ordinary_scripts_and_emoji_are_not_suspicious(text: str) -> None:
    """Languages other than English are ordinary work."""
    assert not hidden(text)


def test_a_long_text_is_normalised_in_pieces() -> None:
    """Marks are sorted by insertion: sixty thousand of two kinds at one letter took seven seconds."""
    assert compatible("é" * 3) == compatible("e\u0301" * 3)
    assert compatible("Ｄ" * 1000) == "D" * 1000
    begun = time.process_time()
    plain("a" + "\u0301" * 32_000 + "\u0316" * 32_000)
    assert time.process_time() - begun < 1
