"""temporary seam"""

from dataclasses import dataclass
from typing import Any
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from gateway.errors import ConfigurationError, Problem


@dataclass
class Document:
    value: Any

    def position(self, path: tuple[str, ...]) -> tuple[int, int]:
        node = self.value
        for step in path[:-1]:
            node = node[step]
        line, column = node.lc.key(path[-1])
        return line + 1, column + 1


def load(raw: bytes, *, source: str) -> Document:
    try:
        return Document(YAML(typ="rt", pure=True).load(raw.decode()))
    except MarkedYAMLError as error:
        mark = error.problem_mark
        raise ConfigurationError(
            Problem(
                source=source,
                message=str(error.problem),
                remedy="correct the YAML",
                line=mark.line + 1,
                column=mark.column + 1,
            )
        ) from error
