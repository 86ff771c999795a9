"""All sources together: precedence, origins, every problem at once."""

from pathlib import Path

import pytest

from gateway.configuration import Layer, Origin, Resolved, resolve
from gateway.core.principal import TrustTier
from gateway.errors import ConfigurationError, Problem


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "intended.yaml"
    file.write_text(text)
    return file


def flags(**values: object) -> Layer:
    layer = Layer(replaces=frozenset({"upstreams"}))
    for name, value in values.items():
        layer.put((name,), value, Origin(source=f"--{name}"))
    return layer


def problems(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> list[Problem]:
    with pytest.raises(ConfigurationError) as caught:
        resolve(Layer(), environ=environ or {}, config=written(tmp_path, text))
    return list(caught.value.problems)


def origin(resolved: Resolved, *path: str) -> str:
    return str(resolved.origin(path))


def test_the_stronger_source_wins_and_each_value_knows_its_origin(tmp_path: Path) -> None:
    """Flag > environment > file > default (design, "Settings"); `config show` proves it with this."""
    file = written(tmp_path, "port: 1\nhost: localhost\nlimits:\n  depth: 8\n")
    resolved = resolve(flags(port=3), environ={"INTENDED_GATEWAY_PORT": "2"}, config=file)
    assert (resolved.settings.port, resolved.settings.host, resolved.settings.limits.depth) == (3, "localhost", 8)
    assert origin(resolved, "port") == "--port"
    assert origin(resolved, "host") == f"{file}:2:1"
    assert origin(resolved, "limits", "depth") == f"{file}:4:3"
    assert origin(resolved, "limits", "keys") == "default"
    assert origin(resolved, "drain_s") == "default"


def test_a_file_and_the_environment_make_one_upstream_together(tmp_path: Path) -> None:
    """The address in the repository, the credential from the orchestrator."""
    file = written(tmp_path, "upstreams:\n  github:\n    url: http://x/mcp\n")
    environ = {"INTENDED_GATEWAY_UPSTREAMS__github__HEADERS__Authorization": "Bearer abc"}
    upstream = resolve(Layer(), environ=environ, config=file).settings.upstreams["github"]
    assert (upstream.url, upstream.headers) == ("http://x/mcp", {"Authorization": "Bearer abc"})


def test_an_upstream_of_the_command_line_inherits_no_credential(tmp_path: Path) -> None:
    """`intended run http://other` must not send a file's bearer token to another server."""
    file = written(tmp_path, "upstreams:\n  default:\n    url: http://x\n    headers: {Authorization: Bearer abc}\n")
    resolved = resolve(flags(upstreams={"default": {"url": "http://other"}}), environ={}, config=file)
    assert resolved.settings.upstreams["default"].headers == {}


def test_paths_in_the_file_are_meant_from_its_folder(tmp_path: Path) -> None:
    """The gateway may be started from anywhere."""
    file = written(tmp_path, "policies: rules\ndata: /var/lib/x\nupstreams:\n  a: {command: b, cwd: work}\n")
    settings = resolve(Layer(), environ={}, config=file).settings
    assert (settings.policies, settings.data) == ((tmp_path / "rules",), Path("/var/lib/x"))
    assert settings.upstreams["a"].cwd == tmp_path / "work"


@pytest.mark.parametrize(
    ("written_as", "places"),
    [
        ("rules", ("{}/rules",)),
        ("[shipped:default, rules]", ("shipped:default", "{}/rules")),
        ("[/etc/rules]", ("/etc/rules",)),
    ],
)
def test_policies_are_one_path_or_several_and_shipped_ones_lie_in_no_folder(
    tmp_path: Path, written_as: str, places: tuple[str, ...]
) -> None:
    """A name of what comes with the gateway must not become a path beside the file."""
    settings = resolve(Layer(), environ={}, config=written(tmp_path, f"policies: {written_as}\n")).settings
    assert settings.policies == tuple(Path(place.format(tmp_path)) for place in places)


def test_an_environment_names_policies_between_commas() -> None:
    """A container needs no file for the default with a pack."""
    environ = {"INTENDED_GATEWAY_POLICIES": "shipped:default, /etc/rules"}
    assert resolve(Layer(), environ=environ).settings.policies == (Path("shipped:default"), Path("/etc/rules"))


@pytest.mark.parametrize("written_as", ["[]", "[1]", "3", "", "''", "[rules, '']"])
def test_no_policies_at_all_and_what_is_no_path_are_refused(tmp_path: Path, written_as: str) -> None:
    """An empty list is a mistake: it would mean the default by accident. An empty path would be the present folder."""
    [problem] = problems(tmp_path, f"policies: {written_as}\n", {})
    assert (problem.line, problem.field) == (1, "policies")


def test_a_comma_too_many_names_no_folder(tmp_path: Path) -> None:
    """What happens to lie where the gateway is started would be in force beside what was named."""
    [problem] = problems(tmp_path, "port: 1\n", {"INTENDED_GATEWAY_POLICIES": "shipped:default,"})
    assert (problem.source, "none of them empty" in problem.message) == ("INTENDED_GATEWAY_POLICIES", True)


def test_a_default_of_several_values_is_shown_as_it_is_written(tmp_path: Path) -> None:
    """Not as a program's tuple of objects."""
    [problem] = problems(tmp_path, "policies: []\n", {})
    assert "the default is shipped:default (" in problem.remedy


def test_every_problem_of_every_source_is_told_at_once(tmp_path: Path) -> None:
    """Mending one and being told the next is the slowest way to a working configuration."""
    found = problems(tmp_path, "prot: 1\nlimits:\n  depth: 3\n", {"INTENDED_GATEWAY_HOTS": "x"})
    assert [(problem.field, problem.line, problem.column) for problem in found] == [
        ("", 0, 0),
        ("limits.depth", 3, 3),
        ("prot", 1, 1),
    ]
    assert "did you mean 'port'" in found[2].message


def test_the_remedy_says_what_the_setting_is(tmp_path: Path) -> None:
    """An operator should not need the source for it."""
    [problem] = problems(tmp_path, "limits: {depth: 3}\n")
    assert problem.message == "input should be greater than or equal to 4"
    assert "the default is 32" in problem.remedy
    assert "Nesting of one message" in problem.remedy
    [problem] = problems(tmp_path, "tiers: {ceiling: T9}\n")
    assert "the default is T2 " in problem.remedy


def test_no_value_is_repeated_in_an_error(tmp_path: Path) -> None:
    """It may be a credential written to the wrong place."""
    found = problems(tmp_path, "upstreams:\n  a:\n    url: http://x\n    headers: {Authorization: [hunter2]}\n")
    assert "hunter2" not in "\n".join(map(str, found))


def test_an_upstreams_id_is_explained(tmp_path: Path) -> None:
    """The pattern alone says nothing to most people."""
    [problem] = problems(tmp_path, "upstreams:\n  my_files:\n    url: http://x\n")
    assert problem.field == "upstreams.my_files"
    assert "lower-case letter" in problem.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("port: 1\nport: 2\n", "port"),
        ("port: [1\n", "not YAML"),
        ("- 1\n", "map"),
        ("port: &a 1\n", "anchor"),
        ("\ufffe\n", "character"),
        ("port: 1", "half written"),
        ("", "empty"),
    ],
    ids=["duplicate key", "broken", "a list", "anchor", "no character of YAML", "no line end", "empty"],
)
def test_a_file_that_could_be_read_in_two_ways_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """The same strictness as for policies."""
    [problem, *_] = problems(tmp_path, text)
    assert message in problem.message
    assert problem.source == str(tmp_path / "intended.yaml")
    assert problem.remedy


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    """A file of comments only is a fine beginning."""
    assert resolve(Layer(), environ={}, config=written(tmp_path, "# nothing yet\n")).settings.port == 8787


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    """Starting on defaults instead of the named file would be a policy that is not in force."""
    with pytest.raises(ConfigurationError) as caught:
        resolve(Layer(), environ={}, config=tmp_path / "none.yaml")
    assert "cannot be read" in str(caught.value)


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    """At most 1 MiB, as a policy file."""
    [problem] = problems(tmp_path, "#" * (1024 * 1024 + 1))
    assert "larger" in problem.message


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    """A container has no command line to change."""
    file = written(tmp_path, "tiers: {agents: {local: T3}}\n")
    resolved = resolve(Layer(), environ={"INTENDED_GATEWAY_CONFIG": str(file)})
    assert resolved.settings.tiers.agents == {"local": TrustTier.T3}
    assert resolved.file == file


