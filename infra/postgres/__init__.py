"""PostgreSQL on this machine, to try and for tests: a cluster that leaves no trace."""

from infra.postgres.cluster import Database, local_postgres

__all__ = ["Database", "local_postgres"]
