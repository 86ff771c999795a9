"""A remote authority that says what a test tells it to."""

from collections.abc import Callable

from gateway.core.remote import Question, Told, Verdict

ALLOWED = Told(verdict=Verdict.ALLOW, text="fine", intent_id="int_there", token="a.b.c", token_id="tok_there")
DENIED = Told(verdict=Verdict.DENY, text="Not there.", intent_id="int_there")
WAITS = Told(verdict=Verdict.PENDING, text="Look.", intent_id="int_there", approval_id="apr_there")
OVER = Told(verdict=Verdict.OVER, intent_id="int_there")


class FakeAuthority:
    """Answers questions with `says`, and recalls with `stands`; keeps both. `meanwhile` is done during a question."""

    def __init__(self, says: Told = ALLOWED, stands: Told = WAITS) -> None:
        self.says = says
        self.stands = stands
        self.asked: list[Question] = []
        self.recalled: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None

    async def ask(self, question: Question) -> Told:
        self.asked.append(question)
        self.meanwhile()
        return self.says

    async def recall(self, question: Question, intent_id: str) -> Told:
        self.recalled.append(intent_id)
        self.meanwhile()
        return self.stands
