"""Evidence under attack: signatures of another kind, bundles put together from two, and what a stolen key cannot do."""

import base64
import copy
import json
from typing import Any

import pytest

from intended.evidence import Report, verify
from intended.evidence.reading import canonical
from intended.verify import AuthorityError, MemoryUsedIds, StaticKeys
from intended.verify import verify as verify_token
from tests.simulate.evidence import Made, evidence_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return real evidence, a real token by the same key, and another tenant's bundle."""
    return evidence_of(tmp_path_factory.mktemp("evidence"))


def failed(made: Made, document: dict[str, Any]) -> set[str]:
    report: Report = verify(json.dumps(document).encode(), keys=made.keys, secret=made.secret)
    assert not report.trusted
    return {one.name for one in report.failed}


def payload_of(document: dict[str, Any]) -> str:
    rest = canonical({name: one for name, one in document.items() if name != "signature"})
    return base64.urlsafe_b64encode(rest).rstrip(b"=").decode()


def test_a_token_is_no_signature_of_a_bundle(made: Made) -> None:
    """One key makes both."""
    head, claims, signature = made.token.split(".")
    for jws in (made.token, f"{head}..{signature}", f"{head}.{claims}.{signature}".replace(claims, "")):
        document = made.document()
        document["signature"] = jws
        assert "signature" in failed(made, document)
        document = made.document()
        document["checkpoint"]["signature"] = jws
        assert "checkpoint" in failed(made, document)


def test_no_signature_of_a_bundle_is_a_token(made: Made) -> None:
    """Its payload would have to be claims; and its header says what it is."""
    for document in (made.document(), made.document()["checkpoint"]):
        head, _, signature = document["signature"].split(".")
        for token in (f"{head}.{payload_of(document)}.{signature}", document["signature"]):
            with pytest.raises(AuthorityError) as caught:
                verify_token(
                    token,
                    keys=StaticKeys(made.jwks),
                    audience="so.intended",
                    tenant="acme",
                    used=MemoryUsedIds(),
                    arguments={},
                    action="issue_refund",
                )
            assert caught.value.reason in ("type", "malformed")


def test_the_signatures_of_bundle_and_checkpoint_do_not_change_places(made: Made) -> None:
    """Each says of which kind it is."""
    document = made.document()
    document["signature"], document["checkpoint"]["signature"] = (
        document["checkpoint"]["signature"],
        document["signature"],
    )
    assert {"signature", "checkpoint"} <= failed(made, document)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": "evidence-bundle+jws"},
        {"alg": "HS256", "typ": "evidence-bundle+jws"},
        {"alg": "RS256", "typ": "evidence-bundle+jws", "jwk": {}},
        {"alg": "RS256", "typ": "evidence-bundle+jws", "crit": ["b64"], "b64": False},
    ],
)
def test_no_header_leads_the_checker_anywhere(made: Made, header: dict[str, Any]) -> None:
    """Algorithm and key are the checker's choice."""
    document = made.document()
    _, _, signature = document["signature"].split(".")
    told = json.dumps({"kid": document["key"]["kid"], **header}).encode()
    for end in (signature, ""):
        document["signature"] = f"{base64.urlsafe_b64encode(told).rstrip(b'=').decode()}..{end}"
        assert "signature" in failed(made, document)


def test_another_tenants_bundle_is_not_vouched_for(made: Made) -> None:
    """It is good, and by a key that this checker does not know."""
    assert verify(made.other).consistent
    report = verify(made.other, keys=made.keys)
    assert {"key", "signature"} <= {one.name for one in report.failed}


def test_two_bundles_are_not_put_together(made: Made) -> None:
    """Neither the denial of one into the other, nor another's checkpoint, key or signature."""
    allow, deny = made.document("ALLOW"), made.document("DENY")
    for member in allow:
        if allow[member] == deny[member]:
            continue
        spliced = copy.deepcopy(allow)
        spliced[member] = deny[member]
        assert failed(made, spliced), member
    spliced = copy.deepcopy(allow)
    spliced["entries"] = [*allow["entries"], *deny["entries"]]
    spliced["entryCount"] = len(spliced["entries"])
    assert {"signature", "hmac", "entry"} <= failed(made, spliced)
    foreign = json.loads(made.other)
    spliced = copy.deepcopy(allow)
    spliced["entries"][0] = foreign["entries"][0]
    assert f"entry {foreign['entries'][0]['seq']}" in failed(made, spliced)


def test_a_denial_is_not_left_out(made: Made) -> None:
    """Of an intent that was decided twice, only the decision that somebody likes."""
    document = made.document("ESCALATE")
    kept = [one for one in document["entries"] if '"effect":"ESCALATE"' not in one["content"]]
    assert len(kept) == len(document["entries"]) - 1
    for count in (len(document["entries"]), len(kept)):
        changed = {**document, "entries": kept, "entryCount": count}
        assert {"signature", "hmac", "recomputed"} <= failed(made, changed)


def test_a_pending_intent_is_not_passed_off_as_allowed(made: Made) -> None:
    """Its bundle says so in three places, and all are held together."""
    document = made.document("PENDING")
    document |= {"complete": True, "status": "approved"}
    document["decision"]["effect"] = "ALLOW"
    assert {"signature", "hmac", "summary"} <= failed(made, document)
