"""A run of the Flink driver, and the options of Beam that follow from it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from schemas.spec import Spec

RETRIES = 30
RETRY_DELAY_MS = 3_000
"""A part may be away for minutes; a job that cannot work must not hide it for an hour."""


@dataclass(frozen=True)
class FlinkSettings:
    """What is to run, and where.

    `windows` and `state` are folders that this machine, the task managers and the workers all see
    under the same path. `job_server` and `rest` are Beam's job server and the job manager's REST
    interface; `workers` is where a task manager finds a pool of Python workers. With
    `final` the input is what the topics hold now; without, the job never ends.
    """

    spec: Spec
    source: str
    windows: Path
    state: Path
    job_server: str
    rest: str
    workers: str = "localhost:50000"
    shards: int = 16
    parallelism: int = 2
    epoch_rows: int = 100_000
    checkpoint_s: float = 10.0
    final: bool = False

    @property
    def job_name(self) -> str:
        """Names the job of this state among all jobs of the cluster."""
        place = hashlib.sha256(str(self.state.absolute()).encode()).hexdigest()[:8]
        return f"millstream-{self.spec.name}-{place}"

    @property
    def checkpoints(self) -> Path:
        """Where Flink keeps checkpoints, a folder for each job."""
        return self.state.absolute() / "checkpoints"


def options_of(settings: FlinkSettings, restore: Path | None) -> list[str]:
    """Beam's options: how the job is handed in, kept alive and cut into bundles.

    Elements are large batches, so a bundle is one element: the watermark moves on only when a
    bundle closes.
    """
    return [
        "--runner=PortableRunner",
        "--streaming",
        f"--job_endpoint={settings.job_server}",
        "--environment_type=EXTERNAL",
        f"--environment_config={settings.workers}",
        f"--parallelism={settings.parallelism}",
        f"--job_name={settings.job_name}",
        "--max_bundle_size=1000",
        "--max_bundle_time_mills=50",
        "--finish_bundle_before_checkpointing",
        *_checkpoints(settings),
        *([] if restore is None else [f"--savepoint_path=file://{restore}"]),
    ]


def _checkpoints(settings: FlinkSettings) -> list[str]:
    return [
        f"--checkpointing_interval={int(settings.checkpoint_s * 1_000)}",
        "--externalized_checkpoints_enabled",
        "--retain_externalized_checkpoints_on_cancellation",
        "--state_backend=rocksdb",
        f"--state_backend_storage_path=file://{settings.checkpoints}",
        f"--number_of_execution_retries={RETRIES}",
        f"--execution_retry_delay={RETRY_DELAY_MS}",
    ]
