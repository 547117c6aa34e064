"""What every test may count on."""

import signal

# A shell without job control starts what it puts in the background with SIGINT ignored, and so would be every process
# that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
