"""The demo's processes: the pipeline and the learners, each as it would run in production."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from millstream.demo.place import Place
from schemas.errors import UserError

SHARDS = 4
EPOCH_ROWS = 120_000
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""Three busy processes share two cores: threads of one would wait for those of another."""

PATIENCE_S = 60.0
"""How long a process may take to commit and leave after SIGTERM."""

Processes = Mapping[str, "subprocess.Popen[bytes]"]


def commands(place: Place, mlflow: str) -> dict[str, list[str]]:
    """The command line of each process, by name."""
    common = ["--spec", str(place.spec), "--windows", str(place.windows)]
    read = ["--source", str(place.events), "--state", str(place.pipeline_state), "--final"]
    size = ["--shards", str(SHARDS), "--epoch-rows", str(EPOCH_ROWS)]
    follow = ["--mlflow", mlflow, "--follow", "--until-final"]
    learners = {
        model: ["train", *common, "--state", str(place.learner_state(model)), "--model", model]
        for model in place.models
    }
    return {
        "pipeline": ["pipeline", *common, *read, *size],
        **{model: [*command, *follow] for model, command in learners.items()},
    }


@contextmanager
def running(place: Place, mlflow: str) -> Iterator[Processes]:
    """Start all processes; on the way out ask those that still run to commit and leave."""
    for folder in (place.logs, place.windows):
        folder.mkdir(parents=True, exist_ok=True)
    started = {
        name: _start(command, place.logs / f"{name}.log")
        for name, command in commands(place, mlflow).items()
    }
    try:
        yield started
    finally:
        _end(started)


def _start(command: list[str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "millstream", *command],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=os.environ | ONE_THREAD,
            start_new_session=True,
        )


def _end(processes: Processes) -> None:
    alive = [process for process in processes.values() if process.poll() is None]
    for process in alive:
        process.terminate()
    deadline = time.monotonic() + PATIENCE_S
    for process in alive:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()


def all_done(processes: Processes, place: Place) -> bool:
    """Whether every process ended well. Raises UserError for one that did not."""
    for name, process in processes.items():
        if process.poll():
            log = place.logs / f"{name}.log"
            end = " | ".join(log.read_text(errors="replace").splitlines()[-3:])
            raise UserError(
                f"demo: expected the {name} process to end well, received exit code "
                f"{process.returncode}. The end of {log}: {end}"
            )
    return all(process.poll() == 0 for process in processes.values())
