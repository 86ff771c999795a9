"""Nothing of a bundle can be changed unseen, and each lie is named."""

import copy
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.identity.rs256 import _jwk
from intended.evidence import Report, State, verify
from intended.evidence.keys import Key, key_of
from intended.evidence.reading import canonical, read
from tests.golden.tokens_by_hand import b64
from tests.simulate.evidence import Made

FORGER = rsa.generate_private_key(65537, 2048)


def jws(document: dict[str, Any], type_: str) -> str:
    """Sign with the forger's key, as the gateway does with its own."""
    head = b64(json.dumps({"alg": "RS256", "kid": document_key()["kid"], "typ": type_}).encode())
    rest = canonical({name: one for name, one in document.items() if name != "signature"})
    signature = FORGER.sign(f"{head}.{b64(rest)}".encode(), PKCS1v15(), SHA256())
    return f"{head}..{b64(signature)}"


def document_key() -> dict[str, Any]:
    return dict(_jwk(FORGER.public_key()))


def forged(document: dict[str, Any], *, secret: str = "") -> bytes:
    """Return a document as somebody signs it who has neither the tenant's key nor its secret: consistent, if he can."""
    document["key"] = document_key()
    document["checkpoint"]["signature"] = jws(document["checkpoint"], "checkpoint+jws")
    rest = {name: one for name, one in document.items() if name not in ("hmac", "signature")}
    document["hmac"] = hmac.new(secret.encode(), canonical(rest), hashlib.sha256).hexdigest()
    document["signature"] = jws(document, "evidence-bundle+jws")
    return json.dumps(document).encode()


def failed(report: Report) -> set[str]:
    return {one.name for one in report.failed}


def checked(made: Made, document: dict[str, Any]) -> Report:
    return verify(json.dumps(document).encode(), keys=made.keys, secret=made.secret)


# --- whole ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ALLOW", "DENY", "ESCALATE", "PENDING"])
def test_what_a_gateway_made_is_verified(made: Made, name: str) -> None:
    """By its key, by its secret, by both; and against the whole chain."""
    lines = made.export.splitlines()
    for given in ({"keys": made.keys}, {"secret": made.secret}, {"keys": made.keys, "secret": made.secret}):
        report = verify(made.bundles[name], **given)
        assert report.trusted, report.failed
    report = verify(made.bundles[name], keys=made.keys, secret=made.secret, export=lines)
    assert report.trusted
    assert {one.state for one in report.checks} == {State.PASSED}
    assert (report.tenant, report.intent_id, report.kid) == ("acme", made.ids[name], made.keys[0].kid)


def test_a_bundle_is_the_same_however_its_json_is_written(made: Made) -> None:
    """It goes through tools that indent and sort."""
    for written in (json.dumps(made.document(), indent=2), json.dumps(made.document(), ensure_ascii=True)):
        assert verify(written.encode(), keys=made.keys, secret=made.secret).trusted


def test_a_thumbprint_is_enough_to_know_a_key(made: Made) -> None:
    """It fits on a page; the bundle brings the rest."""
    assert verify(made.bundles["ALLOW"], keys=[Key(kid=made.keys[0].kid)]).trusted


def test_without_anything_that_vouches_it_is_consistent_and_not_trusted(made: Made) -> None:
    """Whoever made it up brought a key, too."""
    for raw in (made.bundles["ALLOW"], forged(made.document())):
        report = verify(raw)
        assert (report.consistent, report.trusted) == (True, False)
        assert [one.name for one in report.checks if one.state is State.SKIPPED] == ["key", "hmac", "complete"]


# --- changed ----------------------------------------------------------------------------------------------------------


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything in a document."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for name in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[name], (*path, name))


