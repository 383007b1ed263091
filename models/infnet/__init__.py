"""INFNet (Kuaishou, 2025): tokens of three groups that talk through a few hubs, in linear cost."""

from models.infnet.config import InfnetConfig
from models.infnet.model import Infnet

__all__ = ["Infnet", "InfnetConfig"]
