"""An agent's trust as lines of text: what it is, what moved it, and a small plot of its score and tier over time.

Owns the words and the drawing, of what REST answers; asks nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from gateway.cli.output import visible

__all__ = ["history", "plot", "told"]

ROWS: Final = 10
"""Lines of the plot: ten points of score each."""

_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"


def told(trust: dict[str, Any]) -> Iterator[str]:
    """Yield an agent's trust as REST tells it."""
    held = "given by the configuration, it does not move" if trust["pinned"] else _held(trust)
    yield f"tier      {trust['tier']} ({held})"
    if trust["recorded"] != trust["tier"]:
        yield f"          {trust['recorded']} by its last change; that it fell is in force and about to be recorded"
    yield f"score     {trust['score']} of 100"
    yield f"acts      {', '.join(f'{count} {kind}' for kind, count in trust['counts'].items() if count) or 'none'}"
    if trust["failuresInRow"]:
        yield f"in a row  {trust['failuresInRow']} failed or denied"
    if trust["stopped"]:
        yield visible(f"STOPPED   {trust['stopped']}")
    for word, member in (("raised", "raisedBy"), ("lowered", "loweredBy")):
        if trust[member]:
            entries = ", ".join(f"{one['seq']} ({one['id']})" for one in trust[member])
            yield f"{word:<9} by {'entry' if len(trust[member]) == 1 else 'entries'} {entries}"
    for number, need in enumerate(trust["promotion"]):
        mark = "met" if need["met"] else "MISSING"
        yield f"{'to rise' if number == 0 else '':<9} {mark:<7} {need['what']}: {need['has']}, takes {need['asks']}"


def _held(trust: dict[str, Any]) -> str:
    by = "set by a human" if trust["ceilingSetByHuman"] else "configured"
    since = f"since {trust['since']}, " if trust["since"] else ""
    frozen = ", FROZEN: not promoted" if trust["frozen"] else ""
    return f"{since}ceiling {trust['ceiling']} {by}{frozen}"


def history(past: dict[str, Any]) -> Iterator[str]:
    """Yield the plot and the last moves, as REST tells them."""
    if past["points"]:
        yield from plot(past["points"])
    for number, move in enumerate(past["moves"]):
        what = move["what"] if move["risk"] is None else f"{move['what']}, risk {move['risk']}"
        tier = "" if move["tierBefore"] == move["tier"] else f"  {move['tierBefore']} → {move['tier']}"
        head = "moved by" if number == 0 else ""
        score = f"{move['scoreBefore']} → {move['score']}"
        yield visible(f"{head:<9} entry {move['seq']}  {move['at'][:16].replace('T', ' ')}  {what}  {score}{tier}")


def plot(points: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the score as columns of blocks over the days, and below each day its tier's number."""
    for row in range(ROWS - 1, -1, -1):
        label = f"{(row + 1) * 10:>3}" if row % 2 else "   "
        columns = (min(max(point["score"] - row * 10, 0), 10) for point in points)
        yield f"{label} │{''.join(_EIGHTHS[-(-fill * 8 // 10)] for fill in columns)}".rstrip()
    yield f"    └{'─' * len(points)}"
    yield f"tier {''.join(point['tier'][1] for point in points)}"
    first, last = points[0]["day"], points[-1]["day"]
    yield f"     {first if first == last else first.ljust(len(points) - len(last) + 1) + last}"
