"""msys.pbp: what Momentum's default policy adds to the validation context and policies call directly.

The law: declarations only; both are documented in the manual's default policy guide, not in the function table.
"""

from __future__ import annotations

from lumilter.api.core import disconnect, set_code
from lumilter.registry import api
from lumilter.session.context import ValidateContext
from lumilter.session.phases import VALIDATE_DONE

PACKAGE = "msys.pbp"


@api("vctx:pbp_action", package=PACKAGE, extension=True)
def pbp_action(vctx: ValidateContext, code: int, message: str | None) -> int:
    """Set the reply of the running phase and end it: always msys.core.VALIDATE_DONE."""
    set_code(vctx, code, message)
    return VALIDATE_DONE


@api("vctx:pbp_disconnect", package=PACKAGE, extension=True)
def pbp_disconnect(vctx: ValidateContext, code: int, message: str | None) -> int:
    """Set the reply of the running phase and end it and the connection: always msys.core.VALIDATE_DONE."""
    disconnect(vctx, code, message)
    return VALIDATE_DONE
