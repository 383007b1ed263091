"""For all tests: an example may take its time on a busy machine."""

from hypothesis import settings

settings.register_profile("millstream", deadline=None)
settings.load_profile("millstream")
