"""What every test may count on."""

import signal

from hypothesis import HealthCheck, settings

# A shell without job control starts what it puts in the background with SIGINT ignored, and so would be every process
# that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says more about what else the machine does than about what is tested; a hang is found by
# pytest-timeout.
settings.register_profile("lumilter", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lumilter")
