"""How long questions are gathered until they are put to the database together.

A moment, as a rule: nobody notices 5 ms. When pages come back by the thousand, what is gathered in a moment is a
handful, and a query for each handful would cost more than all that is asked; so the window grows while many ask.
"""

LEAST = 0.005  # seconds
MOST = 0.05  # seconds
MANY = 4  # questions in one window


class Window:
    def __init__(self) -> None:
        self.seconds = LEAST

    def closed(self, gathered: int) -> None:
        """So many questions came in the last one."""
        self.seconds = min(self.seconds * 2, MOST) if gathered >= MANY else LEAST
