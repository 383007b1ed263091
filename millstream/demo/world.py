"""The demo on a simulated shop of three domains, where search learns from all of them."""

from functools import partial

from millstream import shipped
from millstream.demo.data import Data
from millstream.demo.place import Place
from millstream.demo.world_report import report
from pipelines.simulate.world import World
from pipelines.simulate.world_file import load, scaled
from schemas.spec import Spec

SPEC = "simulated"

USERS = {"demo": 2000}
"""How many people a world has here, where it is not the world's own number.

`demo` is halved: both models then follow the pipeline on two cores in some minutes.
"""


def simulated(name: str) -> Data:
    """The demo on a shipped world."""
    world = scaled(load(name), users=USERS.get(name))
    told = partial(report, world=world)
    return Data(f"the world {name}", shipped.spec_file(SPEC), partial(_write, world), told)


def _write(world: World, place: Place, spec: Spec) -> None:
    from pipelines.simulate.simulate import simulate
    from pipelines.simulate.writer import Writer

    simulate(world, Writer.open(place.root, spec, overwrite=True))
