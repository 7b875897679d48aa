"""What strangers wrote, made fit to stand in a line of the log: shortened, without secrets, and never two lines.

Shortened first: a line is for reading, and 64 KB of address need no search for secrets. Limit: of a secret that the cut
goes through, a rest shorter than what `redact` knows stays.
"""

from orders.security.redaction import clipped, redact

MAX_MESSAGE = 4_096  # characters
MAX_FIELD = 2_048
MAX_TRACE = 32_768  # of which the last are kept, since they say what was wrong
_INDENT = "    "


def cleaned(value: object, most: int = MAX_FIELD) -> object:
    """A field of a line: numbers as they are, texts shortened and without secrets, in lists and objects too."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {clipped(str(key), 64): cleaned(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [cleaned(each) for each in value]
    return redact(clipped(str(value), most))


def escaped(text: str) -> str:
    """Line ends and other control characters spelled out, those that turn the direction of writing too: what stands in
    one line stays one, and reads as it is."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def field(name: str, value: object) -> str:
    """`name=value`; quoted where a blank in it could be read as another field's beginning."""
    # Together: a secret is also known by the name of the field that it stands in.
    text = redact(f"{name}={clipped(str(value), MAX_FIELD)}").removeprefix(f"{name}=")
    if not text or text.isalnum() or not any(c.isspace() or c in '"=' for c in text):
        return f"{name}={escaped(text)}"
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped(quoted)}"'


def trace(text: str) -> str:
    """A traceback, whose lines are indented: no line of it, or of an error's words, looks like one of the log."""
    lines = redact(text[-MAX_TRACE:]).split("\n")
    return "\n".join(f"{_INDENT}{escaped(line)}" for line in lines)
