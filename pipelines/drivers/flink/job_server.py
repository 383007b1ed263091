"""How a job is handed in: through Beam's job server, which turns it into one of Flink's."""

from contextlib import suppress
from dataclasses import dataclass

import grpc
from apache_beam import Pipeline
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.portability.api import beam_job_api_pb2 as api
from apache_beam.portability.api import beam_job_api_pb2_grpc
from apache_beam.runners.portability.portable_runner import PortableRunner

from schemas.errors import UserError

ANSWER_S = 30.0


@dataclass(frozen=True)
class JobServer:
    """The job server at `address`, HOST:PORT."""

    address: str

    def check(self) -> None:
        """Raises UserError if nobody answers."""
        try:
            self._stub().DescribePipelineOptions(
                api.DescribePipelineOptionsRequest(), timeout=ANSWER_S
            )
        except grpc.RpcError as error:
            raise UserError(
                f"{self.address}: expected Beam's job server for Flink to answer within "
                f"{ANSWER_S:.0f} s, received: {_said(error)}. Start one, or name the one that "
                "serves your cluster: --flink-job-server HOST:PORT (docs/flink.md)."
            ) from error

    def submit(self, pipeline: Pipeline, options: PipelineOptions) -> str:
        """Hand a pipeline in; gives the job's name. Raises UserError if it is refused."""
        runner = PortableRunner()
        graph = runner.get_proto_pipeline(pipeline, options)
        options.view_as(StandardOptions).runner = None  # the job server knows no other
        try:
            job, _, _ = runner.create_job_service(options).submit(graph)
        except grpc.RpcError as error:
            raise UserError(
                f"{self.address}: expected the job server to take the job, received: "
                f"{_said(error)}. Its log says more."
            ) from error
        return str(job)

    def failed(self, job: str) -> str | None:
        """Why a job failed, if it did, as one line; it may never have reached the cluster."""
        with suppress(grpc.RpcError):
            state = self._stub().GetState(api.GetJobStateRequest(job_id=job), timeout=ANSWER_S)
            if state.state == api.JobState.FAILED:
                return self._last_error(job)
        return None

    def _last_error(self, job: str) -> str:
        said = "nothing was said"
        with suppress(grpc.RpcError):
            request = api.JobMessagesRequest(job_id=job)
            for message in self._stub().GetMessageStream(request, timeout=ANSWER_S):
                if message.message_response.importance == api.JobMessage.JOB_MESSAGE_ERROR:
                    said = message.message_response.message_text
        return said.strip().splitlines()[0]

    def _stub(self) -> beam_job_api_pb2_grpc.JobServiceStub:
        return beam_job_api_pb2_grpc.JobServiceStub(grpc.insecure_channel(self.address))


def _said(error: grpc.RpcError) -> str:
    return f"{error.code().name}, {error.details()}".splitlines()[0].rstrip(".")
