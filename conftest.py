"""Settings of every test of the workspace."""

from hypothesis import settings

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("tierwise", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("tierwise")