def test_the_working_folder_s_file_is_read_only_if_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration is needed for the first run."""
    monkeypatch.chdir(tmp_path)
    assert resolve(Layer(), environ={}).file is None
    written(tmp_path, "port: 5\n")
    assert resolve(Layer(), environ={}).settings.port == 5


def test_an_item_of_a_list_is_placed_at_its_list(tmp_path: Path) -> None:
    """The nearest line that was written is where an operator looks."""
    [problem] = problems(tmp_path, "port: 1\nallowed_hosts: [1]\n")
    assert (problem.field, problem.line) == ("allowed_hosts.0", 2)


def test_a_whole_that_does_not_fit_is_placed_at_its_first_value() -> None:
    """Variables have no line for the upstream itself."""
    environ = {"INTENDED_GATEWAY_UPSTREAMS__a__URL": "http://x", "INTENDED_GATEWAY_UPSTREAMS__a__COMMAND": "y"}
    with pytest.raises(ConfigurationError) as caught:
        resolve(Layer(), environ=environ)
    [problem] = caught.value.problems
    assert problem.source == "INTENDED_GATEWAY_UPSTREAMS__a__COMMAND"
    assert "not both" in problem.message


def test_what_fits_no_single_place_is_still_told(tmp_path: Path) -> None:
    """A certificate without its key is a fault of the whole."""
    [problem] = problems(tmp_path, "tls_certificate: a.pem\n")
    assert "belong together" in problem.message
    assert problem.remedy


def test_the_key_of_clients_is_the_authority_s_where_none_is_set(tmp_path: Path) -> None:
    """One variable for SDK and sidecar; it is no setting, and does nothing where no authority is asked."""
    environ = {"INTENDED_API_KEY": "mrt_live_a"}
    url = "authority:\n  url: https://intended.example\n"
    resolved = resolve(Layer(), environ=environ, config=written(tmp_path, url))
    assert resolved.settings.authority.key is not None
    assert resolved.settings.authority.key.get_secret_value() == "mrt_live_a"
    assert origin(resolved, "authority", "key") == "INTENDED_API_KEY"
    own = resolve(Layer(), environ=environ, config=written(tmp_path, f"{url}  key: mrt_live_b\n"))
    assert own.settings.authority.key is not None
    assert own.settings.authority.key.get_secret_value() == "mrt_live_b"
    from_file = resolve(Layer(), environ=environ, config=written(tmp_path, f"{url}  key_file: key\n"))
    assert from_file.settings.authority.key is None
    assert from_file.settings.authority.key_file == tmp_path / "key"
    assert resolve(Layer(), environ=environ, config=written(tmp_path, "port: 1\n")).settings.authority.key is None
