"""Embedding tables: hashes in, rows out, a learned vector for what is missing."""

from models.tables.base import EmbeddingTable
from models.tables.config import TableConfig, tables_by_scale, tables_for
from models.tables.growing import GrowingTable
from models.tables.hashed import HashedTable
from models.tables.named import ITEM, Tables, table_names, tables_in

__all__ = [
    "ITEM",
    "EmbeddingTable",
    "GrowingTable",
    "HashedTable",
    "TableConfig",
    "Tables",
    "table_names",
    "tables_by_scale",
    "tables_for",
    "tables_in",
]
