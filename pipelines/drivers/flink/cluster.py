"""What we ask a Flink cluster's job manager over its REST interface."""

import json
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from schemas.errors import UserError

ANSWER_S = 30.0

_ENDED = ("FAILED", "CANCELED", "FINISHED")


@dataclass(frozen=True)
class FlinkCluster:
    """The job manager that answers at `address`, http://HOST:PORT."""

    address: str

    def running(self, name: str) -> str | None:
        """The id of the job of this name that has not ended. Raises UserError without an answer."""
        jobs = self._ask("/jobs/overview")["jobs"]
        return next(
            (j["jid"] for j in jobs if j["name"] == name and j["state"] not in _ENDED), None
        )

    def why_ended(self, job: str) -> str:
        """The cause that the cluster remembers of a job's end, as one line."""
        try:
            known = self._ask(f"/jobs/{job}/exceptions")
        except UserError:
            return "the cluster does not know the job any more"
        text = str(known.get("root-exception") or "nothing is known").strip()
        causes = [line for line in text.splitlines() if "Error: " in line or "Caused by: " in line]
        return (causes or text.splitlines())[-1].strip()[:500]

    def cancel(self, job: str) -> None:
        """End a job; its last checkpoint stays. Raises UserError without an answer."""
        self._ask(f"/jobs/{job}?mode=cancel", "PATCH")

    def _ask(self, path: str, method: str = "GET") -> Any:
        request = urllib.request.Request(self.address.rstrip("/") + path, method=method)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
                told = answer.read()
        except (OSError, HTTPException, ValueError) as error:
            raise UserError(
                f"{self.address}: expected Flink's job manager to answer, received: {error}. Check "
                "that the cluster runs and the address: --flink-rest http://HOST:PORT."
            ) from error
        return json.loads(told) if told else None
