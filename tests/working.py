"""A real Celery worker for tests that need one."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from backend.up import command_line
from backend.up.readiness import worker_answers
from tests.story.stack import ROOT
from tests.waiting import eventually


@contextmanager
def a_worker(environment: Mapping[str, str], *, concurrency: int) -> Iterator[None]:
    """As `manage.py up` starts it, but for how much it does at a time. It answers, and is killed at the end."""
    words = [*command_line.WORKER, "--concurrency", str(concurrency), "--loglevel", "WARNING"]
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT, env=environment)
    try:
        eventually(worker_answers, 60, saying="the worker answered")
        yield
    finally:
        process.kill()
        process.wait()
