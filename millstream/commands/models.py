"""`millstream models`: what models are."""

from millstream.arguments import Subparsers
from millstream.commands import describe_model


def add(subparsers: Subparsers) -> None:
    """Declare the command and what it can do."""
    parser = subparsers.add_parser("models", help="models: what they are made of")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    describe_model.add_action(actions)
