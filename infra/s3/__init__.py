"""An object store that speaks S3, on this machine: S3Proxy over a folder."""

from infra.s3.store import BUCKET, Store, local_s3

__all__ = ["BUCKET", "Store", "local_s3"]
