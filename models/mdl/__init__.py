"""MDL (ByteDance, 2026): a multi-distribution learner with scenario and task tokens."""

from models.mdl.config import MdlConfig
from models.mdl.model import Attention, Mdl

__all__ = ["Attention", "Mdl", "MdlConfig"]
