"""MLflow servers on this machine: a small one to try, and one set up as a team would."""

from infra.mlflow.team import Team, team_mlflow

__all__ = ["Team", "team_mlflow"]
