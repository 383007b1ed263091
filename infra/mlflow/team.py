"""MLflow as a team runs it, small: PostgreSQL for what is looked up, S3 for the artifacts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from infra.jars import Missing
from infra.postgres import Database, local_postgres
from infra.s3 import BUCKET, Store, local_s3
from millstream.local_mlflow import Stores, local_mlflow

DRIVERS = ("psycopg", "boto3")
"""What the server needs to reach them: the extra `mlflow-server`."""


@dataclass(frozen=True)
class Team:
    """A server that answers, and what it keeps its things in."""

    uri: str
    database: Database
    store: Store


@contextmanager
def team_mlflow(folder: Path, port: int | None = None) -> Iterator[Team]:
    """A server over a new database and a new bucket; all three end on the way out.

    Objects and logs live in `folder`. Raises Missing with what to install, UserError if one of
    them does not start.
    """
    _check_drivers()
    with local_postgres() as database, local_s3(folder / "s3") as store:
        stores = Stores(database.uri, f"s3://{BUCKET}/artifacts", store.environment)
        with local_mlflow(folder / "mlflow", port, stores=stores) as uri:
            yield Team(uri, database, store)


def _check_drivers() -> None:
    lacking = [name for name in DRIVERS if find_spec(name) is None]
    if lacking:
        raise Missing(
            f"{', '.join(lacking)}: expected to be installed, received nothing. Install millstream "
            "with its extra `mlflow-server`."
        )
