"""One module a command: `add` declares it, `run` does it and imports what is heavy."""
