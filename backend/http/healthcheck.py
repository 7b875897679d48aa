"""Does a process answer at an address? For `manage.py up`, and by path for containers, where it starts at once:

python -I -S backend/http/healthcheck.py http://127.0.0.1:8000/health/ready
"""

import sys
import urllib.request
from contextlib import suppress


def answers(url: str, timeout: float = 2.0) -> bool:
    """Whether `url` is answered with 200."""
    # A proxy in the environment has no business between us and our own ports.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError), opener.open(url, timeout=timeout) as response:
        return bool(response.status == 200)
    return False


if __name__ == "__main__":
    sys.exit(0 if answers(sys.argv[1]) else 1)
