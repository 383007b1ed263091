"""How the Java programs of a small Flink cluster are called, and what is in its configuration."""

from collections.abc import Mapping
from pathlib import Path

from infra.jars import fetched, program
from infra.processes import HOST

POM = Path(__file__).resolve().with_name("pom.xml")

JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
JOB_SERVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"

JVM = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xms64m", "-XX:+ExitOnOutOfMemoryError"]
"""Small and quick to start; a real cluster wants other flags, but for the last: a part that runs
out of memory loses a thread and then waits for it for ever, unless it ends, to be started again.
"""

_LOG = [
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
]

_OPENED = [
    "java.base/java.lang",
    "java.base/java.lang.reflect",
    "java.base/java.net",
    "java.base/java.io",
    "java.base/java.nio",
    "java.base/java.text",
    "java.base/java.time",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/java.util.concurrent.locks",
    "java.base/sun.nio.ch",
]
"""What Flink's serializers look into, against Java 17's wish."""

_TASK_MANAGER_MEMORY = {
    "taskmanager.cpu.cores": "1.0",
    "taskmanager.memory.task.heap.size": "256m",
    "taskmanager.memory.task.off-heap.size": "256m",
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.network.min": "64m",
    "taskmanager.memory.network.max": "64m",
    "taskmanager.memory.managed.size": "128m",
    "taskmanager.memory.jvm-metaspace.size": "256m",
    "taskmanager.memory.jvm-overhead.min": "192m",
    "taskmanager.memory.jvm-overhead.max": "192m",
}
"""Flink's start scripts would compute these; without them every part must be named."""


def java(main: str, *words: str | Path, heap: str) -> list[str]:
    """A command that runs a class of the fetched archives. Raises Missing, UserError."""
    opened = [f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED]
    path = ["-cp", f"{fetched(POM)}/*"]
    found = program("java", "Java 17 or newer")
    return [found, *JVM, *_LOG, f"-Xmx{heap}", *opened, *path, main, *map(str, words)]


def job_manager(folder: Path) -> list[str]:
    """The job manager's command; `folder` holds the cluster's configuration."""
    return java(JOB_MANAGER, "--configDir", folder, heap="384m")


def task_manager(folder: Path) -> list[str]:
    """A task manager's command."""
    memory = _TASK_MANAGER_MEMORY.items()
    words = [word for name, value in memory for word in ("-D", f"{name}={value}")]
    return java(TASK_MANAGER, "--configDir", folder, *words, heap="384m")


def job_server(rest: int, port: int, artifacts: int, folder: Path) -> list[str]:
    """The command of Beam's job server, through which pipelines reach the cluster."""
    words = [
        f"--flink-master={HOST}:{rest}",
        f"--job-host={HOST}",
        f"--job-port={port}",
        f"--artifact-port={artifacts}",
        "--expansion-port=0",
        f"--artifacts-dir={folder}",
    ]
    return java(JOB_SERVER, *words, heap="256m")


def configure(folder: Path, settings: Mapping[str, str]) -> None:
    """Write the configuration that the job manager and task managers read."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{name}: {value}\n" for name, value in settings.items()]
    (folder / "flink-conf.yaml").write_text("".join(lines), encoding="utf-8")
