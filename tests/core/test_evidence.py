"""What a bundle says before it is signed."""

import hashlib
import hmac
from dataclasses import replace

import orjson
import pytest

from gateway.core.audit.canonical import canonical
from gateway.core.audit.entry import StoredEntry
from gateway.core.evidence import (
    Checkpoint,
    Told,
    authenticated,
    checkpoint_statement,
    entry_shown,
    read_checkpoint,
    statement,
)
from gateway.core.jsonvalue import JsonObject

ENTRY = StoredEntry(tenant="acme", seq=3, hash=b"\x01" * 32, content=b'{"a":1}', salt=b"\x02" * 16, body=b"{}")

TOLD = Told(
    tenant="acme",
    intent_id="int_1",
    made="2026-01-01T00:00:00.000Z",
    issuer="us",
    version="1",
    status="pending",
    complete=False,
    decision={"seq": 3},
    entries=[{"seq": 3}],
    cited=[],
    recomputed=[],
    checkpoint={},
    secret_id="evs_1",
    key={"kid": "k"},
)


def test_an_entry_is_shown_as_it_was_hashed_and_digested() -> None:
    """A stranger hashes these very bytes."""
    assert entry_shown(ENTRY, [b"\x03" * 32]) == {
        "seq": 3,
        "hash": "01" * 32,
        "content": '{"a":1}',
        "salt": "02" * 16,
        "body": "{}",
        "proof": ["03" * 32],
    }


def test_a_checkpoint_names_its_chain_and_time() -> None:
    """It can be passed on alone."""
    found = checkpoint_statement("acme", Checkpoint(size=9, root=b"\x01" * 32, head=b"\x02" * 32), made="now")
    assert found == {
        "format": "so.intended/checkpoint/v1",
        "tenant": "acme",
        "treeSize": 9,
        "root": "01" * 32,
        "headHash": "02" * 32,
        "time": "now",
    }


def test_a_bundle_counts_its_entries_and_names_its_secret_and_key() -> None:
    """The count is a claim that is signed: an entry that is left out later shows."""
    found = statement(TOLD)
    assert (found["entryCount"], found["secret"], found["key"], found["complete"]) == (1, "evs_1", {"kid": "k"}, False)
    assert found["format"] == "so.intended/evidence-bundle/v1"
    assert found["gateway"] == {"issuer": "us", "version": "1"}


def test_the_hmac_covers_every_other_member() -> None:
    """As the API reference promises, over the RFC 8785 form."""
    document = statement(TOLD)
    found = authenticated(document, "sesame")
    assert found.keys() - document.keys() == {"hmac"}
    assert found["hmac"] == hmac.new(b"sesame", canonical(document), hashlib.sha256).hexdigest()
    assert "hmac" not in document


@pytest.mark.parametrize("value", [statement(TOLD), entry_shown(ENTRY, [])])
def test_nothing_in_it_can_be_written_in_two_ways(value: JsonObject) -> None:
    """No fraction and no name beyond ASCII: any JSON library keeps what was signed."""
    plain = orjson.loads(canonical(value))
    assert orjson.dumps(plain, option=orjson.OPT_SORT_KEYS) == canonical(value)


POINT = Checkpoint(size=7, root=b"\x01" * 32, head=b"\x02" * 32)


def test_a_checkpoint_is_read_as_it_was_written_alone_or_in_a_bundle() -> None:
    """Whoever kept a bundle has kept one."""
    alone = checkpoint_statement("acme", POINT, made="2026-01-01T00:00:00.000Z")
    assert read_checkpoint(orjson.dumps(alone)) == ("acme", POINT)
    assert read_checkpoint(orjson.dumps(statement(replace(TOLD, checkpoint=alone)))) == ("acme", POINT)


@pytest.mark.parametrize(
    "changed",
    [
        {"format": "so.intended/checkpoint/v2"},
        {"tenant": 1},
        {"treeSize": "7"},
        {"treeSize": True},
        {"root": "xx"},
        {"headHash": None},
    ],
)
def test_what_is_no_checkpoint_is_not_read(changed: JsonObject) -> None:
    """Nothing is compared with a guess."""
    document = {**checkpoint_statement("acme", POINT, made=""), **changed}
    for raw in (orjson.dumps(document), b"[]", b"{}", b"", b"null", b'{"format": "so.intended/evidence-bundle/v1"}'):
        with pytest.raises(ValueError, match="neither an evidence bundle nor a checkpoint"):
            read_checkpoint(raw)
