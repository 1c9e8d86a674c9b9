"""Settings of every test of the workspace."""

import signal

from hypothesis import settings

# A shell starts what runs in its background with interrupts ignored, and what tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("tierwise", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("tierwise")
