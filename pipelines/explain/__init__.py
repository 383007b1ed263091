"""Why a label is what it is: the rules evaluated for one user and one item, event by event."""
