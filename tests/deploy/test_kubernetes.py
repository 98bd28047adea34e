"""The manifests in docs/deploy/kubernetes: by the schemas of Kubernetes, and by each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.deploy.commands import ROOT, checked, refused
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.keys import parse_keys
from wsgiproxy.secretloader import new_key

yaml = pytest.importorskip("yaml")

FILES = sorted((ROOT / "docs/deploy/kubernetes").glob("*.yaml"))
#: The oldest and the newest version that the validator has, in its release of 2026.
VERSIONS = ("1.25", "1.37")


def manifest(name: str) -> Any:
    return yaml.safe_load((ROOT / f"docs/deploy/kubernetes/{name}.yaml").read_text())


def pod() -> Any:
    return manifest("deployment")["spec"]["template"]["spec"]


def container() -> Any:
    (found,) = pod()["containers"]
    return found


def faults(resource: Any, version: str) -> str:
    """What the schema of a version says against a resource; unknown keys are faults."""
    try:
        import kubernetes_validate
    except ImportError:
        pytest.skip("kubernetes-validate is not installed; the tox environment py312 has it")
    try:
        kubernetes_validate.validate(resource, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_keeps_its_schema(file: Path, version: str) -> None:
    (resource,) = yaml.safe_load_all(file.read_text())
    assert faults(resource, version) == ""


def test_a_fault_is_found() -> None:
    for wrong in ({"replica": 2}, {"selector": []}):
        resource = manifest("deployment")
        resource["spec"] |= wrong
        assert faults(resource, VERSIONS[-1]) != ""


def test_all_kinds_are_there() -> None:
    kinds = {yaml.safe_load(file.read_text())["kind"] for file in FILES}
    assert kinds == {
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "Secret",
        "Service",
    }


def test_the_labels_find_the_pods() -> None:
    deployment = manifest("deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert labels
    assert deployment["selector"]["matchLabels"] == labels
    assert manifest("service")["spec"]["selector"] == labels
    assert manifest("disruption")["spec"]["selector"]["matchLabels"] == labels
    (spread,) = pod()["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == labels


def test_what_is_named_is_there() -> None:
    volumes = {each["name"]: each for each in pod()["volumes"]}
    assert volumes["settings"]["configMap"]["name"] == manifest("configmap")["metadata"]["name"]
    assert volumes["keys"]["secret"]["secretName"] == manifest("secret")["metadata"]["name"]
    mounts = {each["name"]: each for each in container()["volumeMounts"]}
    assert mounts.keys() == volumes.keys()
    scaled = manifest("autoscaler")["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) == (
        "Deployment",
        manifest("deployment")["metadata"]["name"],
    )
    (port,) = manifest("service")["spec"]["ports"]
    assert port["targetPort"] in [each["name"] for each in container()["ports"]]


def test_the_command_is_one() -> None:
    assert refused(["wsgiproxy", *container()["args"]]) == ""
    assert "--confg" in refused(["wsgiproxy", "serve", "--confg", "proxy.toml"])


def test_the_pod_may_do_little() -> None:
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["securityContext"]["runAsNonRoot"] is True
    may = container()["securityContext"]
    assert may["readOnlyRootFilesystem"] is True
    assert may["allowPrivilegeEscalation"] is False
    assert may["capabilities"]["drop"] == ["ALL"]
    assert {"cpu", "memory"} <= container()["resources"]["requests"].keys()


def settings() -> str:
    return str(manifest("configmap")["data"]["proxy.toml"])


def line(key: str) -> str:
    """The value of a key at the top of the file, without its quotes."""
    (value,) = [
        each.partition(" = ")[2]
        for each in settings().partition("[[route]]")[0].splitlines()
        if each.startswith(f"{key} = ")
    ]
    return value.strip('"')


def test_the_pod_reads_the_file_and_the_key_where_they_are_mounted() -> None:
    mounts = {each["name"]: each["mountPath"] for each in container()["volumeMounts"]}
    *_, file = container()["args"]
    assert file == f"{mounts['settings']}/proxy.toml"
    (key,) = manifest("secret")["stringData"]
    assert line("secret_file") == f"{mounts['keys']}/{key}"


def test_the_probes_ask_what_the_file_says() -> None:
    (port,) = container()["ports"]
    assert line("listen") == f"0.0.0.0:{port['containerPort']}"
    for name in ("startupProbe", "readinessProbe"):
        assert container()[name]["httpGet"] == {"path": line("health"), "port": port["name"]}
    # While it ends, it is not ready, and goes on.
    assert container()["livenessProbe"]["tcpSocket"] == {"port": port["name"]}


def test_the_pod_ends_before_it_is_killed() -> None:
    command, seconds = container()["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    assert pod()["terminationGracePeriodSeconds"] > int(seconds) + 5


def test_the_file_can_be_served(tmp_path: Path) -> None:
    key = tmp_path / "secret.txt"
    key.touch(0o600)
    key.write_text(f"{new_key('k1')}\n")
    file = tmp_path / "proxy.toml"
    file.write_text(settings().replace(line("secret_file"), str(key)))
    status, said = checked(file)
    assert status == 0, said
    assert "/ -> http://shop:8000" in said
    assert "/grafana -> http://grafana:3000" in said


def test_the_placeholder_is_no_key() -> None:
    (content,) = manifest("secret")["stringData"].values()
    with pytest.raises(ConfigurationError):
        parse_keys(content.encode())
