"""An MLflow server as a person's command meets it: it answers, or a sentence says what is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests import RequestException

from learner.outbox import tame_client
from schemas.errors import UserError
from schemas.spec.table import near_match


@contextmanager
def reached(uri: str) -> Iterator[MlflowClient]:
    """A client of the server. Raises UserError if it does not answer or refuses something."""
    tame_client()
    try:
        yield MlflowClient(tracking_uri=uri, registry_uri=uri)
    except (MlflowException, RequestException) as error:
        raise UserError(
            f"{uri}: expected an MLflow server that answers, received: {_first_line(error)}. "
            "Start it, or name another with --mlflow."
        ) from error


def registered_name(client: MlflowClient, name: str | None) -> str:
    """The registered model of that name, or the only one there is.

    Raises UserError if there is none, or several and no name.
    """
    known = [model.name for model in client.search_registered_models()]
    if name is None and len(known) == 1:
        return str(known[0])
    if name is None:
        raise UserError(
            f"--name: expected the name of one registered model, received none, and there are "
            f"{len(known)} ({', '.join(known) or 'train one first'})."
        )
    if name not in known:
        raise UserError(
            f"--name: expected the name of a registered model, received {name!r}"
            f"{near_match(name, known)}."
        )
    return name


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
