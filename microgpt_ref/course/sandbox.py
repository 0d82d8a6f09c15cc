"""Start a command in a small world of its own: a student's kernel. A script, of the standard library only.

    python -I sandbox.py PLAN.json COMMAND…

On Linux with user namespaces (`"isolated": true` in the plan) the command sees a fresh root of read-only
folders that the plan names, an empty /tmp, no network, and no process but its own; it has no right to change
any of that. Elsewhere only the limits of `setrlimit` hold. See user_namespaces(7) and mount_namespaces(7).
"""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import socket
import struct
import sys
from pathlib import Path

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
KEEP_FLAGS = 1 | 2 | 4 | 8 | 1024 | 2048  # a remount that forgets nosuid, nodev, noexec or noatime is refused
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
SIGKILL, SIOCSIFFLAGS, IFF_UP = 9, 0x8914, 1

SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store"),
    *("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/etc/nsswitch.conf", "/etc/fonts"),
    *("/sys/devices/system/cpu", "/sys/devices/system/node"),
)
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def limit(plan: dict) -> None:
    """Memory, size of files, number of processes; and an end with the parent."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
    wanted = {
        resource.RLIMIT_AS: plan["address_space"],
        resource.RLIMIT_DATA: plan["memory"],
        resource.RLIMIT_FSIZE: plan["file_size"],
        resource.RLIMIT_NPROC: plan["processes"],
        resource.RLIMIT_CORE: 0,
    }
    for what, most in wanted.items():
        hard = resource.getrlimit(what)[1]
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS refuses some
            resource.setrlimit(what, (value, value))


def mount(source: str, target: Path, kind: str | None, flags: int, data: str | None = None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind)]
    if libc.mount(*words, ctypes.c_ulong(flags), None if data is None else data.encode()):
        raise OSError(ctypes.get_errno(), f"mount {target}: {os.strerror(ctypes.get_errno())}")


def bind(path: str, root: Path, *, writable: bool = False) -> None:
    """Show `path` of the outer world at the same place below `root`; a link stays a link."""
    source, target = Path(path), root / path.lstrip("/")
    if not source.exists() or target.exists() or target.is_symlink():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink() and source.parent == Path("/"):  # /lib is usr/lib
        target.symlink_to(source.readlink())
        return
    if source.is_dir():
        target.mkdir()
    else:
        target.touch()
    mount(path, target, None, MS_BIND | MS_REC)
    if not writable:
        now = os.statvfs(target).f_flag & KEEP_FLAGS
        mount(path, target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | now)


def build(plan: dict) -> None:
    """A new root in memory, and this process in it."""
    root = Path(plan["root"])
    mount("none", Path("/"), None, MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, f"size={plan['file_size']},mode=755")
    for path in sorted(plan["read"], key=len):
        bind(path, root)
    for path in (*SYSTEM, *plan["write"]):
        bind(path, root, writable=path in plan["write"])
    for path in DEVICES:
        bind(path, root, writable=True)
    for name in ("tmp", "proc", "dev/shm", plan["home"].lstrip("/"), plan["folder"].lstrip("/")):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text(f"student:x:0:0::{plan['home']}:/bin/sh\n")
    try:
        mount("proc", root / "proc", "proc", MS_NOSUID | MS_NODEV)
    except OSError:  # some containers allow no fresh one; the outer one tells other namespaces little
        mount("/proc", root / "proc", None, MS_BIND | MS_REC)
    os.chroot(root)


def loopback() -> None:
    """The network namespace is empty but for itself: 127.0.0.1 works, for torch.distributed and the like."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end, contextlib.suppress(OSError):
        fcntl.ioctl(end, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))


def give_up_rights() -> None:
    """Root of its own namespace might undo the mounts; without capabilities it cannot, after exec neither."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def main() -> None:
    inside = sys.argv[1] == "--inside"
    plan_file, *command = sys.argv[2 if inside else 1 :]
    plan = json.loads(Path(plan_file).read_text())
    if plan["isolated"] and not inside:
        limit(plan)
        spaces = ["--user", "--map-root-user", "--mount", "--pid", "--net", "--ipc", "--uts"]
        words = [plan["unshare"], *spaces, "--fork", "--kill-child", "--"]
        os.execv(words[0], [*words, sys.executable, "-I", __file__, "--inside", plan_file, *command])
    if inside:
        loopback()
        build(plan)
        give_up_rights()
        os.environ.pop("JPY_PARENT_PID", None)  # a process number of another namespace
    else:
        limit(plan)
    os.environ.update(HOME=plan["home"], TMPDIR=plan["folder"], PWD=plan["folder"])
    os.chdir(plan["folder"])
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
