"""The documents say what the program does: generated parts are fresh, commands and settings named, links alive."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.main import app
from gateway.configuration.shape import Kind, Node, root
from gateway.settings import Settings
from tests.house.documents import ROOT, help_text, readme, settings_page

DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "gateway/**/*.md", "policies/**/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def commands() -> list[tuple[str, ...]]:
    found = [(str(command.name),) for command in app.registered_commands]
    for group in app.registered_groups:
        assert group.typer_instance is not None
        found += [(str(group.name), str(command.name)) for command in group.typer_instance.registered_commands]
    return found


def undescribed(node: Node, prefix: str = "") -> Iterator[str]:
    for name, field in node.type.model_fields.items():
        child = node.child(name)
        assert child is not None
        inner = child.child("x") if child.kind is Kind.MAP else child
        if inner is not None and inner.kind is Kind.SECTION:
            yield from undescribed(inner, f"{prefix}{name}.")
        elif not field.description:
            yield prefix + name


def test_the_readme_s_help_is_the_program_s() -> None:
    """Regenerate with `python -m tests.house.documents`."""
    assert (ROOT / "README.md").read_text() == readme()


def test_the_page_of_settings_is_that_of_the_settings() -> None:
    """Regenerate with `python -m tests.house.documents`."""
    assert (ROOT / "gateway/configuration/README.md").read_text() == settings_page()


def test_every_setting_says_what_it_is() -> None:
    """With unit and reason; editors, errors and the page show it."""
    assert list(undescribed(root(Settings))) == []


def test_the_readme_is_short() -> None:
    """Longer ones are not read."""
    assert len((ROOT / "README.md").read_text().splitlines()) < 200


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_says_in_one_line_what_it_does(command: tuple[str, ...]) -> None:
    """A first line that is cut off in the list of commands says nothing."""
    text = help_text(*command)
    assert text.startswith(f"Usage: intended {' '.join(command)}")
    listing = help_text(*command[:-1])
    [line] = [line for line in listing.splitlines() if line.split()[:1] == [command[-1]]]
    assert not line.endswith("...")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    """To files of the project; addresses are not asked."""
    targets = [target for target in LINK.findall(document.read_text()) if "://" not in target]
    missing = [target for target in targets if not (document.parent / target.partition("#")[0]).exists()]
    assert missing == []
