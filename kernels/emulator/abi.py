"""The structures that a launch exchanges with the runtime: the same as in runtime/interface.h, field by field."""

from __future__ import annotations

import ctypes as c
from enum import IntEnum

MAX_FINDINGS = 64
MAX_COUNTERS = 4096


class Access(IntEnum):
    """The kind of a memory access."""

    READ = 0
    WRITE = 1
    ATOMIC = 2


class Array(c.Structure):
    """A parameter that points to an array: address, bytes, bytes an element, which bytes nobody has written, guard zones."""

    _fields_ = [
        ("data", c.c_void_p),
        ("bytes", c.c_uint64),
        ("element", c.c_uint64),
        ("unwritten", c.c_void_p),
        ("outside", c.c_void_p),
    ]


class Parameter(c.Structure):
    """A kernel argument: an array and an offset into it, or a scalar."""

    _fields_ = [("array", c.c_int64), ("offset", c.c_uint64), ("scalar", c.c_void_p)]


class Variable(c.Structure):
    """A static or shared variable of the module."""

    _fields_ = [("address", c.c_void_p), ("bytes", c.c_uint64), ("element", c.c_uint64), ("shared", c.c_uint64)]


class Finding(c.Structure):
    """One mistake that the checker found, and the threads and lines that made it."""

    _fields_ = [
        *((name, c.c_uint32) for name in ("kind", "access", "other_access")),
        ("region", c.c_int32),
        ("offset", c.c_int64),
        *((name, c.c_uint64) for name in ("bytes", "pc", "other_pc")),
        *((name, c.c_uint32) for name in ("thread", "other_thread", "block", "other_block")),
        ("detail", c.c_char * 80),
    ]


class Counter(c.Structure):
    """Memory traffic of one access in the code."""

    _fields_ = [
        ("pc", c.c_uint64),
        *((name, c.c_uint32) for name in ("shared", "access", "bytes", "region")),
        *((name, c.c_uint64) for name in ("requests", "moved", "ideal")),
    ]


class Launch(c.Structure):
    """One launch: what the runtime is to run, and what it found."""

    _fields_ = [
        ("kernel", c.c_void_p),
        *((name, c.c_uint64) for name in ("checked", "allow_divergent_barriers", "seed", "access_limit")),
        ("grid", c.c_uint32 * 3),
        ("block", c.c_uint32 * 3),
        ("dynamic_shared", c.c_uint64),
        ("dynamic_element", c.c_uint64),
        ("module", c.c_void_p),
        ("module_bytes", c.c_uint64),
        ("arrays", c.POINTER(Array)),
        ("parameters", c.POINTER(Parameter)),
        ("variables", c.POINTER(Variable)),
        ("findings", c.POINTER(Finding)),
        ("counters", c.POINTER(Counter)),
        *((f"{name}_count", c.c_uint64) for name in ("array", "parameter", "variable")),
        *((f"{name}_room", c.c_uint64) for name in ("finding", "counter")),
        *((f"{name}_count", c.c_uint64) for name in ("finding", "counter")),
    ]
