"""Groups and the words they share, and the options that every command gets in one way."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.command import group, placed
from gateway.cli.options import Place, Where
from gateway.cli.output import Format, FormatOption

HERE = ["--data", "d", "--state", "s", "--config", "c.yaml"]


def shop() -> tuple[object, list[object]]:
    """Return a command line of two groups, and what its commands were called with."""
    said: list[object] = []
    inner, outer = group("Shelves."), group("A shop.")

    @inner.command("list")
    @placed
    def list_(place: Place, colour: str = "red", output: FormatOption = Format.TABLE) -> None:
        """List them."""
        said.append((place, colour, output))

    @inner.command("remove")
    @placed
    def remove(where: Where, name: str) -> None:
        """Remove one."""
        said.append((where, name))

    @outer.command("open")
    def open_() -> None:
        """Open."""

    outer.add_typer(inner, name="shelves")
    return outer, said


def run(app: object, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments], prog_name="shop")


def test_a_command_is_told_where_it_works() -> None:
    """The options are written once, and the same for every command."""
    app, said = shop()
    assert run(app, "shelves", "list", *HERE, "--tenant", "acme", "--colour", "blue", "-o", "json").exit_code == 0
    place = Place(tenant="acme", data=Path("d"), state=Path("s"), config=Path("c.yaml"))
    assert said == [(place, "blue", Format.JSON)]


def test_without_the_options_it_is_the_default_tenant_of_the_configured_gateway() -> None:
    """As a new user types it."""
    app, said = shop()
    run(app, "shelves", "list")
    assert said == [(Place(tenant="default"), "red", Format.TABLE)]


def test_a_command_for_the_whole_gateway_takes_no_tenant() -> None:
    """An option that did nothing would promise something."""
    app, said = shop()
    assert run(app, "shelves", "remove", "top", *HERE).exit_code == 0
    assert said == [(Where(data=Path("d"), state=Path("s"), config=Path("c.yaml")), "top")]
    assert run(app, "shelves", "remove", "top", "--tenant", "acme").exit_code == 2


def test_a_tenant_that_can_be_none_is_refused_before_anything_happens() -> None:
    """A typing error must not become a tenant."""
    app, said = shop()
    done = run(app, "shelves", "list", "--tenant", "a/b")
    assert done.exit_code == 2
    assert "--tenant" in done.stderr
    assert said == []


def test_the_shared_options_stand_behind_the_command_s_own_and_before_the_output() -> None:
    """Whoever has read one help can read all of them."""
    app, _ = shop()
    shown = run(app, "shelves", "list", "--help").stdout
    order = ["--colour", "--tenant", "--data", "--state", "--config", "--output"]
    assert sorted(order, key=shown.index) == order


@pytest.mark.parametrize("word", ["ls", "list"])
def test_another_word_for_the_act_is_understood(word: str) -> None:
    """What was published once goes on working."""
    app, said = shop()
    assert run(app, "shelves", word).exit_code == 0
    assert len(said) == 1


@pytest.mark.parametrize("word", ["rm", "delete"])
def test_the_help_of_another_word_shows_the_group_s_own(word: str) -> None:
    """So that it is learned."""
    app, _ = shop()
    assert run(app, "shelves", word, "--help").stdout.startswith("Usage: shop shelves remove ")
    assert f" {word} " not in run(app, "shelves", "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["shelves", "lst"], "Did you mean 'list'?"),
        (["opne"], "Did you mean 'open'?"),
        (["list"], "Did you mean 'shop shelves list'?"),
        (["shelves", "open"], "No such command 'open'."),
        (["shelves", "create"], "No such command 'create'."),
    ],
    ids=" ".join,
)
def test_who_mistypes_is_told_what_was_meant(arguments: list[str], hint: str) -> None:
    """Also where only the group was left out."""
    app, said = shop()
    done = run(app, *arguments)
    assert done.exit_code == 2
    assert hint in done.stderr
    assert said == []


def test_a_word_that_many_groups_have_names_none() -> None:
    """A list of all groups is the help."""
    root = group("Many.")
    for number in range(4):
        one = group("One.")
        one.command("show")(lambda: None)
        one.command("hide")(lambda: None)
        root.add_typer(one, name=f"g{number}")
    done = run(root, "show")
    assert "Did you mean" not in done.stderr


def test_a_group_shows_its_help_unless_it_acts_alone() -> None:
    """Nothing happens to who looks."""
    app, _ = shop()
    assert "Commands:" in run(app, "shelves").output
    alone = group("Alone.", acts_alone=True)

    @alone.callback(invoke_without_command=True)
    @placed
    def act(place: Place) -> None:
        """Act."""
        print(place.tenant)

    alone.command("show")(lambda: None)
    assert run(alone).stdout == "default\n"


def test_groups_find_commands_by_their_own_name_first() -> None:
    """A group that has both words means two acts."""
    app = group("Both.")
    app.command("add")(lambda: print("added"))
    app.command("create")(lambda: print("created"))
    assert run(app, "add").stdout == "added\n"
    assert run(app, "new").stdout == "created\n"
