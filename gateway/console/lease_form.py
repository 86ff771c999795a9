"""The form that grants a lease with a yes: how it is drawn, and how what it sends is read.

Owns its fields. What may be granted is `services/leases.py`'s; the places are those of the approval as it is shown, and
a form names each that it loosens, so that a page which is not the newest loosens nothing else.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Final

from gateway.console.markup import Html, joined, tag
from gateway.core.leases import Check, Constraint
from gateway.core.presentation import Offer
from gateway.core.visible import visible
from gateway.errors import FieldProblem, InvalidRequest
from gateway.services.lease_terms import LeaseTerms

__all__ = ["MAX_FIELDS", "lease_form", "terms_of"]

SHOWN: Final = 20
"""Places that can be loosened here; the others must be the same, and a command line loosens any."""

MAX_FIELDS: Final = 3 * SHOWN + 8
"""Of one form: path, check and value of each place, and what every form has."""

MAX_NUMBER_CHARS: Final = 40
"""Of a number that is typed; what is longer is read as a text."""

_SAME: Final = "same"
_WORDS: Final = {
    Check.ANY: "any value",
    Check.MAX: "at most",
    Check.MIN: "at least",
    Check.PREFIX: "begins with (no way out of it)",
}


def lease_form(offer: Offer, *, path: str, token: str) -> Html:
    """Return the form, folded; or why there is none."""
    if offer.problem:
        return tag("p", f"No lease can be granted with it: {offer.problem}.")
    rows = [_row(number, place, value) for number, (place, value) in enumerate(offer.places[:SHOWN])]
    return tag(
        "details",
        tag("summary", "Approve, and calls like it for a while"),
        tag(
            "form",
            tag("p", "This call runs once, and so many more of the same tool by this agent need no answer."),
            tag("input", type="hidden", name="token", value=token),
            *_number("minutes", f"For how many minutes (at most {offer.max_minutes})", min(10, offer.max_minutes)),
            *_number("uses", f"For how many calls (at most {offer.max_uses})", min(10, offer.max_uses)),
            tag("p", "Arguments. None may be missing, and no others be there; a riskier call asks again."),
            *rows,
            tag("label", "Reason (recorded)", for_="lease-reason"),
            tag("textarea", id="lease-reason", name="reason", rows="2", maxlength="4096"),
            tag("button", "Approve, and calls like it", type="submit", name="do", value="lease", class_="yes"),
            method="post",
            action=path,
        ),
        class_="lease",
    )


def terms_of(form: Mapping[str, str]) -> LeaseTerms:
    """Return what the form asks for. Raises InvalidRequest."""
    return LeaseTerms(minutes=_whole(form, "minutes"), uses=_whole(form, "uses"), constraints=tuple(_constraints(form)))


def _constraints(form: Mapping[str, str]) -> Iterator[Constraint]:
    for number in range(SHOWN):
        place, word = form.get(f"path.{number}", ""), form.get(f"check.{number}", _SAME)
        if word == _SAME:
            continue
        if word not in list(_WORDS):
            raise InvalidRequest(FieldProblem(path=("lease", "constraints", place), message="names no check"))
        yield Constraint(path=place, check=Check(word), value=_value(Check(word), form.get(f"value.{number}", "")))


def _value(check: Check, text: str) -> object:
    """Return what a check compares with; a number that is none stays a text, which the gateway refuses."""
    if check is Check.ANY:
        return None
    if check is Check.PREFIX or len(text) > MAX_NUMBER_CHARS:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _whole(form: Mapping[str, str], name: str) -> int:
    text = form.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise InvalidRequest(FieldProblem(path=("lease", name), message="must be a whole number"))
    return int(text)


def _number(name: str, label: str, value: int) -> tuple[Html, Html]:
    field = tag(
        "input", id=name, name=name, type="text", inputmode="numeric", required=True, value=str(value), maxlength="6"
    )
    return tag("label", label, for_=name), field


def _row(number: int, place: str, value: str) -> Html:
    words = [check for check in _WORDS if check in _kinds(value)]
    return joined(
        tag("label", f"{visible(place)}: now {value}", for_=f"check.{number}"),
        tag("input", type="hidden", name=f"path.{number}", value=place),
        tag(
            "select",
            tag("option", "must be the same", value=_SAME, selected=True),
            *(tag("option", _WORDS[check], value=check.value) for check in words),
            id=f"check.{number}",
            name=f"check.{number}",
        ),
        tag(
            "input",
            type="text",
            name=f"value.{number}",
            maxlength="1024",
            **{"aria-label": f"What {visible(place)} is compared with"},
        )
        if len(words) > 1
        else None,
    )


def _kinds(value: str) -> frozenset[Check]:
    """Return what makes sense for a value, by its first sign as it is shown."""
    if value.startswith('"'):
        return frozenset({Check.ANY, Check.PREFIX})
    if value[:1] in "-0123456789":
        return frozenset({Check.ANY, Check.MAX, Check.MIN})
    return frozenset({Check.ANY})
