"""What scores and serves is the mean of the dense weights; what is trained on stays itself."""

from pathlib import Path

import torch

from learner import tensors
from learner.requests import example_request
from learner.scorer import Scorer
from models import create
from models.layout import Layout
from models.optimisers import split_parameters
from tests.learner.runs import assert_same_tensors, learn, newest, restored, shop
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


def test_a_version_scores_ids_that_it_never_saw_all_alike(tmp_path: Path) -> None:
    settings = shop(tmp_path, windows=2)
    learn(settings)
    [version] = sorted((settings.state / "versions").iterdir())
    scorer = Scorer.load(version / "model")
    items = ["never-1", "never-2", *(f"item-{at}" for at in range(3))]
    request = example_request(SPEC) | {"candidates": [{"item": item} for item in items]}
    before = {name: one.clone() for name, one in scorer.model.state_dict().items()}
    [answer] = scorer.score([request])
    never, other, *_ = answer["click"]
    assert 0 < never < 1
    assert never == other
    assert_same_tensors(scorer.model.state_dict(), before)


def test_a_version_holds_nothing_that_only_training_needs(tmp_path: Path) -> None:
    adam = "\n[learner]\nbatch_users = 8\noptimiser = { sparse = 'adam' }\n"
    settings = shop(tmp_path, windows=2, learner=adam)
    learn(settings)
    [version] = sorted((settings.state / "versions").iterdir())
    served = tensors.load(version / "model" / "weights.safetensors")
    trained = restored(settings).model.state_dict()
    beside = {name for name in trained if name.endswith((".gradient_mean", ".updates"))}
    assert beside
    assert served.keys() == trained.keys() - beside
    Scorer.load(version / "model")
