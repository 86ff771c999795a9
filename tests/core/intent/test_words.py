"""The word tables are sound: no word in two tables that contradict each other."""

from gateway.core.intent import words
from gateway.core.intent.words import STRONG_VERBS, WEAK_VERBS


def test_no_word_is_both_a_strong_and_a_weak_verb() -> None:
    """A word in both tables would be read by chance."""
    assert not set(STRONG_VERBS) & set(WEAK_VERBS)


def test_every_word_is_one_lower_case_word() -> None:
    """Names come apart into such words; anything else would never be found."""
    tables = [getattr(words, name) for name in words.__all__]
    assert all(word.isalnum() and word == word.lower() for table in tables for word in table)


def test_agent_nouns_stand_for_strong_verbs() -> None:
    """Their verb is looked up without a check."""
    assert set(words.AGENT_NOUNS.values()) <= set(STRONG_VERBS)
