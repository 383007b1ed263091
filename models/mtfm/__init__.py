"""MTFM (Meituan, 2026): multi-scenario foundation model with Hybrid Target Attention."""

from models.mtfm.config import MtfmConfig
from models.mtfm.model import Mtfm

__all__ = ["Mtfm", "MtfmConfig"]
