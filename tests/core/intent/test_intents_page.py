"""The page on intents says what the tables say."""

from pathlib import Path

from tests.core.intent.intents_page import intents_page


def test_the_page_is_current() -> None:
    """Policies are written against this page; a stale code in it is a rule that never matches."""
    page = (Path(__file__).parents[3] / "gateway/core/intent/README.md").read_text()
    assert page == intents_page(), "run: python -m tests.core.intent.intents_page > gateway/core/intent/README.md"
