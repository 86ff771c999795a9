"""The verifier finds whatever was changed, says what it is, and shares no code with the writer."""

import ast
import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import gateway.core.audit.verify as verify_module
from gateway.core.audit.chain import first_prev, seal
from gateway.core.audit.entry import EntryDraft, EntryType, StoredEntry
from gateway.core.audit.tree import leaf_hash, tree_root
from gateway.core.audit.verify import MAX_BREAKS, Break, BreakKind, ExpectedHead, Verifier
from tests.simulate.verified import verified

Entries = list[StoredEntry]


def chain(count: int = 12, tenant: str = "default") -> Entries:
    entries: Entries = []
    prev = first_prev(tenant)
    for seq in range(1, count + 1):
        draft = EntryDraft(
            tenant=tenant,
            id=f"evt_{seq}",
            type=EntryType.CALL_DECIDED,
            time="2026-11-22T08:00:00.000Z",
            tool="naïve\t\U0001f600\uffff",
            effect="ALLOW",
            reasons=("policy-allow",),
            risk=seq,
            body=b'{"n": %d}' % seq,
        )
        salt = seq.to_bytes(16, "big")
        content, prev = seal(draft, seq=seq, prev=prev, salt=salt)
        entries.append(StoredEntry(tenant=tenant, seq=seq, hash=prev, content=content, salt=salt, body=draft.body))
    return entries


def rehashed(entry: StoredEntry, content: bytes) -> StoredEntry:
    return replace(entry, content=content, hash=hashlib.sha256(content).digest())


def rewritten(entry: StoredEntry, **fields: object) -> StoredEntry:
    content = json.loads(entry.content) | fields
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return rehashed(entry, text.encode())


def kinds(entries: Entries, *expected: ExpectedHead) -> list[tuple[int, BreakKind]]:
    return [(one.seq, one.kind) for one in verified(entries, "default", *expected).breaks]


