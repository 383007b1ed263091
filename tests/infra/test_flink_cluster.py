"""The local Flink cluster: its parts answer, and it says in one paragraph why it does not start."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.flink import Cluster, Missing, local_flink
from infra.flink.java import java
from pipelines.drivers.flink.job_server import JobServer

ROOT = Path(__file__).parents[2]


def test_a_cluster_has_its_slots_and_its_job_server_answers(flink: Cluster) -> None:
    overview = flink.ask("/overview")
    assert (overview["taskmanagers"], overview["slots-total"]) == (2, 2)
    assert overview["flink-version"].startswith("1.19.")
    JobServer(flink.endpoint).check()


GREEDY = """
public class Greedy {
    public static void main(String[] words) throws Exception {
        Thread greedy = new Thread(() -> {
            var kept = new java.util.ArrayList<byte[]>();
            while (true) kept.add(new byte[1 << 20]);
        });
        greedy.start();
        Thread.sleep(600_000);
    }
}
"""


def test_a_java_part_that_is_out_of_memory_ends(flink: Cluster, tmp_path: Path) -> None:
    """It would only lose the thread otherwise, and what waits for that would wait for ever."""
    program = tmp_path / "Greedy.java"
    program.write_text(GREEDY)
    ended = subprocess.run(java(str(program), heap="64m"), capture_output=True, timeout=120)
    assert ended.returncode == 3


def test_the_command_says_which_port_is_taken(flink: Cluster) -> None:
    words = ["--port", "0", "--rest-port", str(flink.ports.rest)]
    taken = subprocess.run(
        [sys.executable, "-m", "infra.flink", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert taken.returncode == 1
    address = flink.dashboard.removeprefix("http://")
    assert taken.stderr.startswith(f"infra.flink: {address}: expected a free port")
    assert "Traceback" not in taken.stderr


def test_without_java_it_is_said_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("MILLSTREAM_CACHE", str(tmp_path / "cache"))
    with (
        pytest.raises(Missing, match="expected on the PATH, received nothing. Install"),
        local_flink(tmp_path),
    ):
        raise AssertionError("there is no cluster")
