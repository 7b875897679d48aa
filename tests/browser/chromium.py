"""The system's Chromium, told to leave the network alone."""

import shutil

# Nothing of Chromium's own may leave this machine.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def chromium_path() -> str | None:
    """Where it is, if there is one."""
    return shutil.which("chromium") or shutil.which("google-chrome")
