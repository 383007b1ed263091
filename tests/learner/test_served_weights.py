"""What scores and serves is the mean of the dense weights; what is trained on stays itself."""

from pathlib import Path

import torch

from learner import tensors
from models import create
from models.layout import Layout
from models.optimisers import split_parameters
from tests.learner.runs import learn, newest, restored, shop
from tests.learner.world import SPEC


def test_a_version_holds_means_and_the_checkpoint_both(tmp_path: Path) -> None:
    settings = shop(tmp_path, windows=2)
    learn(settings)
    [version] = sorted((settings.state / "versions").iterdir())
    served = tensors.load(version / "model" / "weights.safetensors")
    saved = newest(settings).parts
    model = create("dlrm_mlp", Layout.of(SPEC), "tiny")
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    dense = [names[id(parameter)] for parameter in split_parameters(model).dense]
    assert dense
    for at, name in enumerate(dense):
        assert torch.equal(served[name], saved["optimisers"][f"average/means/{at}"])
        assert not torch.equal(served[name], saved["model"][name])
    trained = restored(settings).model.state_dict()
    for name in trained.keys() - set(dense):
        assert torch.equal(served[name], trained[name])
    assert served.keys() == trained.keys()
