"""Compiled patterns, the cache of them, and what a thread needs to run one: limits, a JIT stack, room for offsets.

The law: memory of libpcre2 is owned by exactly one object here and freed with it. Compiled patterns are shared by all
threads; a workspace belongs to one thread; match data belong to one search.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass

from lumilter.adapters import pcre_ffi as ffi
from lumilter.errors import LumilterError

CACHE_SIZE = 256
"""Compiled patterns that are kept."""

JIT_STACK_START = 32 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one search may use at each place in the subject where it tries (that is how PCRE2 counts).

    match: steps of the matcher. depth: depth of its backtracking. heap_kib: KiB of memory for backtracking. Code made
    by the JIT compiler knows no depth; its stack is bounded by heap_kib.
    """

    match: int = 1_000_000
    depth: int = 250_000
    heap_kib: int = 20_000


class PatternError(LumilterError):
    """A pattern does not compile. message: the library's; code: its number (0: empty); offset: the byte in question."""

    def __init__(self, message: str, code: int, offset: int) -> None:
        self.message, self.code, self.offset = message, code, offset
        super().__init__(f"{message} (at byte {offset} of the pattern)")


class MatchLimitError(LumilterError):
    """A search was given up, by a limit or for lack of memory. message: the library's; code: its number, negative."""

    def __init__(self, message: str, code: int) -> None:
        self.message, self.code = message, code
        super().__init__(message)


class Code:
    """A compiled pattern; its memory is freed when the last user lets go of it, in the cache or in a search."""

    def __init__(self, pattern: bytes, options: int) -> None:
        if not pattern:
            raise PatternError("the pattern is empty", 0, 0)  # Momentum refuses it too
        lib = ffi.library()
        number, offset = ctypes.c_int(), ctypes.c_size_t()
        # \C could end a match inside a character, where the next search must not begin without a check.
        options |= ffi.UTF | ffi.NEVER_BACKSLASH_C
        self.pointer: int | None = lib.pcre2_compile_8(
            pattern, len(pattern), options, ctypes.byref(number), ctypes.byref(offset), None
        )
        if not self.pointer:
            raise PatternError(ffi.error_message(number.value), number.value, offset.value)
        weakref.finalize(self, lib.pcre2_code_free_8, self.pointer).atexit = False
        if ffi.has_jit():
            lib.pcre2_jit_compile_8(self.pointer, ffi.JIT_COMPLETE)  # where it can't, the interpreter matches
        self._match = lib.pcre2_match_8
        self.size = self._info(ffi.INFO_CAPTURECOUNT) + 1
        self.names = self._names()

    def _info(self, what: int) -> int:
        value = ctypes.c_uint32()
        ffi.library().pcre2_pattern_info_8(self.pointer, what, ctypes.byref(value))
        return value.value

    def _names(self) -> list[tuple[str, int]]:
        """Names and groups; with (?J) a name may be there more than once."""
        width = self._info(ffi.INFO_NAMEENTRYSIZE)
        table = ctypes.c_void_p()
        ffi.library().pcre2_pattern_info_8(self.pointer, ffi.INFO_NAMETABLE, ctypes.byref(table))
        count = self._info(ffi.INFO_NAMECOUNT)
        raw = ctypes.string_at(table.value, width * count) if count and table.value else b""
        entries = [raw[at : at + width] for at in range(0, len(raw), width or 1)]
        return [(e[2:].split(b"\0", 1)[0].decode("utf-8"), int.from_bytes(e[:2], "big")) for e in entries]

    def run(self, subject: ffi.Bytes, offset: int, options: int, data: MatchData, space: Workspace) -> int:
        """pcre2_match: above 0 it matched, else an error code."""
        result: int = self._match(
            self.pointer, subject.address, subject.size, offset, options | space.options, data.pointer, space.context
        )
        return result


class MatchData:
    """Room for the offsets of one search's groups."""

    def __init__(self, code: Code) -> None:
        self.size = 2 * code.size
        self.pointer = ffi.library().pcre2_match_data_create_from_pattern_8(code.pointer, None)
        if not self.pointer:
            raise MemoryError("pcre2_match_data_create")

    def __enter__(self) -> MatchData:
        return self

    def __exit__(self, *_: object) -> None:
        ffi.library().pcre2_match_data_free_8(self.pointer)

    def pairs(self) -> list[int]:
        """Start and end of each group, UNSET twice for one without a part in the match."""
        offsets: list[int] = ffi.library().pcre2_get_ovector_pointer_8(self.pointer)[: self.size]
        return offsets


class Workspace:
    """The limits and the JIT stack, which one thread at a time can use."""

    def __init__(self, limits: Limits) -> None:
        lib = ffi.library()
        self.limits = limits
        self.options = 0
        self.context = lib.pcre2_match_context_create_8(None)
        if not self.context:
            raise MemoryError("pcre2_match_context_create")
        weakref.finalize(self, lib.pcre2_match_context_free_8, self.context).atexit = False
        lib.pcre2_set_match_limit_8(self.context, limits.match)
        lib.pcre2_set_depth_limit_8(self.context, limits.depth)
        lib.pcre2_set_heap_limit_8(self.context, limits.heap_kib)
        if not ffi.has_jit():
            return
        size = limits.heap_kib * 1024
        stack = lib.pcre2_jit_stack_create_8(min(JIT_STACK_START, size), size, None)
        if stack:
            weakref.finalize(self, lib.pcre2_jit_stack_free_8, stack).atexit = False
            lib.pcre2_jit_stack_assign_8(self.context, None, stack)
        else:
            self.options = ffi.NO_JIT


_local = threading.local()


def workspace(limits: Limits) -> Workspace:
    space: Workspace | None = getattr(_local, "space", None)
    if space is None or space.limits != limits:
        space = _local.space = Workspace(limits)
    return space


class Cache:
    """The patterns that were used last, compiled."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._codes: OrderedDict[tuple[bytes, int], Code] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._codes)

    def get(self, pattern: bytes, options: int = 0) -> Code:
        key = pattern, options
        with self._lock:
            code = self._codes.get(key)
            if code is not None:
                self._codes.move_to_end(key)
                return code
        code = Code(pattern, options)  # outside the lock: two threads may compile the same, one result is kept
        with self._lock:
            self._codes[key] = code
            while len(self._codes) > self._size:
                self._codes.popitem(last=False)
        return code


cache = Cache(CACHE_SIZE)
