"""HHSFT (Taobao, 2026): Heterogeneous Hierarchical Sample Fusion Transformer."""

from models.hhsft.config import HhsftConfig
from models.hhsft.model import Hhsft

__all__ = ["Hhsft", "HhsftConfig"]