def test_the_verifier_uses_nothing_of_the_writer() -> None:
    """Design, section 1: one mistake must not be made twice by the same lines."""
    tree = ast.parse(Path(verify_module.__file__).read_text("utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert {name for name in imported if name and name.startswith("gateway")} == {"gateway.core.audit.entry"}
    assert imported.isdisjoint({"orjson", "rfc8785"})


def test_a_chain_as_written_is_whole() -> None:
    """Contract, section 4: head, number of entries and RFC 6962 root are what the writer has."""
    entries = chain()
    report = verified(entries, "default", ExpectedHead(seq=7, hash=entries[6].hash))
    assert report.valid
    assert (report.count, report.head_seq, report.head_hash) == (12, 12, entries[-1].hash)
    assert report.root == tree_root(leaf_hash(entry.content) for entry in entries)


def test_an_empty_chain_is_whole() -> None:
    """Ours: nothing was recorded yet, and nothing is wrong with that."""
    report = verified([], "default")
    assert report.valid
    assert (report.count, report.head_seq, report.head_hash) == (0, 0, first_prev("default"))
    assert report.root == tree_root([])
    assert kinds([], ExpectedHead(seq=0, hash=first_prev("default"))) == []
    assert kinds([], ExpectedHead(seq=0, hash=bytes(32))) == [(0, BreakKind.HEAD)]


def test_a_break_says_what_should_be_there_and_what_is() -> None:
    """Contract, section 4: break points carry sequence number, expected and found."""
    entries = chain()
    entries[4] = replace(entries[4], content=entries[4].content.replace(b"ALLOW", b"DENY"))
    assert verified(entries, "default").breaks == (
        Break(
            seq=5,
            kind=BreakKind.EDITED,
            expected=entries[4].hash.hex(),
            found=hashlib.sha256(entries[4].content).hexdigest(),
        ),
    )


def edited(entries: Entries) -> None:
    entries[4] = replace(entries[4], content=entries[4].content.replace(b"ALLOW", b"DENY"))


def edited_and_rehashed(entries: Entries) -> None:
    entries[4] = rewritten(entries[4], effect="DENY")


def edited_at_the_end(entries: Entries) -> None:
    entries[-1] = rewritten(entries[-1], prev="00" * 32)


def removed(entries: Entries) -> None:
    del entries[4:6]


def beginning_removed(entries: Entries) -> None:
    del entries[:2]


def swapped(entries: Entries) -> None:
    entries[4], entries[5] = entries[5], entries[4]


def places_swapped(entries: Entries) -> None:
    entries[4], entries[5] = replace(entries[5], seq=5), replace(entries[4], seq=6)


def doubled(entries: Entries) -> None:
    entries.insert(5, entries[4])


def of_another_tenant(entries: Entries) -> None:
    entries[4] = chain(tenant="other")[4]


def claimed_for_another_tenant(entries: Entries) -> None:
    entries[4] = replace(entries[4], tenant="other")


def first_of_another_chain(entries: Entries) -> None:
    entries[0] = rewritten(entries[0], prev=first_prev("other").hex())
    entries[1] = rewritten(entries[1], prev=entries[0].hash.hex())
    del entries[2:]


def other_body(entries: Entries) -> None:
    entries[4] = replace(entries[4], body=b"{}")


def other_salt(entries: Entries) -> None:
    entries[4] = replace(entries[4], salt=bytes(16))


CHANGES: dict[Callable[[Entries], None], list[tuple[int, BreakKind]]] = {
    edited: [(5, BreakKind.EDITED)],
    edited_and_rehashed: [(6, BreakKind.LINK)],
    edited_at_the_end: [(12, BreakKind.LINK)],
    removed: [(5, BreakKind.GAP)],
    beginning_removed: [(1, BreakKind.GAP)],
    swapped: [(5, BreakKind.GAP), (5, BreakKind.REORDER)],
    places_swapped: [(5, BreakKind.REORDER), (6, BreakKind.REORDER), (7, BreakKind.LINK)],
    doubled: [(5, BreakKind.REORDER)],
    of_another_tenant: [(5, BreakKind.TENANT), (6, BreakKind.LINK)],
    claimed_for_another_tenant: [(5, BreakKind.TENANT)],
    first_of_another_chain: [(1, BreakKind.START)],
    other_body: [(5, BreakKind.BODY)],
    other_salt: [(5, BreakKind.BODY)],
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_each_kind_of_change_is_found_and_named(change: Callable[[Entries], None]) -> None:
    """Security, section 2: edit, delete, reorder …; verify says which, and says it once."""
    entries = chain()
    change(entries)
    assert kinds(entries) == CHANGES[change]


def spaced(content: bytes) -> bytes:
    return content.replace(b'"v":1', b'"v": 1')


def fields(**changes: object) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        values = {name: value for name, value in (json.loads(content) | changes).items() if value is not ...}
        return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    return change


@pytest.mark.parametrize(
    "form",
    [
        spaced,
        lambda content: content.replace(b'"v":1', b'"v":1,"v":1'),
        lambda content: content.replace("naïve".encode(), b"na\\u00efve"),
        lambda content: content.replace(b'"tenant"', b'"Tenant"'),
        lambda content: content[:-1],
        lambda content: b"\xff" + content,
        lambda content: b"[" * 100_000,
        lambda content: b"[]",
        lambda content: content.replace("naïve".encode(), b"\\ud800"),
        fields(v=2),
        fields(v=True),
        fields(risk=1.5),
        fields(risk=2**53),
        fields(risk=None),
        fields(tool=7),
        fields(reasons="policy-allow"),
        fields(reasons=[7]),
        fields(more=1),
        fields(agent=...),
    ],
)
def test_bytes_that_are_no_entry_in_canonical_form_are_found(form: Callable[[bytes], bytes]) -> None:
    """Design, "Audit entry v1": exactly these fields in exactly one form, even where the hash was made to fit."""
    entries = chain(3)
    entries[2] = rehashed(entries[2], form(entries[2].content))
    assert kinds(entries) == [(3, BreakKind.FORM)]


@pytest.mark.parametrize("kept", [0, 1, 11])
def test_a_cut_tail_is_found_by_the_head_from_elsewhere(kept: int) -> None:
    """Security, section 2: a chain whose cut tail verifies as valid is the commonest mistake."""
    entries = chain()
    head = ExpectedHead(seq=12, hash=entries[-1].hash)
    assert kinds(entries[:kept]) == []
    assert kinds(entries[:kept], head) == [(12, BreakKind.HEAD)]


def test_a_chain_rewritten_as_a_whole_is_found_by_the_head_from_elsewhere() -> None:
    """Design, "The head outside the store": what is consistent in itself may still be another past."""
    entries = chain()
    head = ExpectedHead(seq=12, hash=entries[-1].hash)
    for number in range(4, 12):
        prev = entries[number - 1].hash.hex()
        entries[number] = rewritten(entries[number], effect="DENY", prev=prev)
    assert kinds(entries) == []
    assert kinds(entries, head) == [(12, BreakKind.HEAD)]


def checkpoint(entries: Entries, size: int) -> ExpectedHead:
    root = tree_root(leaf_hash(entry.content) for entry in entries[:size])
    return ExpectedHead(seq=size, hash=entries[size - 1].hash, root=root)


@pytest.mark.parametrize("size", range(1, 13))
def test_a_chain_that_has_only_grown_holds_each_checkpoint_of_it(size: int) -> None:
    """RFC 6962: what was signed once is the beginning of what there is later."""
    entries = chain()
    point, head = checkpoint(entries, size), ExpectedHead(seq=12, hash=entries[-1].hash)
    assert kinds(entries, point, head) == []
    assert kinds(entries[:size], point) == []
    assert kinds(entries[: size - 1], point) == [(size, BreakKind.HEAD)]
    assert kinds(chain(tenant="other")[:0], point) == [(size, BreakKind.HEAD)]


def test_a_checkpoint_with_another_root_is_found() -> None:
    """Its head alone would do, were it the gateway's own; a root that does not fit says that it is not."""
    entries = chain()
    found = verified(entries, "default", replace(checkpoint(entries, 7), root=bytes(32)))
    [one] = found.breaks
    assert (one.seq, one.kind, one.expected) == (7, BreakKind.ROOT, bytes(32).hex())
    assert one.found == tree_root(leaf_hash(entry.content) for entry in entries[:7]).hex()


def test_another_past_does_not_lead_to_the_checkpoint() -> None:
    """Whoever has machine and key can write another chain, whole in itself."""
    entries = chain()
    point = checkpoint(entries, 7)
    for number in range(4, 12):
        prev = entries[number - 1].hash.hex()
        entries[number] = rewritten(entries[number], effect="DENY", prev=prev)
    assert kinds(entries) == []
    assert kinds(entries, point) == [(7, BreakKind.HEAD)]


def test_verification_can_begin_in_the_middle() -> None:
    """Ours: the start hashes the last entries only, linked to the one before them where it is known."""
    entries = chain()
    for prev, found in ((entries[4].hash, []), (None, []), (bytes(32), [(6, BreakKind.LINK)])):
        verifier = Verifier("default", after=5, prev=prev)
        for entry in entries[5:]:
            verifier.feed(entry)
        assert [(one.seq, one.kind) for one in verifier.report().breaks] == found
    nothing = Verifier("default", after=5).report()
    assert (nothing.head_seq, nothing.head_hash) == (5, b"")
    assert Verifier("default", after=5, expected=[ExpectedHead(seq=5, hash=b"h")]).report().broken == 1


def test_a_chain_that_is_all_broken_is_counted_and_not_kept() -> None:
    """Ours: memory stays the same for a million breaks."""
    entries = [replace(entry, body=b"other") for entry in chain(5)]
    verifier = Verifier("default")
    for _ in range(MAX_BREAKS // 5 + 1):
        for entry in entries:
            verifier.feed(entry)
    report = verifier.report()
    assert (report.broken, len(report.breaks)) == (MAX_BREAKS + 5, MAX_BREAKS)


MUTATIONS = ("content", "content", "body", "salt", "hash", "seq", "tenant", "drop", "double", "swap", "cut")


def mutated(entries: Entries, chance: random.Random) -> Entries:
    """Change one thing: a byte anywhere, a field, a place, or whether an entry is there at all."""
    entries = list(entries)
    place = chance.randrange(len(entries))
    entry = entries[place]
    kind = chance.choice(
        ["content", "content", "body", "salt", "hash", "seq", "tenant", "drop", "double", "swap", "cut"]
    )
    if kind in ("content", "body", "salt", "hash"):
        data = bytearray(getattr(entry, kind))
        data[chance.randrange(len(data))] ^= chance.randrange(1, 256)
        changed = replace(entry, **{kind: bytes(data)})
        # An attacker who edits the content also makes its hash fit, every other time.
        entries[place] = rehashed(entry, bytes(data)) if kind == "content" and chance.random() < 0.5 else changed
    elif kind == "seq":
        entries[place] = replace(entry, seq=entry.seq + chance.choice([-1, 1, 1000]))
    elif kind == "tenant":
        entries[place] = replace(entry, tenant="other")
    elif kind == "drop":
        del entries[place]
    elif kind == "double":
        entries.insert(chance.randrange(len(entries)), entry)
    elif kind == "swap":
        other = (place + 1 + chance.randrange(len(entries) - 1)) % len(entries)
        entries[place], entries[other] = entries[other], entries[place]
    else:
        del entries[place:]
    return entries


def test_a_thousand_random_mutations_are_each_found() -> None:
    """Security, section 2: 1,000 random mutations of an export, each must be found."""
    entries = chain()
    head = ExpectedHead(seq=12, hash=entries[-1].hash)
    chance = random.Random(6962)
    missed = [number for number in range(1000) if verified(mutated(entries, chance), "default", head).valid]
    assert missed == []
