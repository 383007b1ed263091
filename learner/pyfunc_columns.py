"""Which columns of a version's input hold JSON text."""

JSON_COLUMNS = ("features", "history", "recent", "candidates")
