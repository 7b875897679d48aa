"""`python -m tests.bench NAME…`: measures on this machine, over loopback only."""

import signal
import sys
from functools import partial

from tests.bench import machine, sockets

BESIDE_PEERS = ("fanout", "spread", "memory", "resume", "journey")
OF_THE_DATABASE = ("reconcile", "journal", "admin")
IN_A_BROWSER = "page"  # starts a whole stack of its own


def main(names: list[str]) -> int:
    """Run the benches named, in their order. Returns the exit code."""
    if names == [IN_A_BROWSER]:
        from tests.browser import measure

        return measure.main()
    known = (*BESIDE_PEERS, *OF_THE_DATABASE)
    if not names or set(names) - set(known):
        print(f"usage: make bench BENCH={'|'.join((*known, IN_A_BROWSER))}", file=sys.stderr)
        return 2
    # SIGTERM as Ctrl-C: everything that was started is stopped on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sockets.raise_limit()
    if set(names) <= set(BESIDE_PEERS):
        machine.load_on_its_core()
    try:
        with machine.servers_started():
            return _measure(names)
    except KeyboardInterrupt:
        print("interrupted; everything is stopped", file=sys.stderr)
        return 130


def _measure(names: list[str]) -> int:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    try:
        from tests.bench import admin, appending, reconcile, rounds

        of_the_database = {
            "reconcile": reconcile.run,
            "journal": appending.run,
            "admin": admin.run,
        }
        call_command("prepare", verbosity=0)
        for name in names:
            run = of_the_database.get(name) or partial(rounds.run, name)
            line = run(lambda words: print(words, flush=True))
            print(line, flush=True)
    except (sockets.LoadError, machine.NotReady) as failed:
        print(f"bench failed: {failed}", file=sys.stderr)
        return 1
    finally:
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined] # its threads would outlive us
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
