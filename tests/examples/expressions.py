"""What a PromQL expression asks for and answers, read off its parse: metrics, labels, unit, and what is wrong with it.

The parser is a real one (`promql-parser`); this only looks at the tree that it returns, with the metrics that a gateway
really exports beside it. Where Prometheus itself is at hand, `tests/clients/test_monitoring.py` asks that too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import promql_parser as promql

__all__ = ["TARGET", "Exported", "labels_of", "parsed", "problems", "selectors", "unit_of"]

TARGET = frozenset({"job", "instance"})
"""Labels that Prometheus adds to each series of a target."""

OVER_TIME = frozenset({"rate", "irate", "increase"})
SET_OPERATORS = frozenset({"and", "or", "unless"})
COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """One name that can be asked for. `kind`: counter (also `_bucket`, `_sum` and `_count`), gauge."""

    kind: str
    labels: frozenset[str]
    unit: str
    histogram: str = ""


def parsed(text: str) -> Any:
    """Return the tree of an expression. Raises ValueError where it is none."""
    return promql.parse(text)


def selectors(tree: Any) -> Iterator[Any]:
    """Yield each vector selector of the tree."""
    found: list[Any] = []
    promql.walk(tree, pre_visit=lambda one: found.append(one) if isinstance(one, promql.VectorSelector) else None)
    return iter(found)


def inner(tree: Any) -> Any:
    """Return what an expression that changes no labels is about."""
    while True:
        if isinstance(tree, promql.ParenExpr | promql.UnaryExpr | promql.SubqueryExpr):
            tree = tree.expr
        elif isinstance(tree, promql.MatrixSelector):
            tree = tree.vector_selector
        else:
            return tree


def is_scalar(tree: Any) -> bool:
    """Tell whether the expression is one number."""
    tree = inner(tree)
    if isinstance(tree, promql.BinaryExpr):
        return is_scalar(tree.lhs) and is_scalar(tree.rhs)
    return isinstance(tree, promql.NumberLiteral) or (isinstance(tree, promql.Call) and tree.func.name == "time")


def labels_of(tree: Any, known: Mapping[str, Exported]) -> frozenset[str]:
    """Return the labels of what the expression answers."""
    tree = inner(tree)
    if isinstance(tree, promql.VectorSelector):
        return known[tree.name].labels
    if isinstance(tree, promql.AggregateExpr):
        if str(tree.op) in ("topk", "bottomk"):
            return labels_of(tree.expr, known)
        if tree.modifier is None:
            return frozenset()
        named = frozenset(tree.modifier.labels)
        if tree.modifier.type == promql.AggModifierType.By:
            return named
        return labels_of(tree.expr, known) - named
    if isinstance(tree, promql.Call):
        vectors = [labels_of(one, known) for one in tree.args if not is_scalar(one)]
        found = vectors[0] if vectors else frozenset()
        return found - {"le"} if tree.func.name == "histogram_quantile" else found
    if isinstance(tree, promql.BinaryExpr):
        left, right = (None if is_scalar(one) else labels_of(one, known) for one in (tree.lhs, tree.rhs))
        if left is None or right is None:
            return left or right or frozenset()
        return left & right if str(tree.op) == "or" else left
    return frozenset()


def unit_of(tree: Any, known: Mapping[str, Exported]) -> str:
    """Return in what the answer is measured: `s`, `reqps`, `percentunit`, `s/s`, or `short` for anything counted."""
    tree = inner(tree)
    if isinstance(tree, promql.VectorSelector):
        return known[tree.name].unit
    if isinstance(tree, promql.AggregateExpr):
        return unit_of(tree.expr, known)
    if isinstance(tree, promql.Call):
        name, metric = tree.func.name, next(iter(selectors(tree)), None)
        if name == "histogram_quantile":
            return "s"
        if name == "rate" and metric is not None:
            return "s/s" if metric.name.endswith("_seconds_sum") else "reqps"
        return "s" if name == "time" else "short"
    if isinstance(tree, promql.BinaryExpr):
        left, right = unit_of(tree.lhs, known), unit_of(tree.rhs, known)
        if str(tree.op) != "/":
            return left
        return "s" if (left, right) == ("s/s", "reqps") else "percentunit"
    return "short"


def problems(tree: Any, known: Mapping[str, Exported], values: Mapping[str, frozenset[str]]) -> list[str]:
    """Return everything that would make the expression answer nothing, or nonsense."""
    found: list[str] = []
    for one in selectors(tree):
        if one.name not in known:
            return [f"there is no metric {one.name}"]
        found += _of_matchers(one, known[one.name].labels, values)

    def look(one: Any) -> None:
        if isinstance(one, promql.AggregateExpr):
            found.extend(_of_aggregate(one, known))
        elif isinstance(one, promql.Call):
            found.extend(_of_call(one, known))
        elif isinstance(one, promql.BinaryExpr):
            found.extend(_of_binary(one, known))

    promql.walk(tree, pre_visit=look)
    return found


def _of_matchers(one: Any, labels: frozenset[str], values: Mapping[str, frozenset[str]]) -> Iterator[str]:
    for matcher in one.matchers.matchers:
        if matcher.name not in labels:
            yield f"{one.name} has no label {matcher.name}"
        elif matcher.name in values:
            for word in str(matcher.value).split("|"):
                if word not in values[matcher.name]:
                    yield f"{matcher.name} is never {word}"


def _of_aggregate(one: Any, known: Mapping[str, Exported]) -> Iterator[str]:
    if one.modifier is not None:
        for label in set(one.modifier.labels) - labels_of(one.expr, known):
            yield f"nothing in `{one.expr}` has the label {label}"


def _of_call(one: Any, known: Mapping[str, Exported]) -> Iterator[str]:
    name = one.func.name
    if name in OVER_TIME:
        for metric in selectors(one):
            if known[metric.name].kind != "counter":
                yield f"{name} of {metric.name}, which is a {known[metric.name].kind}"
    if name == "histogram_quantile":
        asked = one.args[1]
        if "le" not in labels_of(asked, known):
            yield f"histogram_quantile over `{asked}`, which has no label le"
        for metric in selectors(one):
            if not metric.name.endswith("_bucket"):
                yield f"histogram_quantile of {metric.name}, which are no buckets"


def _of_binary(one: Any, known: Mapping[str, Exported]) -> Iterator[str]:
    if is_scalar(one.lhs) or is_scalar(one.rhs) or (one.modifier is not None and one.modifier.matching is not None):
        return
    left, right = labels_of(one.lhs, known), labels_of(one.rhs, known)
    if left != right:
        yield f"`{one.lhs}` and `{one.rhs}` have no labels in common by which they could match: {set(left ^ right)}"
