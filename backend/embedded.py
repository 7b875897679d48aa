"""PostgreSQL and Valkey from wheels, for when no server is given: where they are, and how to start them."""

from pathlib import Path


def database_url(data: Path) -> str:
    """Where the embedded PostgreSQL of `data` is, or will be once it is started. Starts nothing."""
    return f"postgresql://postgres@/ordercast?host={data / 'postgres'}"


def valkey_url(data: Path) -> str:
    """Where the embedded Valkey of `data` is, or will be once it is started. Starts nothing."""
    return f"unix://{data / 'valkey' / 'valkey.sock'}"
