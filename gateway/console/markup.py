"""HTML as values: whatever is text is escaped, and the only way to an element is `tag`.

Owns escaping. A text may come from an agent, an upstream or a program; none of it becomes markup, an attribute's end
or an unseen character. Attributes take names from this package's own code only, never `on…`, `style` or `srcdoc`.
"""

from html import escape
from typing import Final

from gateway.core.visible import visible

__all__ = ["Html", "joined", "tag"]

_VOID: Final = frozenset({"br", "input", "link", "meta"})


class Html:
    """Markup that `tag` made. A `str` never is one, so that none gets into a page unescaped."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


Child = Html | str | None


def tag(name: str, /, *children: Child, **attributes: str | bool) -> Html:
    """Return an element. In the names of attributes a trailing `_` is dropped; one that is False is left out."""
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{joined(*children).text}</{name}>")


def joined(*children: Child) -> Html:
    """Return several pieces as one; None is nothing."""
    return Html("".join(one.text if isinstance(one, Html) else _text(one) for one in children if one is not None))


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_")
    if isinstance(value, bool):
        return f" {name}" if value else ""
    return f' {name}="{_text(str(value))}"'


def _text(text: str) -> str:
    """Return a text as it may stand in markup: escaped, and with no character that hides but a line's end."""
    shown = text if text.isprintable() else "".join(map(_character, text))
    return escape(shown, quote=True)


def _character(char: str) -> str:
    return char if char == "\n" or char.isprintable() else visible(char)
