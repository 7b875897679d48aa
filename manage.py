#!/usr/bin/env python
"""Django's command line for Ordercast."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    # Another project's, exported in this terminal, cannot be meant here.
    if not os.environ.get("DJANGO_SETTINGS_MODULE", "").startswith(("backend.", "tests.")):
        os.environ["DJANGO_SETTINGS_MODULE"] = "backend.settings"
    if sys.argv[1:2] == ["up"]:
        # Settings come from the environment, and `up` decides a part of it.
        from backend.up import command_line

        command_line.prepare(sys.argv[2:])
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as wrong:
        sys.exit(str(wrong))
