"""No network and no other programs for this process: a seccomp filter (Linux, x86-64 and Arm).

`socket`, `connect`, `execve` and what could stand in for them fail with EACCES. FFmpeg is told to
open files alone; this holds even where it is made to do something else.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys

# Audit architecture, and the numbers of: socket, connect, execve, execveat, ptrace,
# process_vm_readv, process_vm_writev, kill, io_uring_setup.
_FORBIDDEN = {
    "x86_64": (0xC000003E, (41, 42, 59, 322, 101, 310, 311, 62, 425)),
    "aarch64": (0xC00000B7, (198, 203, 221, 281, 117, 270, 271, 129, 425)),
}
_OTHER_NUMBERING = 0x40000000  # x32 calls have this bit: none is needed
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # linux/bpf_common.h
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4  # in struct seccomp_data
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000 | errno.EACCES
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2  # prctl


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))


def forbid_network() -> bool:
    """Forbid them for good; False where the system cannot."""
    found = _FORBIDDEN.get(platform.machine())
    if sys.platform != "linux" or found is None:
        return False
    steps = _steps(*found)
    held = ctypes.create_string_buffer(steps)
    program = _Program(len(steps) // 8, ctypes.addressof(held))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    zero = ctypes.c_ulong(0)
    if prctl(_NO_NEW_PRIVILEGES, ctypes.c_ulong(1), zero, zero, zero):
        return False
    return not prctl(_SECCOMP, ctypes.c_ulong(_FILTER), ctypes.byref(program), zero, zero)


def _steps(architecture: int, numbers: tuple[int, ...]) -> bytes:
    """The filter: struct sock_filter (code, steps to skip if true, if false, operand) each."""
    checks = [(_IF_AT_LEAST, _OTHER_NUMBERING), *((_IF_EQUAL, number) for number in numbers)]
    to_fail = len(checks)  # steps between a check, counted from the end, and the last step
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_IF_EQUAL, 0, to_fail + 2, architecture),
        (_LOAD, 0, 0, _NUMBER_AT),
        *((code, to_fail - n, 0, operand) for n, (code, operand) in enumerate(checks)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _FAIL),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)
