"""`kafka://HOST:PORT[,HOST:PORT…]`: where a cluster answers."""

import re

from schemas.errors import UserError

SCHEME = "kafka://"

_SERVER = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}")


def is_kafka(source: str) -> bool:
    """Whether a source names a Kafka cluster and not a folder."""
    return source.startswith(SCHEME)


def servers_of(address: str) -> list[str]:
    """The servers that an address names, with or without the scheme. Raises UserError."""
    servers = address.removeprefix(SCHEME).rstrip("/").split(",")
    for server in servers:
        if not _SERVER.fullmatch(server):
            raise UserError(
                f"{address}: expected {SCHEME}HOST:PORT, or several of them parted by commas, "
                f"received {server!r}"
            )
    return servers
