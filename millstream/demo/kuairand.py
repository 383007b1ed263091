"""The demo on KuaiRand, the real data that ships with the repository."""

from pathlib import Path

from millstream import shipped
from millstream.demo.data import Data
from millstream.demo.place import Place
from millstream.demo.report import report
from schemas.errors import UserError
from schemas.spec import Spec

NAME = "kuairand"


def kuairand() -> Data:
    """14 days of a feed."""
    return Data(NAME, shipped.spec_file(NAME), _write, report)


def _write(place: Place, spec: Spec) -> None:
    from pipelines.replay import kuairand as adapter

    adapter.replay(shipped_data(), place.events, spec, overwrite=True)


def shipped_data() -> Path:
    """The data that ships with the repository. Raises UserError outside a checkout."""
    folder = Path(shipped.__file__).resolve().parent.parent / "examples" / NAME
    if not folder.is_dir():
        raise UserError(
            f"{folder}: expected the example data, received no such folder. It ships with the "
            "repository, not with the package: run the demo from a clone."
        )
    return folder
