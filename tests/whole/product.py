"""The whole product on one machine: a world, a broker, a pipeline, a learner, an MLflow server."""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from infra.kafka import Broker
from infra.kafka.broker import answers
from infra.processes import HOST, free_port, listens
from learner.settings import LearnerSettings
from millstream.local_mlflow import Stores, server_command, server_environment
from tests.whole.part import Part, ended_at_last, newest_since
from tests.whole.world import World

NAME = "simulated"
"""Of the spec, thus of the experiment, and of the registered model."""

SIZE = ["--shards", "2", "--epoch-rows", "2000"]
"""Of the pipeline: small epochs, so that catching up takes several."""

CHECKPOINT_EVERY, REGISTER_EVERY = 2, 4

QUIET_S = 150.0
"""Who has done nothing for so long, while no event comes any more, has nothing to do."""

ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@dataclass
class Product:
    """All parts, in the order in which they are started, and the world that is told to them."""

    folder: Path
    world: World
    seconds: float
    """How long the world's events take to go out."""
    broker: Broker = field(init=False)
    parts: list[Part] = field(init=False)
    simulator: Part = field(init=False)
    begun_s: float = field(init=False)
    """When events began to come, by the clock of the day."""

    def __post_init__(self) -> None:
        self.broker = Broker(self.folder / "kafka", free_port())
        self._mlflow_port = free_port()
        self.parts = [self._kafka(), self._mlflow(), self._pipeline(), self._learner()]
        self.simulator = self._simulator()

    @property
    def mlflow(self) -> str:
        """Where the MLflow server answers."""
        return f"http://{HOST}:{self._mlflow_port}"

    @property
    def settings(self) -> LearnerSettings:
        """What the learner's command says."""
        return LearnerSettings(
            spec=self.world.spec,
            windows=self.folder / "windows",
            state=self.folder / "learner",
            mlflow=self.mlflow,
            model="dlrm_mlp",
            preset="tiny",
            registered_model=NAME,
            checkpoint_every_batches=CHECKPOINT_EVERY,
            register_every_windows=REGISTER_EVERY,
        )

    def part(self, name: str) -> Part:
        """A part by its name."""
        return next(part for part in self.parts if part.name == name)

    @property
    def simulating(self) -> bool:
        """Whether events are still to come."""
        return self.simulator.process.lives()

    def start(self) -> None:
        """Start everything; the simulator, which does not wait for a broker, has met it then."""
        for part in self.parts:
            part.launch()
        self.wait_for(lambda: answers(self.broker.address), "the broker's answer")
        self.simulator.launch()
        self.wait_for(lambda: _has_topics(self.broker.address), "the simulator's topics")
        self.begun_s = time.time()

    def moment_s(self, time_ms: int, first_ms: int) -> float:
        """When this event time has come, the first being that of the first event."""
        return self.begun_s + (time_ms - first_ms) / 1_000 / self.world.speed(self.seconds)

    def wait_for_work_of(self, part: Part) -> None:
        """Wait until a part has done something since it was launched, or all seems to be done."""
        patience_ends_s = time.monotonic() + QUIET_S

        def ready() -> bool:
            quiet = not self.simulating and time.monotonic() > patience_ends_s
            return part.at_work or quiet

        self.wait_for(ready, f"{part.name} at work")

    def wait_for_events(self) -> None:
        """Wait until the simulator, too, has found the broker again, or has nothing left to say."""
        before = _events_in(self.broker.address)
        self.wait_for(
            lambda: _events_in(self.broker.address) > before or not self.simulating, "events"
        )

    def wait_for(self, come: Callable[[], bool], what: str, patience_s: float = 300.0) -> None:
        """Wait for something while all parts go on; none of them may end by itself."""
        deadline = time.monotonic() + patience_s
        while not come():
            for part in self.parts:
                assert part.process.lives(), f"{part.name} ended by itself: {part.log.read_text()}"
            assert time.monotonic() < deadline, f"expected {what} within {patience_s:.0f} s"
            time.sleep(0.05)

    def finish(self) -> None:
        """Let all events come, declare the input complete, and let the learner learn it all."""
        assert self.simulator.process.exit_code(self.seconds + 300) == 0
        pipeline = self.part("pipeline")
        pipeline.process.ask()
        # One that was about to start has not told the system yet what to do when it is asked.
        assert pipeline.process.exit_code(120) in (0, -signal.SIGTERM)
        pipeline.command = [word for word in pipeline.command if word != "--follow"] + ["--final"]
        pipeline.launch()
        assert pipeline.process.exit_code(300) == 0
        assert self.part("learner").process.exit_code(600) == 0
        while not self.sent:  # it waits for MLflow for a minute; the next start sends the rest
            self.part("learner").launch()
            assert self.part("learner").process.exit_code(600) == 0

    @property
    def sent(self) -> bool:
        """Whether MLflow has all metrics and versions."""
        state = self.settings.state
        sent_bytes = json.loads((state / "tracking.json").read_text())["bytes"]
        whole = sent_bytes == (state / "metrics.jsonl").stat().st_size
        return whole and not list((state / "versions").iterdir())

    def _kafka(self) -> Part:
        return Part(
            "broker",
            self.broker.command(),
            self.folder / "kafka.log",
            worked_since=lambda _: listens(self.broker.port),
        )

    def _mlflow(self) -> Part:
        stores = Stores.within(self.folder)
        return Part(
            "mlflow",
            server_command(stores, self._mlflow_port),
            self.folder / "mlflow.log",
            worked_since=lambda _: listens(self._mlflow_port),
            environment=server_environment(stores),
        )

    def _pipeline(self) -> Part:
        words = ["--source", f"kafka://{self.broker.address}", *SIZE, "--follow"]
        return Part(
            "pipeline",
            self._millstream("pipeline", "--windows", self.folder / "windows", *words),
            self.folder / "pipeline.log",
            newest_since(self.folder / "windows.state" / "journal", "*.commit.json"),
        )

    def _learner(self) -> Part:
        settings = self.settings
        often = ["--checkpoint-every", CHECKPOINT_EVERY, "--register-every", REGISTER_EVERY]
        words = ["--windows", settings.windows, "--state", settings.state, *often]
        named = ["--model", settings.model, "--preset", settings.preset, "--name", NAME]
        to = ["--mlflow", self.mlflow, "--follow", "--until-final"]
        return Part(
            "learner",
            self._millstream("train", *words, *named, *to),
            self.folder / "learner.log",
            newest_since(settings.state / "checkpoints", "*/_COMMIT.json"),
            environment=ONE_THREAD,
        )

    def _simulator(self) -> Part:
        paced = ["--kafka", self.broker.address, "--speed", f"{self.world.speed(self.seconds)}x"]
        command = [sys.executable, "-m", "millstream", "simulate", "--world", str(self.world.file)]
        log = self.folder / "simulator.log"
        return Part("simulator", [*command, *paced], log, worked_since=lambda _: True)

    def _millstream(self, command: str, *words: object) -> list[str]:
        start = [sys.executable, "-m", "millstream", command, "--spec", str(self.world.spec)]
        return [*start, *map(str, words)]


def _has_topics(address: str) -> bool:
    client = KafkaAdminClient(bootstrap_servers=address)
    try:
        return bool(client.list_topics())
    finally:
        client.close()


def _events_in(address: str) -> int:
    """How many messages all topics hold."""
    with closing(KafkaConsumer(bootstrap_servers=address)) as consumer:
        keys = [
            TopicPartition(topic, number)
            for topic in consumer.topics()
            for number in consumer.partitions_for_topic(topic)
        ]
        return sum(consumer.end_offsets(keys).values())


@contextmanager
def started(folder: Path, world: World, seconds: float) -> Iterator[Product]:
    """A product whose events take so long to go out; it is gone on the way out."""
    folder.mkdir()
    product = Product(folder, world, seconds)
    with ended_at_last([*product.parts, product.simulator]):
        product.start()
        yield product
