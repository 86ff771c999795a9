"""What is read of a disk: a file or a folder, bounded, whole, and nothing else."""

import hashlib
import os
from pathlib import Path

import pytest

from gateway.errors import PolicyError
from gateway.policyfiles import files
from gateway.policyfiles.files import FILE_BYTES, load_bundle, policy_paths, read_text

POLICY = """apiVersion: intended/v1
policySet: test
rules:
  - {id: %s, effect: allow}
"""


def write(path: Path, rule: str = "a") -> Path:
    path.write_text(POLICY % rule, encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(PolicyError) as caught:
        load_bundle(path)
    return str(caught.value)


def test_one_file_is_a_bundle_under_its_own_digest(tmp_path: Path) -> None:
    """`sha256sum p.yaml | sha256sum`, so that a stranger can check it."""
    file = write(tmp_path / "p.yaml")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert load_bundle(file).digest == hashlib.sha256(f"{digest}  p.yaml\n".encode()).hexdigest()


def test_a_folder_is_its_yaml_files_by_name_without_cases_and_hidden_ones(tmp_path: Path) -> None:
    """Editors and ConfigMaps leave files of their own; cases are no policy."""
    for name in ("b.yaml", "a.yml", "a_test.yaml", ".hidden.yaml", "notes.txt", "x.yaml~", "yaml"):
        write(tmp_path / name, rule=name.strip(".").replace("~", "-"))
    assert [file for file, _ in load_bundle(tmp_path).files] == ["a.yml", "b.yaml"]


def test_several_places_are_one_bundle_and_each_file_is_read_once(tmp_path: Path) -> None:
    """The shipped default together with a pack and rules of one's own."""
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine" / "a.yaml", "a")
    write(tmp_path / "b.yaml", "b")
    bundle = load_bundle(tmp_path / "b.yaml", tmp_path / "mine", tmp_path / "b.yaml")
    assert [file for file, _ in bundle.files] == ["a.yaml", "b.yaml"]


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    """Digest, record and reports know a file by its name: one would stand for both."""
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine" / "a.yaml", "a")
    write(tmp_path / "a.yaml", "b")
    with pytest.raises(PolicyError, match="already a policy file of this name"):
        load_bundle(tmp_path / "a.yaml", tmp_path / "mine")


def test_policies_in_folders_below_are_not_read_and_that_is_said(tmp_path: Path) -> None:
    """A deny rule that is silently not read would be a hole."""
    write(tmp_path / "a.yaml")
    (tmp_path / "below").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / ".git").mkdir()
    write(tmp_path / "below" / "b.yaml")
    assert load_bundle(tmp_path).warnings == (
        "below/: policy files in folders below are not read; load them by their own path",
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (POLICY.encode()[:-1], "the last line has no end: the file may be half written"),
        (b"\xef\xbb\xbf" + POLICY.encode(), "a byte order mark"),
        (b"a: 1\nb: \xff\n", "p.yaml:2:4: not UTF-8"),
        (("é: 1\n").encode("utf-16"), "the last line has no end"),
        (b"#" * FILE_BYTES + b"\n", "larger than 1024 KiB"),
        (b"#" * (10 * FILE_BYTES), "larger than 1024 KiB"),
    ],
)
def test_content_that_is_not_one_whole_policy_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    """Half a policy may lack the half that denies."""
    file = tmp_path / "p.yaml"
    file.write_bytes(content)
    assert words in refusal(file)


def test_what_cannot_be_read_is_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, a folder without policies, a device: each says what it is."""
    assert "cannot be read: no such file or directory" in refusal(tmp_path / "none.yaml")
    assert "the folder holds no policy file" in refusal(tmp_path)
    os.mkfifo(tmp_path / "p.yaml")
    assert "not a regular file" in refusal(tmp_path)

    def forbidden(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", forbidden)
    assert "cannot be read: permission denied" in refusal(tmp_path)
    assert files.folder_warnings(tmp_path) == ()


def test_an_unreadable_file_is_refused_not_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Skipping it would drop its deny rules."""
    write(tmp_path / "a.yaml")

    def broken(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", broken)
    assert "a.yaml: cannot be read: input/output error" in refusal(tmp_path)
    with pytest.raises(PolicyError):
        read_text(tmp_path / "a.yaml")


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start-up is bounded."""
    monkeypatch.setattr(files, "FILES", 1)
    write(tmp_path / "a.yaml")
    write(tmp_path / "b.yaml", "b")
    with pytest.raises(PolicyError, match="more than 1 policy files"):
        policy_paths(tmp_path)


def test_the_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    """An operator mends a folder in one go."""
    (tmp_path / "a.yaml").write_text("a: 1\na: 1\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("apiVersion: x\n", encoding="utf-8")
    with pytest.raises(PolicyError) as caught:
        load_bundle(tmp_path)
    assert {problem.source for problem in caught.value.problems} == {"a.yaml", "b.yaml"}


def test_a_mistake_in_a_condition_is_shown_at_its_line_and_column(tmp_path: Path) -> None:
    """Also inside of a block, as an editor counts."""
    file = tmp_path / "p.yaml"
    file.write_text(
        "apiVersion: intended/v1\npolicySet: x\nrules:\n  - id: a\n    effect: deny\n    when: |\n"
        "      args.x == 1\n        && agent.teir < 3\n",
        encoding="utf-8",
    )
    assert refusal(file).startswith("p.yaml:8:17: rules.0.when: undeclared reference to 'agent.teir'")
