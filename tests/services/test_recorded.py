"""What decisions of the past rested on is found by digest, the newest first, and not at any price."""

from typing import Any

import orjson
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.policy.bundle import Bundle
from gateway.core.principal import SYSTEM_TENANT
from gateway.services import recorded as module
from gateway.services.recorded import KEPT, Recorded
from tests.simulate.index import MemoryIndex
from tests.simulate.store import MemoryStore
from tests.simulate.world import ALLOW_ALL, FixedPolicies, bundle

PAST = bundle(ALLOW_ALL.replace("effect: allow", "effect: deny"))


class Made:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.compiled: list[Any] = []
        index = MemoryIndex(self.store)
        self.looked = Recorded(index=index, policies=FixedPolicies(ALLOW_ALL), compiled=self._compile)

    async def _compile(self, files: Any) -> Bundle | None:
        self.compiled.append(files)
        return PAST if files else None

    async def entry(self, kind: EntryType, body: Any, *, digest: str = "", upstream: str = "") -> None:
        await self.store.append(
            EntryDraft(
                tenant=SYSTEM_TENANT,
                id=f"evt_{len(self.store.drafts)}",
                type=kind,
                time="2026-01-01T00:00:00.000Z",
                policy_digest=digest,
                upstream=upstream,
                body=orjson.dumps(body),
            )
        )


async def test_the_policy_in_force_needs_no_search() -> None:
    """Most decisions that are looked at are of today."""
    made = Made()
    now = bundle(ALLOW_ALL)
    found = await made.looked.bundle(now.digest)
    assert found is not None
    assert (found.digest, made.compiled) == (now.digest, [])


async def test_a_policy_of_the_past_is_compiled_once() -> None:
    """From the text that was recorded when it was loaded."""
    made = Made()
    await made.entry(EntryType.POLICY_LOADED, {"files": ["a"]}, digest="old")
    await made.entry(EntryType.POLICY_LOADED, {"files": ["b"]}, digest="new")
    for _ in range(2):
        assert await made.looked.bundle("old") is PAST
    assert made.compiled == [["a"]]
    assert await made.looked.bundle("never") is None


async def test_few_policies_are_kept() -> None:
    """A bundle is large, and an auditor may go through years."""
    made = Made()
    await made.entry(EntryType.POLICY_LOADED, {"files": ["a"]}, digest="old")
    await made.looked.bundle("old")
    for number in range(KEPT):
        await made.looked.bundle(f"no-{number}")
    assert len(made.looked._bundles) <= KEPT
    await made.looked.bundle("old")
    assert len(made.compiled) == 2


async def test_a_definition_is_found_by_its_pin_whether_new_or_changed() -> None:
    """And only of that upstream."""
    made = Made()
    await made.entry(EntryType.TOOL_PINNED, {"pin": "p1", "definition": {"name": "a"}}, upstream="files")
    await made.entry(EntryType.TOOL_CHANGED, {"pin": "p2", "definition": {"name": "b"}}, upstream="files")
    assert await made.looked.definition("files", "p1") == {"name": "a"}
    assert await made.looked.definition("files", "p2") == {"name": "b"}
    assert await made.looked.definition("files", "p3") is None
    assert await made.looked.definition("mail", "p1") is None


async def test_a_definition_is_searched_once_also_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """An intent may have thousands of decisions, all on the same definition; and few are kept."""
    made = Made()
    await made.entry(EntryType.TOOL_CHANGED, {"pin": "p1", "definition": {"name": "a"}}, upstream="files")
    searches: list[str] = []
    real = made.looked._find

    async def find(wanted: Any, look: Any) -> Any:
        searches.append(wanted.type)
        return await real(wanted, look)

    monkeypatch.setattr(made.looked, "_find", find)
    for _ in range(3):
        assert await made.looked.definition("files", "p1") == {"name": "a"}
        assert await made.looked.definition("files", "never") is None
    assert len(searches) == 4
    for number in range(KEPT):
        await made.looked.definition("files", f"no-{number}")
    assert len(made.looked._definitions) <= KEPT


async def test_the_search_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies further back is for the command that reads everything."""
    monkeypatch.setattr(module, "PAGE_ENTRIES", 2)
    monkeypatch.setattr(module, "PAGES", 2)
    made = Made()
    for number in range(5):
        await made.entry(EntryType.POLICY_LOADED, {"files": ["a"]}, digest=f"d{number}")
    assert await made.looked.bundle("d1") is PAST
    assert await made.looked.bundle("d0") is None
