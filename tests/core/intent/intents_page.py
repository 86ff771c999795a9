"""Writes `gateway/core/intent/README.md` from the tables.

python -m tests.core.intent.intents_page > gateway/core/intent/README.md
"""

from gateway.core.intent.classify import METHOD_TYPES
from gateway.core.intent.risk import EFFECT_POINTS, RISK_FACTORS
from gateway.core.intent.signals import MAX_TEXT_CHARS, MAX_TOTAL_CHARS
from gateway.core.intent.taxonomy import TAXONOMY, Domain

MEANINGS = {
    "read": "gives information back and changes nothing",
    "write": "adds or changes what can be changed back",
    "send": "words or files leave for people or sites outside",
    "access": "changes who may do what",
    "execute": "runs what the arguments say, or starts something that runs",
    "unknown": "cannot be told",
    "destructive": "takes something away for good",
    "payment": "moves money, or binds someone to pay",
    "credential": "uses, shows, makes or changes secrets",
}

HEAD = f"""# Intents and risk

<!-- Written by `python -m tests.core.intent.intents_page > gateway/core/intent/README.md`; a test holds it current. -->

Every gated call is judged before a policy sees it: what kind of thing it is (its **intent type** and **effect class**),
how sure that is (**confidence**, 0 to 1), and how dangerous it is (**risk**, 0 to 100).
The judgement is deterministic: the same call gives the same answer, with the evidence for it.

## How a call is judged

1. An operator's mapping settles the type.
   With the pin of the tool's present definition it is a review: the points for an unreviewed tool drop.
   With another pin it no longer holds, can only raise, and adds `changed-tool`.
2. Otherwise the tool's name speaks first: its leading verb, the nouns that make it graver, verbs joined by `and`.
3. The schema raises it: a command line, recipients and a text, an amount and a currency, listed values of an `action`.
4. The description may only raise.
   Where it alone names an effect, the call still weighs as much as an unknown one.
5. Annotations may only raise, unless an operator has reviewed the tool.
6. The arguments outrank all of it: a listed `action` decides what the name leaves open, any other may only raise, and
   dangerous content adds its points whatever the tool is called.
   What the agent itself fills in to reassure (`confirm`, `dry_run`) counts for nothing.

Of one text {MAX_TEXT_CHARS // 1024} KiB are looked at, of all texts of a call {MAX_TOTAL_CHARS // 1024} KiB; what lies
beyond adds `oversized-argument`.
Evidence names an argument by its path, never its value.

An operator adds types in a file of their own; `Taxonomy.extended` joins them to these.
"""


def row(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def effects() -> list[str]:
    ordered = sorted(EFFECT_POINTS.items(), key=lambda item: item[1])
    return [
        "## Effect classes",
        "",
        row("effect", "points", "what happens if the call runs"),
        row("---", "---:", "---"),
        *(row(f"`{effect.value}`", points, MEANINGS[effect.value]) for effect, points in ordered),
        "",
    ]


def factors() -> list[str]:
    return [
        "## Risk factors",
        "",
        "Policies read the codes as `risk.factors`. Risk is the sum of the points, at most 100.",
        "Of a graded factor (`amount`, `bulk`, `production`, `low-confidence`) the table shows the most it weighs.",
        "",
        row("code", "points", "meaning"),
        row("---", "---:", "---"),
        *(row(f"`{kind.code}`", kind.points, kind.meaning) for kind in RISK_FACTORS.values()),
        "",
    ]


def methods() -> list[str]:
    return [
        "## Methods that are no tool call",
        "",
        row("method", "intent type"),
        row("---", "---"),
        *(row(f"`{method}`", f"`{type_id}`") for method, type_id in METHOD_TYPES.items()),
        "",
    ]


def domain_table(domain: Domain) -> list[str]:
    return [
        f"### {domain.name}",
        "",
        f"{domain.description}." + (" Published in the Ops guide." if domain.published else ""),
        "",
        row("intent type", "effect", "value", "base risk"),
        row("---", "---", "---", "---:"),
        *(
            row(f"`{each.id}`", each.effect_class.value, each.value.value if each.value else "", each.base_risk or "")
            for each in TAXONOMY.by_domain[domain.name]
        ),
        "",
    ]


def intents_page() -> str:
    lines = [HEAD, *effects(), *factors(), *methods(), "## Taxonomy", ""]
    for domain in TAXONOMY.domains:
        lines.extend(domain_table(domain))
    return "\n".join(lines).rstrip("\n") + "\n"


if __name__ == "__main__":
    print(intents_page(), end="")
