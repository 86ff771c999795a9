"""Risk: the table of factors with their stable codes, and their bounded sum.

Owns codes, points and the sum. What is seen in a call is `signals.py`; which effect class it has is `classify.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.core.intent.model import EffectClass, RiskFactor

__all__ = ["EFFECT_POINTS", "MAX_RISK", "RISK_FACTORS", "FactorKind", "effect_factor", "factor", "total"]

MAX_RISK = 100

EFFECT_POINTS: Mapping[EffectClass, int] = {
    EffectClass.READ: 10,
    EffectClass.WRITE: 28,
    EffectClass.SEND: 52,
    EffectClass.ACCESS: 58,
    EffectClass.EXECUTE: 60,
    EffectClass.UNKNOWN: 60,
    EffectClass.DESTRUCTIVE: 62,
    EffectClass.PAYMENT: 62,
    EffectClass.CREDENTIAL: 62,
}
"""What an effect class weighs before anything else is known.

Calibrated on the default thresholds: with an unreviewed (5) and novel (5) tool a read is 20, below T0's 30; a write
38, between T0's 30 and T1's 45; everything else above T1's 45.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorKind:
    """One row of the table. `points` is what the factor weighs; where it is graded, the most it can."""

    code: str
    points: int
    meaning: str


RISK_FACTORS: Mapping[str, FactorKind] = {
    kind.code: kind
    for kind in (
        *(
            FactorKind(
                code=f"effect-{effect.value}", points=points, meaning=f"What is done is of effect class {effect.value}"
            )
            for effect, points in EFFECT_POINTS.items()
        ),
        # --- plainly dangerous content: alone enough for 90 on a read of an unreviewed, novel tool ---
        FactorKind(code="system-path", points=80, meaning="A path of the operating system, or where secrets lie"),
        FactorKind(code="path-traversal", points=80, meaning="A `..` segment, also encoded or with backslashes"),
        FactorKind(code="destructive-sql", points=80, meaning="SQL that drops, empties, escapes or rewrites wholesale"),
        FactorKind(code="destructive-shell", points=80, meaning="A command that destroys, takes over or fetches code"),
        FactorKind(code="metadata-address", points=85, meaning="An address that hands out a machine's credentials"),
        # --- content that needs a human ---
        FactorKind(code="secret-in-arguments", points=30, meaning="Something of the shape of a secret"),
        FactorKind(code="private-address", points=30, meaning="A loopback, private or link-local address"),
        FactorKind(code="file-url", points=40, meaning="A file: URL given to something that is no resource read"),
        FactorKind(code="shell-injection", points=40, meaning="Command substitution where no command is expected"),
        FactorKind(code="option-injection", points=40, meaning="A value that a program would read as an option"),
        FactorKind(code="dangerous-text", points=25, meaning="Dangerous content inside prose or file content"),
        FactorKind(code="protection-off", points=30, meaning="Switches a protection of the tool off"),
        FactorKind(code="data-in-url", points=20, meaning="A URL long enough to carry data out"),
        FactorKind(code="hidden-characters", points=25, meaning="Invisible or look-alike characters"),
        FactorKind(code="oversized-argument", points=15, meaning="Text beyond the length that is scanned"),
        FactorKind(code="sensitive-data", points=15, meaning="Personal, medical, financial or secret data by its name"),
        # --- reach, reversibility, environment, amount ---
        FactorKind(code="outside-recipient", points=10, meaning="A recipient outside, or not known to be inside"),
        FactorKind(code="public-exposure", points=20, meaning="Made visible to everyone"),
        FactorKind(code="bulk", points=20, meaning="Many items, or all of them, at once"),
        FactorKind(code="wildcard", points=15, meaning="A pattern or an empty filter that takes everything"),
        FactorKind(code="irreversible", points=10, meaning="Forced, permanent, overwriting or recursive"),
        FactorKind(code="production", points=15, meaning="The production environment, or a main branch"),
        FactorKind(code="amount", points=20, meaning="An amount of money, graded by size"),
        # --- what decides the effect, and how sure that is ---
        FactorKind(code="action-argument", points=5, meaning="An argument, not the tool's name, decides the effect"),
        FactorKind(code="destructive-annotation", points=20, meaning="The upstream itself calls the tool destructive"),
        FactorKind(code="not-read-only", points=5, meaning="Named like a read, but the upstream says that it is none"),
        FactorKind(code="low-confidence", points=50, meaning="The effect rests on weak evidence; at least as unknown"),
        # --- what is known of tool and agent ---
        FactorKind(code="changed-tool", points=25, meaning="The definition changed since it was known"),
        FactorKind(code="unreviewed-tool", points=5, meaning="No operator has reviewed the definition"),
        FactorKind(code="novel", points=5, meaning="This agent was never allowed this before"),
    )
}
"""Every factor by its code. Policies read the codes as `risk.factors`; they never change their meaning."""


def factor(code: str, evidence: str, points: int | None = None) -> RiskFactor:
    """Return the factor `code` with its evidence, at full points unless it is graded."""
    return RiskFactor(code=code, points=RISK_FACTORS[code].points if points is None else points, evidence=evidence)


def effect_factor(effect: EffectClass, evidence: str, points: int | None = None) -> RiskFactor:
    """Return the base factor of an effect class; `points` where the intent type sets its own."""
    return factor(f"effect-{effect.value}", evidence, points)


def total(factors: Iterable[RiskFactor]) -> int:
    """Return the sum of the points, within 0 and 100."""
    return max(0, min(MAX_RISK, sum(each.points for each in factors)))
