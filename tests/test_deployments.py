"""The files of deployments/ that only servers read: against their schemas."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prefect.utilities.templating import apply_values

DEPLOYMENTS = Path(__file__).resolve().parents[1] / "deployments"
VERSION = "1.36"  # of Kubernetes: the last but one that kubernetes-validate knows


def test_the_services_of_compose() -> None:
    file = DEPLOYMENTS / "compose.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    services = yaml.safe_load(file.read_text(encoding="utf-8"))["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= services.keys() - {name}
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports), "nothing is open to other machines"


def test_the_resources_of_kubernetes() -> None:
    text = (DEPLOYMENTS / "kubernetes" / "resources.yaml").read_text(encoding="utf-8")
    kinds = []
    for resource in yaml.safe_load_all(text):
        kubernetes_validate.validate(resource, VERSION, strict=True)
        kinds.append(resource["kind"])
    assert kinds == ["Namespace", "ConfigMap", "PersistentVolumeClaim", "Job"]


@pytest.mark.parametrize("changed", [{}, {"image": "registry.example/rnnlm:1", "cpu": "500m", "home_claim": "other"}])
def test_the_job_of_a_run(changed: dict[str, Any]) -> None:
    """Fill in the template as a worker does, and let Kubernetes' schema judge the job."""
    template = json.loads((DEPLOYMENTS / "kubernetes" / "job-template.json").read_text(encoding="utf-8"))
    properties = template["variables"]["properties"]
    values = {name: one["default"] for name, one in properties.items() if "default" in one}
    values |= {"name": "tiny", "labels": {"app": "rnnlm"}}
    job = apply_values(template["job_configuration"], values | changed)["job_manifest"]
    container = job["spec"]["template"]["spec"]["containers"][0]
    kubernetes_validate.validate(job, VERSION, strict=True)
    assert "{{" not in json.dumps(job)
    assert container["image"] == changed.get("image", "rnnlm:latest")
    text = (DEPLOYMENTS / "kubernetes" / "resources.yaml").read_text(encoding="utf-8")
    there = {one["kind"]: one["metadata"]["name"] for one in yaml.safe_load_all(text)}
    login = {"secretRef": {"name": "rnnlm-login", "optional": True}}
    assert container["envFrom"] == [{"configMapRef": {"name": there["ConfigMap"]}}, login]
    if not changed:
        (volume,) = job["spec"]["template"]["spec"]["volumes"]
        assert volume["persistentVolumeClaim"]["claimName"] == there["PersistentVolumeClaim"]
        assert job["metadata"]["namespace"] == there["Namespace"]


@pytest.mark.parametrize("pool", ["process", "kubernetes"])
def test_no_run_sets_its_own_command_or_environment(pool: str) -> None:
    template = json.loads((DEPLOYMENTS / pool / "job-template.json").read_text(encoding="utf-8"))
    values = {"command": "touch /tmp/owned", "env": {"LD_PRELOAD": "/tmp/owned.so"}, "working_dir": "/tmp"}
    assert not values.keys() & template["variables"]["properties"].keys()
    assert "owned" not in json.dumps(apply_values(template["job_configuration"], values | {"name": "run"}))
