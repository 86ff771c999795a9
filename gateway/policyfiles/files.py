"""Policy files on disk → checked documents. Reads files and folders, bounded; follows links, never walks below.

A folder's bundle is its `*.yaml` and `*.yml`, without `*_test.yaml` (cases) and without names that begin with a dot
(editors' and ConfigMap's own).
"""

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gateway.core.intent.taxonomy import TAXONOMY, Taxonomy
from gateway.core.policy.bundle import Bundle
from gateway.core.policy.compile import compile_bundle
from gateway.core.policy.reading import LoadedDocument, read_document
from gateway.errors import PolicyError, Problem
from gateway.policyfiles.yamltext import read_yaml

__all__ = ["FILE_BYTES", "PolicyText", "load_bundle", "policy_paths", "read_text", "read_texts"]

FILE_BYTES = 1024 * 1024
"""One policy file (design, section 4)."""

FILES = 200
"""Policy files of one folder."""

_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyText:
    """One file as read: its path relative to what was loaded, the SHA-256 of its bytes, its text."""

    path: str
    sha256: str
    text: str


def load_bundle(*paths: Path, taxonomy: Taxonomy = TAXONOMY) -> Bundle:
    """Return the compiled bundle of policy files and folders.

    Raises:
        PolicyError: with every Problem of every file, each with file, line and column.
    """
    return compile_texts(read_texts(*paths), folder_warnings(*paths), taxonomy=taxonomy)


def compile_texts(texts: Sequence[PolicyText], warnings: Sequence[str], *, taxonomy: Taxonomy) -> Bundle:
    """Return the bundle of files that have been read. Raises PolicyError with the Problems of all of them."""
    documents: list[LoadedDocument] = []
    problems: list[Problem] = []
    for text in texts:
        try:
            data, places = read_yaml(text.path, text.text)
            documents.append(read_document(text.path, text.sha256, data, places))
        except PolicyError as error:
            problems.extend(error.problems)
    if problems:
        raise PolicyError(*problems)
    return compile_bundle(documents, taxonomy=taxonomy, warnings=warnings)


def read_texts(*paths: Path) -> tuple[PolicyText, ...]:
    """Return the texts of a bundle's files, of a folder sorted by name. Raises PolicyError with all their Problems."""
    texts: dict[str, PolicyText] = {}
    problems: list[Problem] = []
    for file in policy_paths(*paths):
        try:
            if file.name in texts:
                raise _named_twice(file)
            texts[file.name] = read_text(file)
        except PolicyError as error:
            problems.extend(error.problems)
    if problems:
        raise PolicyError(*problems)
    return tuple(texts.values())


def policy_paths(*paths: Path) -> tuple[Path, ...]:
    """Return the files of the bundle at `paths`. Raises PolicyError where one of them has none."""
    return tuple(dict.fromkeys(file for path in paths for file in _paths_at(path)))


def _paths_at(path: Path) -> tuple[Path, ...]:
    try:
        if not path.is_dir():
            return (path,)
        found = sorted((entry for entry in path.iterdir() if _is_policy(entry.name)), key=lambda file: file.name)
    except OSError as error:
        raise _unreadable(path, error) from error
    if not found:
        remedy = "put a policy file (*.yaml) there, or name another path"
        raise PolicyError(Problem(source=str(path), message="the folder holds no policy file", remedy=remedy))
    if len(found) > FILES:
        remedy = "join some of them"
        raise PolicyError(Problem(source=str(path), message=f"more than {FILES} policy files", remedy=remedy))
    return tuple(found)


def folder_warnings(*paths: Path) -> tuple[str, ...]:
    """Return what an operator may expect to be read, and is not."""
    return tuple(warning for path in paths for warning in _warnings_at(path))


def _warnings_at(path: Path) -> tuple[str, ...]:
    try:
        below = [entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
        unread = sorted(entry.name for entry in below if any(_is_policy(file.name) for file in entry.iterdir()))
    except OSError:
        return ()
    return tuple(f"{name}/: policy files in folders below are not read; load them by their own path" for name in unread)


def read_text(file: Path) -> PolicyText:
    """Return one regular file of at most 1 MiB of UTF-8 that ends with a line break. Raises PolicyError."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise PolicyError(Problem(source=str(file), message="not a regular file", remedy="name a file or folder"))
        with file.open("rb") as stream:
            content = stream.read(FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(file, error) from error
    problem = _unfit(content)
    if problem:
        raise PolicyError(Problem(source=str(file), message=problem[0], remedy=problem[1]))
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        remedy = "save the file as UTF-8"
        raise PolicyError(
            Problem(source=str(file), message="not UTF-8", remedy=remedy, line=line, column=column)
        ) from error
    return PolicyText(path=file.name, sha256=sha256(content).hexdigest(), text=text)


def _unfit(content: bytes) -> tuple[str, str] | None:
    """Why these bytes are not read, and what to do about it."""
    if len(content) > FILE_BYTES:
        return f"larger than {FILE_BYTES // 1024} KiB", "split it into several files of a folder"
    if content.startswith(b"\xef\xbb\xbf"):
        return "begins with a byte order mark", "save it as UTF-8 without one"
    if not content.strip():
        return "the file is empty", "write a policy into it, or remove it"
    if not content.endswith(b"\n"):
        return "the last line has no end: the file may be half written", "end the last line with a line break"
    return None


def _is_policy(name: str) -> bool:
    stem, dot, suffix = name.rpartition(".")
    return dot + suffix in _SUFFIXES and not stem.endswith("_test") and not name.startswith(".")


def _named_twice(file: Path) -> PolicyError:
    """Two files of one name: reports, the record and the digest know a file by it."""
    remedy = "rename one of them, or name only one"
    return PolicyError(Problem(source=str(file), message="there is already a policy file of this name", remedy=remedy))


def _unreadable(path: Path, error: OSError) -> PolicyError:
    reason = (error.strerror or type(error).__name__).lower()
    remedy = "check that the path is right and that this user may read it"
    return PolicyError(Problem(source=str(path), message=f"cannot be read: {reason}", remedy=remedy))
