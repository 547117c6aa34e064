"""The functions of libpcre2-8 that msys.pcre needs, as ctypes sees them.

The law: names, prototypes and numbers of pcre2.h, no behaviour. The library is loaded on first use, so that a machine
without it can run policies without msys.pcre. CDLL releases the GIL during every call.
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint32, c_void_p

from lumilter.errors import LumilterError

SONAME = "libpcre2-8.so.0"
PACKAGE = "libpcre2-8-0"

UTF = 0x00080000
NEVER_BACKSLASH_C = 0x00100000
MATCH_INVALID_UTF = 0x04000000
NO_UTF_CHECK = 0x40000000
NOTEMPTY_ATSTART = 0x00000008
NO_JIT = 0x00002000
JIT_COMPLETE = 0x00000001

INFO_CAPTURECOUNT = 4
INFO_NAMECOUNT = 17
INFO_NAMEENTRYSIZE = 18
INFO_NAMETABLE = 19
CONFIG_JIT = 1
CONFIG_VERSION = 11

ERROR_NOMATCH = -1
UTF8_ERRORS = range(-23, -2)
"""PCRE2_ERROR_UTF8_ERR21 to ERR1: what is wrong with a subject that is not UTF-8."""

UNSET = c_size_t(-1).value
"""Offset of a group that took no part in the match."""

_PROTOTYPES = {
    "config": (c_int, [c_uint32, c_void_p]),
    "compile": (c_void_p, [c_char_p, c_size_t, c_uint32, POINTER(c_int), POINTER(c_size_t), c_void_p]),
    "code_free": (None, [c_void_p]),
    "jit_compile": (c_int, [c_void_p, c_uint32]),
    "pattern_info": (c_int, [c_void_p, c_uint32, c_void_p]),
    "match": (c_int, [c_void_p, c_void_p, c_size_t, c_size_t, c_uint32, c_void_p, c_void_p]),
    "match_data_create_from_pattern": (c_void_p, [c_void_p, c_void_p]),
    "match_data_free": (None, [c_void_p]),
    "get_ovector_pointer": (POINTER(c_size_t), [c_void_p]),
    "match_context_create": (c_void_p, [c_void_p]),
    "match_context_free": (None, [c_void_p]),
    "set_match_limit": (c_int, [c_void_p, c_uint32]),
    "set_depth_limit": (c_int, [c_void_p, c_uint32]),
    "set_heap_limit": (c_int, [c_void_p, c_uint32]),
    "jit_stack_create": (c_void_p, [c_size_t, c_size_t, c_void_p]),
    "jit_stack_assign": (None, [c_void_p, c_void_p, c_void_p]),
    "jit_stack_free": (None, [c_void_p]),
    "get_error_message": (c_int, [c_int, c_char_p, c_size_t]),
}


@functools.cache
def library(soname: str = SONAME) -> ctypes.CDLL:
    """The loaded library, prototypes set; its functions are pcre2_NAME_8. Raises LumilterError if it is missing."""
    try:
        loaded = ctypes.CDLL(soname)
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(loaded, f"pcre2_{name}_8")
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise LumilterError(f"msys.pcre needs {soname} ({error}); on Debian: apt install {PACKAGE}") from None
    return loaded


@functools.cache
def has_jit() -> bool:
    """Whether the library was built with a just-in-time compiler for this processor."""
    answer = c_uint32(0)
    library().pcre2_config_8(CONFIG_JIT, ctypes.byref(answer))
    return bool(answer.value)


def version() -> str:
    """The library's version and date, as it says it: "10.42 2022-12-11"."""
    text = ctypes.create_string_buffer(64)
    library().pcre2_config_8(CONFIG_VERSION, text)
    return text.value.decode("ascii")


def error_message(code: int) -> str:
    """The library's words for one of its error codes."""
    text = ctypes.create_string_buffer(256)
    library().pcre2_get_error_message_8(code, text, len(text))
    return text.value.decode("utf-8", "replace") or f"PCRE2 error {code}"


class _PyBuffer(ctypes.Structure):
    """Py_buffer of CPython's buffer protocol (PEP 3118)."""

    _fields_ = [
        ("buf", c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", c_int),
        ("ndim", c_int),
        ("format", c_char_p),
        ("shape", c_void_p),
        ("strides", c_void_p),
        ("suboffsets", c_void_p),
        ("internal", c_void_p),
    ]


class Bytes:
    """The address of a read-only buffer, which can't go away as long as this is open; ctypes has none for those."""

    def __init__(self, source: bytes | memoryview) -> None:
        self._view = _PyBuffer()
        ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(source), ctypes.byref(self._view), 0)
        self.address: int | None = self._view.buf
        self.size = len(source)

    def __enter__(self) -> Bytes:
        return self

    def __exit__(self, *_: object) -> None:
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(self._view))
