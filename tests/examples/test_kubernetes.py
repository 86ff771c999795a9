"""The sidecar manifest: valid for Kubernetes to the last field, and carrying what makes it safe."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from gateway.configuration.environment import PREFIX, read_environment
from gateway.configuration.shape import root
from gateway.policyfiles.files import load_bundle
from gateway.settings import Settings

MANIFEST = Path(__file__).parents[2] / "examples/sidecar/kubernetes.yaml"
DOCUMENTS: list[dict[str, Any]] = list(YAML(typ="safe", pure=True).load_all(MANIFEST.read_text()))


def pod() -> dict[str, Any]:
    [workload] = [document for document in DOCUMENTS if document["kind"] == "StatefulSet"]
    return workload["spec"]["template"]["spec"]


def gateway() -> dict[str, Any]:
    [container] = [container for container in pod()["initContainers"] if container["name"] == "gateway"]
    return container


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document["kind"])
@pytest.mark.parametrize("version", ["1.29", "1.37"], ids=["first with sidecars", "newest known"])
def test_each_document_is_valid_to_the_last_field(document: dict[str, Any], version: str) -> None:
    """Strictly: without that a misspelt `restartPolicy` would pass, and the agent start unguarded."""
    kubernetes_validate.validate(document, version, strict=True)


def test_the_gateway_is_a_native_sidecar_that_is_ready_before_the_agent_starts() -> None:
    """Otherwise the agent's first calls find nothing, or another way."""
    assert gateway()["restartPolicy"] == "Always"
    assert "startupProbe" in gateway()


def test_no_service_can_inject_settings() -> None:
    """A service called intended-gateway would set INTENDED_GATEWAY_PORT to a URL."""
    assert pod()["enableServiceLinks"] is False


def test_the_gateway_has_no_privilege_and_one_writable_folder() -> None:
    """What reads an agent's messages should be able to do little else."""
    context = gateway()["securityContext"]
    assert context == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["securityContext"]["runAsUser"] == 10001


def test_its_variables_are_settings() -> None:
    """The gateway refuses to start on a variable that it does not know."""
    variables = {item["name"]: item["value"] for item in gateway()["env"]}
    assert all(name.startswith(PREFIX) for name in variables)
    layer, problems = read_environment(variables, root(Settings))
    assert problems == []
    Settings.model_validate(layer.values).require_safe_address(keyed=False)


def test_its_policy_loads(tmp_path: Path) -> None:
    """An example that is refused at start teaches nothing."""
    [config] = [document for document in DOCUMENTS if document["kind"] == "ConfigMap"]
    for name, text in config["data"].items():
        (tmp_path / name).write_text(text)
    assert load_bundle(tmp_path).digest
