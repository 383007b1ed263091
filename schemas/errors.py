"""Errors that are meant for people."""


class UserError(Exception):
    """Something the user can mend: one readable paragraph saying what, where and the remedy."""


class SpecError(UserError):
    """The stream spec is wrong."""


class StoreError(UserError):
    """A window store is missing, incomplete or damaged."""
