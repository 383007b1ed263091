"""`python -m pipelines.drivers.flink.workers`: a pool that gives Python workers to Flink.

Beam has such a program. Its workers import everything anew, which takes seconds for each, and
keep no state in memory between bundles. These are forked from a process that has imported all.
"""

import argparse
import logging
import multiprocessing
import os
import signal
import traceback
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc
from apache_beam.utils import thread_pool_executor

from pipelines.drivers.sampling import rest_briefly

MEGABYTE = 1 << 20

PRELOADED = ["apache_beam.runners.worker.sdk_worker", "pipelines.drivers.flink.graph"]


class Pool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Starts a worker for each task manager and job that asks.

    Task managers that share a pool name their workers alike, so none is ended on a name's behalf:
    each ends itself when its task manager hangs up.
    """

    def __init__(self, cache_bytes: int) -> None:
        self._cache_bytes = cache_bytes
        self._forks = multiprocessing.get_context("forkserver")
        self._forks.set_forkserver_preload(PRELOADED)

    def StartWorker(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  see Beam
        try:
            words = (request.worker_id, request.control_endpoint.url, self._cache_bytes)
            self._forks.Process(target=_work, args=words, daemon=True).start()
        except Exception:  # noqa: BLE001  whoever asked hears of it
            return beam_fn_api_pb2.StartWorkerResponse(error=traceback.format_exc())
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  see Beam
        multiprocessing.active_children()  # buries those that have ended
        return beam_fn_api_pb2.StopWorkerResponse()


def serve(port: int, cache_bytes: int) -> grpc.Server:
    """A pool that listens on all addresses of this machine."""
    options = [("grpc.http2.max_pings_without_data", 0), ("grpc.http2.max_ping_strikes", 0)]
    server = grpc.server(thread_pool_executor.shared_unbounded_instance(), options=options)
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(Pool(cache_bytes), server)
    server.add_insecure_port(f"[::]:{port}")
    server.start()
    return server


def _work(worker_id: str, control: str, cache_bytes: int) -> None:
    """One worker, until the task manager goes away."""
    from apache_beam.runners.worker.sdk_worker import SdkHarness

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _start_logging()
    rest_briefly()
    logging.getLogger(__name__).info("worker %s serves %s", worker_id, control)
    SdkHarness(control, worker_id=worker_id, state_cache_size=cache_bytes).run()
    os._exit(0)  # whatever still waits for the task manager waits in vain


def _start_logging() -> None:
    told = "%(asctime)s %(process)d %(levelname)s %(message)s"
    logging.basicConfig(level=logging.INFO, format=told, force=True)
    logging.getLogger("kafka").setLevel(logging.WARNING)


def main() -> None:
    """Serve until SIGTERM or Ctrl-C; ends the workers then."""
    parser = argparse.ArgumentParser(prog="pipelines.drivers.flink.workers", description=__doc__)
    parser.add_argument("--port", type=int, default=50_000, help="to listen on (%(default)s)")
    parser.add_argument(
        "--cache-mb",
        type=int,
        default=1024,
        help="state that each worker keeps in memory (%(default)s MB)",
    )
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _start_logging()
    server = serve(args.port, args.cache_mb * MEGABYTE)
    try:
        signal.pause()
    except KeyboardInterrupt:
        server.stop(0)


if __name__ == "__main__":
    main()
