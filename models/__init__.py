"""Ranking models on one batch contract, in torch. No Beam, no MLflow, no I/O."""

from models.base import ModelError
from models.dlrm_mlp import DlrmMlp
from models.infnet import Infnet
from models.mtfm import Mtfm
from models.registry import create, names, register

register("dlrm_mlp", DlrmMlp)
register("infnet", Infnet)
register("mtfm", Mtfm)

__all__ = ["ModelError", "create", "names", "register"]
