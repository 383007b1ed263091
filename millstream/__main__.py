"""`python -m millstream`."""

from millstream.cli import command

command()
