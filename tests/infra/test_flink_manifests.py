"""The containers and Kubernetes manifests for Flink, as far as they can be checked without any."""

import re
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.flink.java import JOB_SERVER, JVM, POM
from millstream.cli import build_parser
from millstream.commands import flink

FOLDER = POM.parent
ROOT = FOLDER.parents[1]
FILES = sorted((FOLDER / "kubernetes").glob("*.yaml"))


def documents() -> list[dict[str, Any]]:
    return [one for file in FILES for one in yaml.safe_load_all(file.read_text())]


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {d["metadata"]["name"]: d for d in documents() if d["kind"] == kind}


def pods() -> dict[str, dict[str, Any]]:
    return {name: d["spec"]["template"] for name, d in of_kind("Deployment").items()}


def containers() -> dict[str, dict[str, Any]]:
    return {c["name"]: c for pod in pods().values() for c in pod["spec"]["containers"]}


def test_every_document_says_what_it_is() -> None:
    assert len(documents()) >= 8
    for document in documents():
        assert {"apiVersion", "kind", "metadata"} <= document.keys()
        assert document["metadata"]["name"]


def test_deployments_and_services_select_pods_that_are_there() -> None:
    labels = [pod["metadata"]["labels"] for pod in pods().values()]
    for deployment in of_kind("Deployment").values():
        wanted = deployment["spec"]["selector"]["matchLabels"]
        assert deployment["spec"]["template"]["metadata"]["labels"] == wanted
    for service in of_kind("Service").values():
        selected = service["spec"]["selector"].items()
        assert sum(selected <= one.items() for one in labels) == 1


def test_what_is_mounted_is_declared_and_exists() -> None:
    maps, claims = of_kind("ConfigMap"), of_kind("PersistentVolumeClaim")
    for pod in pods().values():
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        mounted = (c.get("volumeMounts", []) for c in pod["spec"]["containers"])
        assert {mount["name"] for mount in chain.from_iterable(mounted)} == volumes.keys()
        for volume in volumes.values():
            if "configMap" in volume:
                assert volume["configMap"]["name"] in maps
            else:
                assert volume["persistentVolumeClaim"]["claimName"] in claims


def test_services_have_the_ports_that_the_pipeline_names() -> None:
    args = pipeline_arguments()
    services = {
        name: {port["port"] for port in service["spec"]["ports"]}
        for name, service in of_kind("Service").items()
    }
    host, port = args.flink_job_server.split(":")
    assert int(port) in services[host]
    host, port = args.flink_rest.removeprefix("http://").split(":")
    assert int(port) in services[host]


def pipeline_arguments() -> Any:
    return build_parser().parse_args(containers()["pipeline"]["command"][1:])


def test_the_pipeline_s_command_is_one_and_its_folders_are_on_the_shared_volume() -> None:
    args = pipeline_arguments()
    flink.check(args)
    mounts = {mount["mountPath"] for mount in containers()["pipeline"]["volumeMounts"]}
    for name in ("task-manager", "workers", "pipeline", "job-manager"):
        assert "/millstream" in {m["mountPath"] for m in containers()[name]["volumeMounts"]}
    assert str(args.spec.parent) in mounts
    assert {args.windows.parts[1], args.state.parts[1]} == {"millstream"}


def test_workers_listen_where_a_task_manager_looks_by_default() -> None:
    command = containers()["workers"]["command"]
    assert flink.DEFAULTS["flink_workers"] == f"localhost:{command[-1]}"
    module = Path(ROOT, *command[2].split(".")).with_suffix(".py")
    assert module.exists()


def flink_settings() -> Any:
    return yaml.safe_load(of_kind("ConfigMap")["flink-config"]["data"]["flink-conf.yaml"])


def test_what_is_out_of_memory_ends_as_here() -> None:
    flag = "-XX:+ExitOnOutOfMemoryError"
    assert flag in flink_settings()["env.java.opts.all"].split() and flag in JVM


def test_the_slots_are_enough_for_the_parallelism() -> None:
    settings = flink_settings()
    managers = of_kind("Deployment")["flink-task-manager"]["spec"]["replicas"]
    slots = managers * settings["taskmanager.numberOfTaskSlots"]
    assert slots >= pipeline_arguments().parallelism
    assert settings["rest.address"] in of_kind("Service")


def test_the_cluster_is_of_the_version_that_the_job_server_speaks() -> None:
    (version,) = set(re.findall(r"beam-runners-flink-([\d.]+)<", POM.read_text()))
    for name in ("job-manager", "task-manager"):
        assert containers()[name]["image"].startswith(f"flink:{version}-")
    assert JOB_SERVER in (FOLDER / "job-server.Dockerfile").read_text()


@pytest.mark.parametrize("name", ["Dockerfile", "job-server.Dockerfile"])
def test_what_an_image_copies_is_there(name: str) -> None:
    for line in (FOLDER / name).read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), line
