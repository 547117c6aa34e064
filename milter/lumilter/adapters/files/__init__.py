"""Files and what is named like them: what msys.readfile and msys.core.io_wrapper_open open.

    contract     Stream, what every opened thing can do; Limits; FileError
    local        files of this machine
    copies       what is written where nothing may be changed
    jlog         appends to OmniTI's jlogs
    persist      the last copy of what can't be read
    pipe         programs that take what is written
    syslog       the system's log
    resources    from a name or URI to one of them, or to an answer by HTTP

The law: any thread may call; a call blocks, at most until its deadline. What goes wrong is a FileError.
"""

from lumilter.adapters.files.contract import FileError, Limits, Stream
from lumilter.adapters.files.resources import Files, Settings
from lumilter.adapters.files.syslog import SyslogSettings

__all__ = ["FileError", "Files", "Limits", "Settings", "Stream", "SyslogSettings"]
