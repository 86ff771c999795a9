"""How commands speak: nothing that an upstream chose acts on a terminal."""

import io
import json
import sys

import pytest

from gateway.cli import output
from gateway.cli.output import Format, typed, visible
from gateway.errors import ConfigurationError, GatewayError, Problem, StoreRefused


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 漢", "plain ü 漢"),
        ("\x1b[2J", "\\u001b[2J"),
        ("a\rb\tc", "a\\u000db\\u0009c"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u200bb", "a\\u200bb"),
        ("a\u2028b", "a\\u2028b"),
        ("a\nb", "a\nb"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_acts_on_a_terminal_or_hides_is_written_out(text: str, shown: str) -> None:
    """A tool of that name must not clear or forge an auditor's screen."""
    assert visible(text) == shown


def test_talk_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """So that data can be piped."""
    output.say("hello [bold]")
    output.warn("policy", "allows\neverything")
    assert capsys.readouterr() == ("", "hello [bold]\nWARNING: policy: allows everything\n")


def test_a_warning_is_boxed_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody may overlook it; markup in the text is text."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    output.warn("unsafe", "anyone [red]in[/red]")
    output.say("then", style="bold")
    lines = stream.getvalue().splitlines()
    assert "unsafe" in lines[0]
    assert lines[0].count("─") > 3
    assert "anyone [red]in[/red]" in lines[1]
    assert "then" in lines[-1]


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """As https://no-color.org asks."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("NO_COLOR", "1")
    output.say("x", style="bold red")
    output.warn("unsafe", "anyone")
    monkeypatch.setattr(sys, "stdout", stream)
    output.table(["NAME"], [("x",)])
    assert "\x1b" not in stream.getvalue()


def test_a_table_is_drawn_on_a_terminal_and_tabs_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`cut -f2` must work; a line end in a cell must not make a row."""
    rows = [("a", 1), ("b\nc", "\x1b")]
    output.table(["name", "n"], rows)
    assert capsys.readouterr().out == "a\t1\nb c\t\\u001b\n"
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    output.table(["name", "n"], rows)
    drawn = stream.getvalue().splitlines()
    assert "name" in drawn[0]
    assert len(drawn) == 3


def test_people_read_times_to_the_minute_and_programs_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seconds take the room that tells lines apart."""
    rows = [("2026-11-22T18:31:38.683Z",)]
    output.table(["SINCE"], rows)
    assert capsys.readouterr().out == "2026-11-22T18:31:38.683Z\n"
    monkeypatch.setattr(sys, "stdout", stream := Terminal())
    output.table(["SINCE"], rows)
    assert stream.getvalue().split("\n")[1].strip() == "2026-11-22 18:31Z"


def test_an_id_is_whole_however_narrow_the_terminal_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what the next command is given; a table without titles has no line for them."""
    monkeypatch.setenv("COLUMNS", "44")
    for columns in (["ID", "REASON"], ["", "ID"], ["", ""]):
        stream = Terminal()
        monkeypatch.setattr(sys, "stdout", stream)
        output.table(columns, [["apr_01M81Y4YSFX66W37SA0SY4GGC4", "word " * 30][:: -1 if columns[1] == "ID" else 1]])
        drawn = stream.getvalue()
        assert drawn.splitlines()[0].strip()
        assert "apr_01M81Y4YSFX66W37SA0SY4GGC4" in drawn or columns == ["", ""]


ROW = ("agt_01M82FEDNZAYD256GRR4F0PCMF", "Billing Bot", "", "2026-11-22T18:31:38.683Z")


@pytest.mark.parametrize(
    ("columns", "drawn"),
    [
        (90, ["ID NAME NOTE CREATED", "agt_01M82FEDNZAYD256GRR4F0PCMF Billing Bot 2026-11-22 18:31Z"]),
        (64, ["ID NAME CREATED", "agt_01M82FEDNZAYD256GRR4F0PCMF Billing Bot 2026-11-22 18:31Z"]),
        (53, ["ID NAME CREATED", "agt_01M82FEDNZAYD256GRR4F0PCMF Billing 2026-11-22", "Bot 18:31Z"]),
        (48, ["agt_01M82FEDNZAYD256GRR4F0PCMF", "name Billing Bot created 2026-11-22 18:31Z"]),
        (40, ["agt_01M82FEDNZAYD256GRR4F0PCMF", "name Billing Bot", "created 2026-11-22 18:31Z"]),
        (10, ["agt_01M82FEDNZAYD256GRR4F0PCMF", "name Billing Bot", "created 2026-11-22 18:31Z"]),
    ],
)
def test_no_word_of_a_table_is_cut_however_narrow_the_terminal_is(
    columns: int, drawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name of which three letters are shown is no name; what is empty says nothing and gives way."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "stdout", stream := Terminal())
    output.table(["ID", "NAME", "NOTE", "CREATED"], [ROW])
    assert [" ".join(line.split()) for line in stream.getvalue().splitlines()] == drawn


def test_a_row_in_some_lines_may_have_nothing_but_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its neighbour is what the terminal is too narrow for."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr(sys, "stdout", stream := Terminal())
    output.table(["NAME", "NOTE"], [("a", ""), ("b", "x" * 30)])
    assert stream.getvalue().splitlines() == ["a", "b", f"    note {'x' * 30}"]


def test_data_is_one_document_or_a_line_per_item(capsys: pytest.CaptureFixture[str]) -> None:
    """Escaped to ASCII: an invisible character in a name is seen."""
    output.data([{"a": "\u202e"}, 2], Format.JSONL)
    assert capsys.readouterr().out == '{"a": "\\u202e"}\n2\n'
    output.data({"a": 1}, Format.JSONL)
    assert capsys.readouterr().out == '{"a": 1}\n'
    output.data([1])
    assert json.loads(capsys.readouterr().out) == [1]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            ConfigurationError(Problem(source="a.yaml", line=2, column=3, field="x", message="wrong", remedy="right")),
            "a.yaml:2:3: x: wrong\n  fix: right\n",
        ),
        (StoreRefused("locked", remedy="stop it"), "error: locked\n  fix: stop it\n"),
        (GatewayError("broken"), "error: broken\n"),
    ],
)
def test_an_error_is_explained_with_its_remedy(
    error: GatewayError, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What, where, what to do; no traceback."""
    output.explain(error)
    assert capsys.readouterr() == ("", text)


@pytest.mark.parametrize(
    ("argv", "on_path", "shown"),
    [
        (".venv/bin/intended", None, ".venv/bin/intended"),
        (".venv/bin/intended", "/usr/bin/intended", "intended"),
        ("/x/gateway/__main__.py", None, "intended"),
    ],
)
def test_a_command_to_try_can_be_pasted(
    argv: str, on_path: str | None, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The README's first command activates no environment: `intended` alone would not be found."""
    monkeypatch.setattr("sys.argv", [argv])
    monkeypatch.setattr("shutil.which", lambda name: on_path)
    assert typed() == shown
