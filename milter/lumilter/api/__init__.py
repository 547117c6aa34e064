"""What scripts can call. Importing this package fills the registry.

The law: one file per Momentum package, nothing in it but declarations with their bodies; a body that grows belongs into
an adapter or the session.
"""

from lumilter.api import (
    audit,
    audit_series,
    av,
    core,
    counter,
    db,
    dumper,
    encodings,
    extended_message,
    extended_vctx,
    gauge_cache,
    http_client,
    json,
    locks,
    message_content,
    message_making,
    message_part,
    message_routing,
    message_sending,
    msys,
    objects,
    pbp,
    pcre,
    thread,
    threadpool,
    timer,
    validate_opendkim,
)

__all__ = [
    "audit", "audit_series", "av", "core", "counter", "db", "dumper", "encodings", "extended_message", "extended_vctx",
    "gauge_cache", "http_client", "json", "locks", "message_content", "message_making", "message_part",
    "message_routing", "message_sending", "msys", "objects", "pbp", "pcre", "thread", "threadpool", "timer",
    "validate_opendkim",
]  # fmt: skip
