"""A second implementation of ECMAScript's `JSON.stringify`, by its rules and without ours (ECMA-262, 25.5.2 and 6.1.6).

Numbers: the shortest digits that read back as the same double, which Python's `repr` finds, placed by the rule of
`Number::toString`.
"""

from typing import Any

__all__ = ["stringify"]

_SHORT = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def stringify(value: Any) -> str:
    """Return what `JSON.stringify(value)` returns for a JSON value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(map(_char, value)) + '"'
    if isinstance(value, int | float):
        return _number(float(value))
    if isinstance(value, list):
        return "[" + ",".join(map(stringify, value)) + "]"
    return "{" + ",".join(f"{stringify(name)}:{stringify(one)}" for name, one in value.items()) + "}"


def _char(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    return f"\\u{ord(char):04x}" if char < " " else char


def _number(number: float) -> str:
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    mantissa, _, exponent = f"{abs(number):.17e}".partition("e")
    for places in range(17):  # the fewest digits that read back as the number
        mantissa, _, exponent = f"{abs(number):.{places}e}".partition("e")
        if float(f"{mantissa}e{exponent}") == abs(number):
            break
    digits = mantissa.replace(".", "")
    point = int(exponent) + 1
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    head = digits if count == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{sign}{head}e{'+' if point > 0 else '-'}{abs(point - 1)}"
