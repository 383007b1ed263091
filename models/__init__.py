"""Ranking models on one batch contract, in torch. No Beam, no MLflow, no I/O."""

from models.base import ModelError
from models.dlrm_mlp import DlrmMlp
from models.hhsft import Hhsft
from models.infnet import Infnet
from models.mdl import Mdl
from models.mtfm import Mtfm
from models.registry import create, names, register

register("dlrm_mlp", DlrmMlp)
register("mdl", Mdl)
register("hhsft", Hhsft)
register("infnet", Infnet)
register("mtfm", Mtfm)

__all__ = ["ModelError", "create", "names", "register"]