def changes(value: Any) -> Iterator[Any]:
    """Yield other values in the place of one."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield value + 1
        yield str(value)
    elif isinstance(value, str):
        yield value + "x"
        yield value[:-1] + chr(ord(value[-1]) ^ 1) if value else "x"
        yield value.swapcase() if value.swapcase() != value else value * 2 + "-"
        yield "" if value else "y"
    elif isinstance(value, list):
        yield [*value, *(value or ["x"])]
        yield value[:-1] if value else ["y"]
    else:
        yield {**value, "x": 1}
    yield None


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(document)
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return changed


@pytest.mark.parametrize("vouching", ["key", "secret"])
def test_no_member_can_be_changed_unseen(made: Made, vouching: str) -> None:
    """Every place of the document, whatever stands there; by the key alone, and by the secret alone."""
    document = made.document("ESCALATE")
    given: dict[str, Any] = {"keys": made.keys} if vouching == "key" else {"secret": made.secret}
    count = 0
    for path in places(document):
        place = document
        for step in path:
            place = place[step]
        for other in changes(place):
            report = verify(json.dumps(put(document, path, other)).encode(), **given)
            assert not report.consistent, (path, other)
            assert not report.trusted
            count += 1
    assert count > 400


def test_no_member_can_be_left_out(made: Made) -> None:
    """Nor be there twice, in front or behind."""
    document = made.document()
    for path in places(document):
        changed = copy.deepcopy(document)
        place = changed
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]
        assert not checked(made, changed).consistent, path
    raw = made.bundles["ALLOW"]
    assert failed(verify(b'{"status":"approved",' + raw[1:], keys=made.keys)) == {"form"}
    assert failed(verify(raw[:-1] + b',"status":"approved"}', keys=made.keys)) == {"form"}


def test_no_byte_can_be_flipped_unseen(made: Made) -> None:
    """From one end of the file to the other; what a flip leaves verified says the very same."""
    raw = made.bundles["DENY"]
    whole = read(raw)
    for place in range(0, len(raw), 5):  # every member as a whole is changed above
        bad = bytearray(raw)
        bad[place] ^= 1 << place % 8
        report = verify(bytes(bad), keys=made.keys)
        assert not report.trusted or read(bytes(bad)) == whole, place


def test_a_bundle_of_nonsense_is_refused_and_never_an_error(made: Made) -> None:
    """A checker is given files by people who want it to fall over."""
    for raw in (b"", b"null", b"[]", b"{}", b"\xff\xfe", b'{"a":' * 5000, made.bundles["ALLOW"][:-9]):
        assert failed(verify(raw, keys=made.keys)) == {"form"}


# --- lies, well made --------------------------------------------------------------------------------------------------

DAMAGED = {
    "hash": lambda one: one.update(hash="0" * 64),
    "content": lambda one: one.update(content=one["content"].replace("billing-agent", "other-agent")),
    "content that is no entry": lambda one: one.update(content="{}"),
    "content in another form": lambda one: one.update(content=one["content"] + " "),
    "number": lambda one: one.update(seq=one["seq"] + 1),
    "body": lambda one: one.update(body=one["body"].replace("policy", "polity")),
    "body that is no JSON": lambda one: one.update(body="x"),
    "salt": lambda one: one.update(salt="00" * 16),
    "salt that is no hex": lambda one: one.update(salt="xx"),
    "proof": lambda one: one.update(proof=["0" * 64, *one["proof"][1:]]),
    "proof of short hashes": lambda one: one.update(proof=["00"]),
}
CHECK_OF = {"hash": "entry 8", "content": "entry 8", "number": "entry 9", "body": "body of entry 8"} | {
    "salt": "body of entry 8",
    "proof": "inclusion of entry 8",
}


@pytest.mark.parametrize("what", DAMAGED)
def test_each_damage_is_named_though_everything_is_signed_again(made: Made, what: str) -> None:
    """Whoever holds a key can sign anything; the chain's own hashes tell nonetheless."""
    document = made.document("PENDING")
    [entry] = document["entries"]
    assert entry["seq"] == 8
    DAMAGED[what](entry)
    report = verify(forged(document), keys=[key_of(document_key())])
    kind = what.split(" ")[0]
    assert CHECK_OF[kind] in failed(report), failed(report)


