"""How packets cross machines: as Arrow IPC bytes."""

import pyarrow as pa

from pipelines import packets
from pipelines.steps.step import Tables


class Bytes:
    """The carrier of drivers whose stages run anywhere."""

    def pack(self, tables: Tables) -> bytes:
        """See `Carrier.pack`."""
        return packets.encode(tables)

    def unpack(self, data: bytes) -> dict[str, pa.Table]:
        """See `Carrier.unpack`."""
        return packets.decode(data)
