"""S3Proxy: S3's protocol with signed requests, over a folder, on a port of the loopback."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.jars import Missing, fetched, program
from infra.processes import HOST, Process, free_port, listens

POM = Path(__file__).resolve().with_name("pom.xml")
BUCKET = "mlflow"
USER = "millstream"
REGION = "us-east-1"

LOG = POM.with_name("logback.xml")

_JVM = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
"""Small and quick to start."""


@dataclass(frozen=True)
class Store:
    """An object store with one bucket, and who may use it."""

    port: int
    secret: str

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """What MLflow and boto3 read to use it.

        Like many stores it does not know all the checksums that boto3 sends unless told not to.
        """
        return {
            "MLFLOW_S3_ENDPOINT_URL": self.endpoint,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": USER,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        }

    def client(self) -> Any:
        """A boto3 client of the store. Raises Missing without boto3."""
        try:
            import boto3
            from botocore.config import Config
        except ImportError as error:
            raise Missing(
                "boto3: expected to be installed, received nothing. Install millstream with its "
                "extra `mlflow-server`."
            ) from error
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=USER,
            aws_secret_access_key=self.secret,
            region_name=REGION,
            config=Config(request_checksum_calculation="when_required"),
        )


@contextmanager
def local_s3(folder: Path, patience_s: float = 60.0) -> Iterator[Store]:
    """A store whose objects are files below `folder`, with an empty bucket.

    Raises Missing without Java or Maven, UserError if it does not start.
    """
    store = Store(free_port(), secrets.token_hex(16))
    (folder / "objects").mkdir(parents=True)
    settings = folder / "s3proxy.conf"
    settings.write_text(_settings(store, folder / "objects"), encoding="utf-8")
    server = Process("S3Proxy", folder / "server.log")
    java = program("java", "Java 17 or newer")
    command = [java, *_JVM, f"-Dlogback.configurationFile={LOG}"]
    command += ["-cp", f"{fetched(POM)}/*", "org.gaul.s3proxy.Main"]
    server.start([*command, "--properties", str(settings)])
    try:
        server.wait_for(lambda: listens(store.port), store.endpoint, patience_s)
        store.client().create_bucket(Bucket=BUCKET)
        yield store
    finally:
        server.stop()


def _settings(store: Store, objects: Path) -> str:
    settings = {
        "s3proxy.authorization": "aws-v4",
        "s3proxy.endpoint": store.endpoint,
        "s3proxy.identity": USER,
        "s3proxy.credential": store.secret,
        # The checksum that boto3 sends with keys to delete; they are read all the same.
        "s3proxy.ignore-unknown-headers": "true",
        "jclouds.provider": "filesystem-nio2",
        "jclouds.identity": "unused",
        "jclouds.credential": "unused",
        "jclouds.filesystem.basedir": str(objects),
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
