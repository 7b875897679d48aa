"""`manage.py up`: everything in one terminal."""

import os
import signal
import sys
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser

from backend.up import command_line, running
from backend.up.child import EmbeddedError
from backend.up.process_group import SIGNALS


class Command(BaseCommand):
    help = "Starts web, worker, beat and sandbox, and PostgreSQL and Valkey where no URL is set."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        command_line.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        for number in SIGNALS:
            signal.signal(number, _interrupt)
        try:
            died = running.run(options)
        except EmbeddedError as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            died = ""
        except BrokenPipeError:
            # Python writes once more at its end what it could not write now.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            died = "its output was closed"
        if died:
            raise CommandError(f"stopped everything: {died}")


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt
