"""One evidence bundle: every check of it by name, and whether anybody vouches for it.

1. form          it is a bundle, with every member of one and no other
2. key           the key that it is signed with is one that the checker knows
3. signature     that key signed all of it
4. hmac          the tenant's secret did, too (where the checker has it)
5. checkpoint    the key signed the state of the chain
6. entry         each entry is what was hashed, of this tenant and intent, in order, linked where two follow each other
7. body          each body is the one that its entry has digested
8. inclusion     each entry is in the chain that the checkpoint names
9. count         there are as many as the signer says there are
10. summary      status and decision are what the entries say
11. cited        what is cited are leases that decisions rest on, and each was granted before
12. approval     an approved verdict has its yes: before it, to that very call, by others than who asked
13. recomputed   each verdict follows from the recorded results of its conditions, and came out the same for the gateway
14. complete     an export of the chain has no other entry of this intent (where the checker has one)

Deliberately not here: a choice of algorithm, a key that a signature points to, and any trust in the key that a bundle
brings along. A bundle for which neither a key nor a secret vouches is consistent at best, and not trusted.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from intended.evidence.approval import yes_problem
from intended.evidence.chain import fields_of, first_prev, included, leaf, root_over
from intended.evidence.keys import Key, KeyProblem, decoded, key_of
from intended.evidence.reading import canonical, form_problem, read
from intended.evidence.verdict import status_of, verdict_of

__all__ = ["Check", "Report", "State", "verify"]

BUNDLE: Final = ("so.intended/evidence-bundle/v1", "evidence-bundle+jws")
CHECKPOINT: Final = ("so.intended/checkpoint/v1", "checkpoint+jws")

_HASH_BYTES: Final = 32
_UNREADABLE: Final = (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError)

Document = Mapping[str, Any]


class State(Enum):
    """How a check went."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "not checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check. `detail` says what failed, or why it was not made."""

    name: str
    state: State
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is known of a bundle. Tenant, intent and kid are what it says of itself."""

    checks: tuple[Check, ...]
    tenant: str = ""
    intent_id: str = ""
    kid: str = ""

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(one for one in self.checks if one.state is State.FAILED)

    @property
    def consistent(self) -> bool:
        """Nothing in it contradicts anything else in it. Whoever made it up can have seen to that."""
        return not self.failed

    @property
    def trusted(self) -> bool:
        """Every check passed, and a key or secret that the checker knows vouches for it."""
        vouched = {one.name for one in self.checks if one.state is State.PASSED} & {"key", "hmac"}
        return self.consistent and bool(vouched)


class _Wrong(Exception):
    """A check failed."""


class _Skipped(Exception):
    """A check cannot be made with what the checker has."""


def verify(
    raw: bytes, *, keys: Iterable[Key] = (), secret: str | None = None, export: Iterable[bytes] | None = None
) -> Report:
    """Check a bundle, all of it; nothing is raised for anything that it can hold.

    `keys` are those that the checker believes (`known_keys`), `secret` the tenant's evidence secret, `export` the lines
    of `intended audit export`.
    """
    try:
        document = read(raw)
        problem = form_problem(document)
    except ValueError as error:
        problem = str(error)
    if problem:
        return Report(checks=(Check(name="form", state=State.FAILED, detail=problem),))
    return _Bundle(document).report(tuple(keys), secret, export)


class _Bundle:
    """A document of the form of a bundle, under check."""

    def __init__(self, document: Document) -> None:
        self._whole = document
        self._tenant: str = document["tenant"]
        self._size: int = document["checkpoint"]["treeSize"]
        self._checks: list[Check] = [Check(name="form", state=State.PASSED)]
        self._entries: list[Document] = []
        self._bodies: list[Document] = []
        self._cited: list[tuple[Document, Document]] = []

    def report(self, keys: Sequence[Key], secret: str | None, export: Iterable[bytes] | None) -> Report:
        """Make every check."""
        document = self._whole
        key = self._signer(keys)
        self._check("signature", lambda: self._signed(key, document, BUNDLE))
        self._check("hmac", lambda: self._authenticated(secret))
        self._check("checkpoint", lambda: self._pointed(key))
        every = [(one, "entry") for one in document["entries"]] + [(one, "cited entry") for one in document["cited"]]
        for shown, word in every:
            self._look(shown, word)
        self._check("entry", self._ordered)
        self._check("count", self._counted)
        self._check("summary", self._summed_up)
        self._check("cited", self._rests_on)
        self._check("approval", self._approved)
        self._check("recomputed", self._recomputed)
        self._check("complete", lambda: self._complete(export))
        return Report(
            checks=tuple(self._checks), tenant=self._tenant, intent_id=document["intentId"], kid=document["key"]["kid"]
        )

    def _check(self, name: str, make: Callable[[], object]) -> None:
        """Make a check and note how it went."""
        state, detail = State.PASSED, ""
        try:
            make()
        except _Skipped as why:
            state, detail = State.SKIPPED, str(why)
        except _Wrong as wrong:
            state, detail = State.FAILED, str(wrong)
        except _UNREADABLE as error:
            state, detail = State.FAILED, f"it cannot be read ({type(error).__name__})"
        self._checks.append(Check(name=name, state=state, detail=detail))

    # --- who vouches --------------------------------------------------------------------------------------------------

    def _signer(self, keys: Sequence[Key]) -> Key | None:
        """Return the key that must have signed: one that is known, or else (nobody vouches for it) what it brings."""
        found: list[Key] = []

        def look() -> None:
            try:
                brought = key_of(self._whole["key"])
            except KeyProblem as error:
                raise _Wrong(str(error)) from error
            if brought.kid != self._whole["key"]["kid"]:
                raise _Wrong("its name is not its thumbprint")
            found.append(brought)
            known = [one for one in keys if one.kid == brought.kid]
            if keys and not known:
                found.clear()
                raise _Wrong(f"{brought.kid} is none of the keys that are known")
            if not known:
                raise _Skipped(f"{brought.kid} came with the bundle, and nobody vouches for it")
            found[:] = [next((one for one in known if one.public is not None), brought)]

        self._check("key", look)
        return found[0] if found else None

    def _signed(self, key: Key | None, document: Document, kind: tuple[str, str]) -> None:
        """Check a detached JWS (RFC 7515, appendix F) over all other members."""
        if key is None:
            raise _Wrong("there is no key to check it with")
        format_, type_ = kind
        head, payload, signature = document["signature"].split(".")
        header = read(decoded(head))
        if payload or header != {"alg": "RS256", "kid": key.kid, "typ": type_} or document["format"] != format_:
            raise _Wrong("it is another kind of signature, or by another key")
        rest = canonical({name: value for name, value in document.items() if name != "signature"})
        message = head.encode() + b"." + _base64url(rest)
        if not key.signed(message, decoded(signature)):
            raise _Wrong("the key did not sign this")

    def _authenticated(self, secret: str | None) -> None:
        if secret is None:
            raise _Skipped("the tenant's evidence secret was not given")
        if not secret:
            raise _Wrong("the secret is empty, and anybody has that one")
        rest = {name: value for name, value in self._whole.items() if name not in ("hmac", "signature")}
        found = hmac.new(secret.encode(), canonical(rest), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(found.encode(), self._whole["hmac"].encode()):
            raise _Wrong(f"the secret did not make this; it should be {self._whole['secret']}")

    def _pointed(self, key: Key | None) -> None:
        point = self._whole["checkpoint"]
        self._signed(key, point, CHECKPOINT)
        if point["tenant"] != self._tenant or point["time"] != self._whole["made"]:
            raise _Wrong("it is of another chain, or of another time")

    # --- what is on record --------------------------------------------------------------------------------------------

    def _look(self, shown: Document, word: str) -> None:
        """Check one entry, its body and its proof."""
        place = f"{word} {shown['seq']}"

        def entry() -> None:
            fields = self._entry(shown)
            if word == "entry":
                self._entries.append(fields)
            else:
                self._cited.append((fields, _body(shown["body"])))

        def body() -> None:
            digest = hashlib.sha256(bytes.fromhex(shown["salt"]) + shown["body"].encode()).hexdigest()
            if digest != fields_of(shown["content"])["bodyDigest"]:
                raise _Wrong(f"the body of {place} is not the one that was digested")
            if word == "entry":
                self._bodies.append(_body(shown["body"]))

        def inclusion() -> None:
            proof = [bytes.fromhex(one) for one in shown["proof"]]
            root = bytes.fromhex(self._whole["checkpoint"]["root"])
            sized = all(len(one) == _HASH_BYTES for one in (*proof, root))
            at = {"index": shown["seq"] - 1, "size": self._size}
            if not sized or not included(leaf(shown["content"].encode()), **at, proof=proof, root=root):
                raise _Wrong(f"{place} is not in the chain that the checkpoint names")

        self._check(f"{word} {shown['seq']}", entry)
        self._check(f"body of {place}", body)
        self._check(f"inclusion of {place}", inclusion)

    def _entry(self, shown: Document) -> Document:
        try:
            fields = fields_of(shown["content"])
        except ValueError as error:
            raise _Wrong(str(error)) from error
        if hashlib.sha256(shown["content"].encode()).hexdigest() != shown["hash"]:
            raise _Wrong("its hash is another one")
        if fields["seq"] != shown["seq"] or fields["tenant"] != self._tenant:
            raise _Wrong("it has another number, or is of another tenant")
        if shown["seq"] == 1 and fields["prev"] != first_prev(self._tenant):
            raise _Wrong("it is not the beginning of the chain")
        if shown["seq"] == self._size and shown["hash"] != self._whole["checkpoint"]["headHash"]:
            raise _Wrong("it is not the head of the chain that the checkpoint names")
        return fields

    def _ordered(self) -> None:
        if any(one["intentId"] != self._whole["intentId"] for one in self._entries):
            raise _Wrong("an entry is of another intent")
        numbers = [one["seq"] for one in self._entries]
        cited = [one["seq"] for one, _ in self._cited]
        if numbers != sorted(set(numbers)) or cited != sorted(set(cited) - set(numbers)):
            raise _Wrong("entries are out of order, or there twice")
        by_number = {one["seq"]: one for one in (*self._whole["entries"], *self._whole["cited"])}
        for fields in (*self._entries, *(one for one, _ in self._cited)):
            before = by_number.get(fields["seq"] - 1)
            if before is not None and before["hash"] != fields["prev"]:
                raise _Wrong(f"entry {fields['seq']} does not follow the one before it")

    def _counted(self) -> None:
        if self._whole["entryCount"] != len(self._whole["entries"]) or not self._entries:
            raise _Wrong(f"the signer knows of {self._whole['entryCount']}, {len(self._whole['entries'])} are there")

    # --- what follows from it -----------------------------------------------------------------------------------------

    def _decisions(self) -> list[tuple[Document, Document]]:
        if len(self._bodies) != len(self._entries):
            raise _Wrong("an entry or a body cannot be read")
        pairs = zip(self._entries, self._bodies, strict=True)
        return [(entry, body) for entry, body in pairs if entry["type"] == "call.decided"]

    def _summed_up(self) -> None:
        entry, body = self._decisions()[-1]
        told = body["decision"]
        follows = {
            "seq": entry["seq"],
            "effect": entry["effect"],
            "reason": told["reason"],
            "risk": entry["risk"],
            "policySet": told["policySet"],
            "policyDigest": entry["policyDigest"],
            "rules": told["rules"],
        }
        if self._whole["decision"] != follows:
            raise _Wrong("the decision is not what its entry says")
        status = status_of(self._entries)
        if self._whole["status"] != status or self._whole["complete"] is not (status != "pending"):
            raise _Wrong(f"from the entries follows the status {status}")

    def _rests_on(self) -> None:
        leases = {body["facts"]["lease"]["id"] for _, body in self._decisions() if "lease" in body["facts"]}
        for entry, body in self._cited:
            if entry["type"] not in ("lease.granted", "lease.ended") or body["leaseId"] not in leases:
                raise _Wrong(f"no decision rests on entry {entry['seq']}")
        known = [*self._cited, *zip(self._entries, self._bodies, strict=True)]
        granted = {body["leaseId"]: entry["seq"] for entry, body in known if entry["type"] == "lease.granted"}
        if leases - granted.keys():
            raise _Wrong(f"the lease {min(leases - granted.keys())} is not on record here")
        for entry, body in self._decisions():
            lease = body["facts"].get("lease")
            if lease is not None and entry["seq"] < granted[lease["id"]]:
                raise _Wrong(f"the lease that entry {entry['seq']} rests on was granted later")

    def _approved(self) -> None:
        decisions = self._decisions()
        known = list(zip(self._entries, self._bodies, strict=True))
        for entry, body in decisions:
            problem = yes_problem((entry, body), known) if body["decision"]["reason"] == "approved" else ""
            if problem:
                raise _Wrong(f"entry {entry['seq']}: {problem}")

    def _recomputed(self) -> None:
        decisions = self._decisions()
        claims = self._whole["recomputed"]
        if [one["seq"] for one in claims] != [entry["seq"] for entry, _ in decisions]:
            raise _Wrong("what was recomputed are not the decisions")
        for claim, (entry, body) in zip(claims, decisions, strict=True):
            told = body["decision"]
            recorded = (entry["effect"], told["reason"], told["rung"])
            if entry["effect"] != told["effect"]:
                raise _Wrong(f"entry {entry['seq']} and its body have different verdicts")
            try:
                derived = verdict_of(entry, body)
            except ValueError as error:
                raise _Wrong(f"entry {entry['seq']}: {error}") from error
            if derived not in (None, recorded):
                raise _Wrong(f"entry {entry['seq']} says {recorded}, from its conditions follows {derived}")
            if claim["result"] == "different" or claim["differences"]:
                raise _Wrong(f"entry {entry['seq']}: the gateway itself came to another verdict")
            made_from = {"same": ("input", "conditions"), "not possible": ("",)}.get(claim["result"], ())
            if claim["from"] not in made_from or (claim["from"] != "input" and not claim["problem"]):
                raise _Wrong(f"entry {entry['seq']}: what is said of its recomputation cannot be")

    def _complete(self, export: Iterable[bytes] | None) -> None:
        """Compare with the chain itself, up to the checkpoint."""
        if export is None:
            raise _Skipped("that no entry of this intent was left out, an export of the chain shows")
        leaves: list[bytes] = []
        numbers: list[int] = []
        for raw in export:
            line = read(raw)
            if line["tenant"] != self._tenant or len(leaves) == self._size:
                continue
            content = line["content"].encode()
            leaves.append(leaf(content))
            if json.loads(content)["intentId"] == self._whole["intentId"]:
                numbers.append(line["seq"])
        if len(leaves) != self._size or root_over(leaves).hex() != self._whole["checkpoint"]["root"]:
            raise _Wrong("the export is not of the chain that the checkpoint names")
        if numbers != [one["seq"] for one in self._whole["entries"]]:
            raise _Wrong(f"the chain has these entries of the intent: {numbers}")


def _body(text: str) -> Document:
    """Read a body; unlike a bundle it may hold fractions."""
    found: Document = json.loads(text)
    if not isinstance(found, dict):
        raise _Wrong("a body is no object")
    return found


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
