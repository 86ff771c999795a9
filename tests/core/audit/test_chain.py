"""The bytes and hashes of the chain are what the design says, rebuilt here with the standard library and rfc8785."""

import hashlib
import json
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.audit.chain import first_prev, seal
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.decision import Effect, Reason
from gateway.errors import CanonicalError

VECTORS = json.loads((Path(__file__).parents[2] / "golden" / "chain.json").read_bytes())
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
SALT = bytes(range(16))
PREV = hashlib.sha256(b"before").digest()


@given(tool=TEXT, agent=TEXT, reasons=st.lists(TEXT, max_size=3), risk=st.integers(0, 100), body=st.binary(max_size=40))
def test_the_content_is_canonical_whatever_text_an_upstream_sends(
    tool: str, agent: str, reasons: list[str], risk: int, body: bytes
) -> None:
    """Design, "Audit entry v1": exactly these fields, in RFC 8785 form, and the stored bytes are what is hashed."""
    draft = EntryDraft(
        tenant="default",
        id="evt_1",
        type=EntryType.CALL_DECIDED,
        time="2026-11-22T08:00:00.000Z",
        intent_id="int_1",
        agent=agent,
        upstream="files",
        tool=tool,
        effect=Effect.ALLOW,
        reasons=tuple(reasons),
        policy_digest="ab" * 32,
        risk=risk,
        confidence="0.94",
        args_digest="cd" * 32,
        body=body,
    )
    content, hash_ = seal(draft, seq=7, prev=PREV, salt=SALT)
    assert content == rfc8785.dumps(
        {
            "v": 1,
            "tenant": "default",
            "seq": 7,
            "prev": PREV.hex(),
            "id": "evt_1",
            "type": "call.decided",
            "time": "2026-11-22T08:00:00.000Z",
            "intentId": "int_1",
            "agent": agent,
            "upstream": "files",
            "tool": tool,
            "effect": "ALLOW",
            "reasons": reasons,
            "policyDigest": "ab" * 32,
            "risk": risk,
            "confidence": "0.94",
            "argsDigest": "cd" * 32,
            "bodyDigest": hashlib.sha256(SALT + body).hexdigest(),
        }
    )
    assert hash_ == hashlib.sha256(content).digest()


def test_reason_codes_are_written_as_their_words() -> None:
    """Ours: services pass members of the closed lists, and a stranger must read plain strings."""
    draft = EntryDraft(tenant="t", id="evt_1", type=EntryType.CALL_DECIDED, time="", reasons=(Reason.NO_RULE,))
    content, _ = seal(draft, seq=1, prev=PREV, salt=SALT)
    assert json.loads(content)["reasons"] == ["no-rule"]


@pytest.mark.parametrize("tenant", sorted(VECTORS["firstPrev"]))
def test_the_first_entry_links_to_the_tenant(tenant: str) -> None:
    """Design, "Audit entry v1": a chain cannot be passed off as another tenant's; values made with sha256sum."""
    assert first_prev(tenant).hex() == VECTORS["firstPrev"][tenant]


def test_a_whole_entry_has_the_hash_of_the_vector() -> None:
    """Golden: the format must never change under an existing chain; values made with printf and sha256sum."""
    vector = VECTORS["entry"]
    draft = EntryDraft(
        tenant="default",
        id="evt_01",
        type=EntryType.GATEWAY_STARTED,
        time="2026-11-22T08:00:00.000Z",
        tool="naïve\ttool",
        risk=3,
        body=b'{"a":1}',
    )
    content, hash_ = seal(draft, seq=1, prev=first_prev("default"), salt=bytes(16))
    assert content.decode() == vector["content"]
    assert hash_.hex() == vector["hash"]


@pytest.mark.parametrize("change", [{"tool": "\ud800"}, {"risk": 1.5}, {"risk": True}, {"risk": 2**53}])
def test_what_has_no_canonical_form_gets_no_place(change: dict[str, object]) -> None:
    """Ours: an entry that a stranger could not rebuild must not be in the chain."""
    fields: dict[str, object] = {"tenant": "t", "id": "evt_1", "type": EntryType.CALL_DECIDED, "time": ""} | change
    with pytest.raises(CanonicalError):
        seal(EntryDraft(**fields), seq=1, prev=PREV, salt=SALT)  # type: ignore[arg-type]
