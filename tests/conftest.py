"""What holds for every test."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # a busy machine is no mistake of the code
settings.load_profile("unhurried")