def lie(change: Callable[[dict[str, Any]], object], name: str = "ESCALATE") -> Callable[[Made], Report]:
    def told(made: Made) -> Report:
        document = made.document(name)
        change(document)
        return verify(forged(document), keys=[key_of(document_key())])

    return told


LIES = {
    "an entry is left out": (lie(lambda one: one["entries"].pop(1)), {"count"}),
    "and the count with it": (
        lie(lambda one: (one["entries"].pop(), one.update(entryCount=4))),
        {"summary"},
    ),
    "entries change places": (lie(lambda one: one["entries"].reverse()), {"entry", "summary", "recomputed"}),
    "an entry is there twice": (
        lie(lambda one: (one["entries"].append(one["entries"][-1]), one.update(entryCount=6))),
        {"entry"},
    ),
    "there is none": (lie(lambda one: one.update(entries=[], entryCount=0)), {"count", "summary", "recomputed"}),
    "the status": (lie(lambda one: one.update(status="rejected")), {"summary"}),
    "complete": (lie(lambda one: one.update(complete=False)), {"summary"}),
    "the decision": (lie(lambda one: one["decision"].update(risk=1)), {"summary"}),
    "the head": (lie(lambda one: one["checkpoint"].update(headHash="0" * 64)), set()),
    "the size": (lie(lambda one: one["checkpoint"].update(treeSize=1)), {"inclusion of entry 7"}),
    "another chain's checkpoint": (lie(lambda one: one["checkpoint"].update(tenant="beta")), {"checkpoint"}),
    "an old checkpoint": (lie(lambda one: one["checkpoint"].update(time="2020-01-01T00:00:00.000Z")), {"checkpoint"}),
    "another tenant": (lie(lambda one: one.update(tenant="beta")), {"entry 7", "checkpoint"}),
    "another intent": (lie(lambda one: one.update(intentId="int_other")), {"entry"}),
    "something is cited": (lie(lambda one: one.update(cited=[one["entries"].pop(0)], entryCount=4)), {"cited"}),
    "no recomputation": (lie(lambda one: one.update(recomputed=[])), {"recomputed"}),
    "one that cannot be": (lie(lambda one: one["recomputed"][0].update(result="fine")), {"recomputed"}),
    "one from nothing": (lie(lambda one: one["recomputed"][0].update({"from": ""})), {"recomputed"}),
    "one without a problem": (lie(lambda one: one["recomputed"][0].update({"from": "conditions"})), {"recomputed"}),
    "one that differs": (lie(lambda one: one["recomputed"][0].update(result="different")), {"recomputed"}),
    "a difference": (lie(lambda one: one["recomputed"][0].update(differences=["effect"])), {"recomputed"}),
    "another format": (lie(lambda one: one.update(format="so.intended/evidence-bundle/v2")), {"signature"}),
}


@pytest.mark.parametrize("what", LIES)
def test_a_lie_that_is_signed_does_not_fit_the_rest(made: Made, what: str) -> None:
    """A stolen key makes signatures, and no history."""
    tell, names = LIES[what]
    report = tell(made)
    assert names <= failed(report), failed(report)


def test_the_head_of_the_chain_is_the_last_entry_where_that_is_there(made: Made) -> None:
    """Of a checkpoint whose last entry is in the bundle the hash must agree."""
    document = made.document("PENDING")
    document["checkpoint"]["treeSize"] = document["entries"][0]["seq"]
    report = verify(forged(document), keys=[key_of(document_key())])
    assert "entry 8" in failed(report)


def test_two_entries_that_follow_each_other_are_linked(made: Made) -> None:
    """A link that is broken between two that are there is seen without the rest of the chain."""
    document = made.document("ESCALATE")
    numbers = [one["seq"] for one in document["entries"]]
    place = next(at for at, seq in enumerate(numbers) if seq + 1 in numbers)
    content = json.loads(document["entries"][place]["content"])
    content["agent"] = "somebody"
    changed = canonical(content).decode()
    document["entries"][place] |= {"content": changed, "hash": hashlib.sha256(changed.encode()).hexdigest()}
    report = verify(forged(document), keys=[key_of(document_key())])
    assert {"entry", f"inclusion of entry {numbers[place]}"} <= failed(report)


