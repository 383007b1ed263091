"""The code of a registered version. MLflow runs this file to load one; nothing else imports it."""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

CODE = Path(__file__).parent / "code" / "millstream.zip"
if CODE.exists():  # While a version is being made it is not there: then what runs counts.
    sys.path.insert(0, str(CODE))

from learner.pyfunc_columns import JSON_COLUMNS  # noqa: E402
from learner.scorer import Scorer  # noqa: E402


class RankingVersion(PythonModel):
    """Scores requests, one a row; see `learner.requests` for their form.

    Columns `features`, `history`, `recent` and `candidates` hold JSON text. The answer has a
    column a task: for each candidate, in order, the probability of feedback.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Read weights, configuration and spec."""
        self.scorer = Scorer.load(Path(context.artifacts["model"]))

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 - MLflow passes it
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002 - MLflow passes it
    ) -> pd.DataFrame:
        """Probabilities by task, one row a request."""
        rows = model_input.to_dict(orient="records")
        requests = [
            {str(key): json.loads(v) if key in JSON_COLUMNS else v for key, v in row.items()}
            for row in rows
        ]
        return pd.DataFrame(self.scorer.score(requests), columns=list(self.scorer.layout.tasks))


set_model(RankingVersion())
