"""Case files on disk → cases with the bundle that they test."""

from pathlib import Path

from gateway.core.intent.taxonomy import TAXONOMY, Taxonomy
from gateway.core.policy.cases import CaseFileDocument, CaseSuite
from gateway.core.policy.reading import Places, validated
from gateway.errors import PolicyError, Problem
from gateway.policyfiles.files import load_bundle, read_text
from gateway.policyfiles.yamltext import read_yaml

__all__ = ["case_paths", "load_cases"]

_ENDINGS = ("_test.yaml", "_test.yml")


def case_paths(path: Path) -> tuple[Path, ...]:
    """Return the case files at `path`: itself, those of a folder and below it, or those beside a policy file."""
    if path.is_dir():
        found = (file for file in path.rglob("*") if file.name.endswith(_ENDINGS) and file.is_file())
        return tuple(sorted(found))
    if path.name.endswith(_ENDINGS):
        return (path,)
    beside = (path.with_name(path.stem + ending) for ending in _ENDINGS)
    return tuple(file for file in beside if file.is_file())


def load_cases(file: Path, *, taxonomy: Taxonomy = TAXONOMY) -> CaseSuite:
    """Return the cases of one file with their compiled bundle.

    Raises:
        PolicyError: with every Problem of the case file, or of the policies that it tests.
    """
    text = read_text(file)
    data, places = read_yaml(text.path, text.text)
    document = validated(CaseFileDocument, text.path, data, places)
    _check_names(text.path, document, places)
    bundle = load_bundle(_policies(file, document), taxonomy=taxonomy)
    cases = tuple((places.of(("cases", number)).line, case) for number, case in enumerate(document.cases))
    return CaseSuite(source=text.path, bundle=bundle, cases=cases)


def _policies(file: Path, document: CaseFileDocument) -> Path:
    """What the file tests: what it names, the policy file beside it, or its folder."""
    if document.policies is not None:
        return file.parent / document.policies
    stem = file.stem.removesuffix("_test")
    beside = (file.with_name(stem + suffix) for suffix in (".yaml", ".yml"))
    return next((policy for policy in beside if policy.is_file()), file.parent)


def _check_names(source: str, document: CaseFileDocument, places: Places) -> None:
    """Refuse two cases of one name: a report could not tell them apart."""
    seen: set[str] = set()
    problems = []
    for number, case in enumerate(document.cases):
        if case.name in seen:
            place = places.of(("cases", number, "name"))
            problem = Problem(
                source=source,
                field=f"cases.{number}.name",
                message="there is already a case of this name",
                remedy="rename one of them",
                line=place.line,
                column=place.column,
            )
            problems.append(problem)
        seen.add(case.name)
    if problems:
        raise PolicyError(*problems)