def test_a_verdict_that_does_not_follow_from_its_conditions_is_named(made: Made) -> None:
    """Also where the body was digested anew, and the gateway says it was the same."""

    def forge(change: Callable[[dict[str, Any], dict[str, Any]], object], name: str) -> Report:
        document = made.document(name)
        [entry] = document["entries"]
        body, content = json.loads(entry["body"]), json.loads(entry["content"])
        change(body, content)
        entry["body"] = json.dumps(body)
        digest = hashlib.sha256(bytes.fromhex(entry["salt"]) + entry["body"].encode()).hexdigest()
        entry["content"] = canonical({**content, "bodyDigest": digest}).decode()
        entry["hash"] = hashlib.sha256(entry["content"].encode()).hexdigest()
        document["decision"] |= {"effect": content["effect"], "reason": body["decision"]["reason"]}
        return verify(forged(document), keys=[key_of(document_key())])

    def allowed(body: dict[str, Any], content: dict[str, Any]) -> None:
        body["decision"] |= {"effect": "ALLOW", "reason": "policy-allow", "rung": 8}
        content["effect"] = "ALLOW"

    def one_side(body: dict[str, Any], content: dict[str, Any]) -> None:
        content["effect"] = "ALLOW"

    def other_rules(body: dict[str, Any], content: dict[str, Any]) -> None:
        body["decision"]["conditions"] = {}

    def from_nowhere(body: dict[str, Any], content: dict[str, Any]) -> None:
        allowed(body, content)
        body["decision"]["rung"] = 13

    for change, why in (
        (allowed, "follows"),
        (one_side, "different verdicts"),
        (other_rules, "conditions held"),
        (from_nowhere, "rests on no condition"),
    ):
        [found] = [one for one in forge(change, "DENY").checks if one.name == "recomputed"]
        assert (found.state, why in found.detail) == (State.FAILED, True), found


# --- whole chains -----------------------------------------------------------------------------------------------------


def test_what_was_left_out_an_export_of_the_chain_shows(made: Made) -> None:
    """What a bundle alone cannot prove: that it has all of them."""
    document = made.document("ESCALATE")
    del document["entries"][3]  # that a token was handed out
    document["entryCount"] = 4
    key = [key_of(document_key())]
    alone = verify(forged(document), keys=key)
    assert alone.consistent, alone.failed
    against = verify(forged(document), keys=key, export=made.export.splitlines())
    assert failed(against) == {"complete"}


def test_an_export_of_another_chain_shows_nothing(made: Made) -> None:
    """Nor one that ends too early, is changed, or is none."""
    lines = made.export.splitlines()
    for bad in (lines[:-9], [one.replace(b"hunter", b"hunted").replace(b"acme", b"acne") for one in lines], [b"{}"]):
        assert failed(verify(made.bundles["ALLOW"], keys=made.keys, export=bad)) == {"complete"}
    foreign = [line.replace(b'{"tenant":"acme"', b'{"tenant":"beta"') for line in lines]
    assert verify(made.bundles["ALLOW"], keys=made.keys, export=[*foreign, *lines]).trusted


def test_a_key_that_is_none_or_not_what_it_says_verifies_nothing(made: Made) -> None:
    """Before anything is checked with it."""
    for change in ({"n": "AQAB"}, {"kid": "x" * 43}, {"alg": "none"}):
        document = made.document()
        document["key"] |= change
        found = failed(checked(made, document))
        assert {"key", "signature", "checkpoint", "hmac"} <= found


def test_a_secret_that_is_empty_vouches_for_nothing(made: Made) -> None:
    """Everybody has it."""
    assert failed(verify(forged(made.document(), secret=""), secret="")) == {"hmac"}
