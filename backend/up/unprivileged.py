"""Running PostgreSQL, which refuses root, when we are root: as `nobody`, without changing the machine.

No user is created and no folder of anyone else's is opened up. Where a parent folder is closed to `nobody` (/root is,
on Debian), Linux lets the process pass it with one capability; elsewhere the error says which folder is in the way.
"""

import os
import pwd
import shutil
import stat
import sys
from pathlib import Path

USER = "nobody"

# PostgreSQL only looks at its uid; the capability lets it through folders that are closed to others. Without the
# securebit the kernel disregards the capability in access(2), by which PostgreSQL looks for its own programs.
_PASS = [
    "--securebits",
    "+no_setuid_fixup",
    "--inh-caps",
    "+dac_override",
    "--ambient-caps",
    "+dac_override",
]


class Unreachable(Exception):
    """`nobody` cannot reach a folder; the message says which."""


def owner() -> int | None:
    """The uid that PostgreSQL is to run as, or None for our own."""
    return pwd.getpwnam(USER).pw_uid if os.geteuid() == 0 else None


def give(folder: Path) -> None:
    """Make `folder` PostgreSQL's own."""
    if os.geteuid() == 0:
        user = pwd.getpwnam(USER)
        if folder.stat().st_uid != user.pw_uid:
            os.chown(folder, user.pw_uid, user.pw_gid)


def prefix(*needed: Path) -> list[str]:
    """Words to put before a command so that it runs as PostgreSQL's user and can reach `needed`.

    Raises `Unreachable`.
    """
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam(USER)
    closed = [
        parent for path in needed for parent in path.resolve().parents if not _is_open(parent)
    ]
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if setpriv:
        words = [
            setpriv,
            "--reuid",
            str(user.pw_uid),
            "--regid",
            str(user.pw_gid),
            "--clear-groups",
        ]
        extra = _PASS if closed else []
        return [*words, *extra, "--"]
    if closed:
        raise Unreachable(f"as root, PostgreSQL runs as '{USER}', to whom {closed[0]} is closed")
    # macOS, and Linux without util-linux: env(1)-like, with nothing but what Python brings.
    drop = "import os,sys;u,g=map(int,sys.argv[1:3]);os.setgroups([]);os.setgid(g);os.setuid(u);"
    drop += "os.execv(sys.argv[3],sys.argv[3:])"
    return [sys.executable, "-I", "-S", "-c", drop, str(user.pw_uid), str(user.pw_gid)]


def _is_open(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IXOTH)
