"""What a long test tells of its steps, and how it ends when one fails."""

import sys
import time


class Steps:
    """Steps of one test, by its name."""

    def __init__(self, name):
        self.name = name

    def say(self, text):
        print(f"{self.name}: {text}", file=sys.stderr, flush=True)

    def check(self, is_so, text):
        if not is_so:
            sys.exit(f"{self.name}: {text}")

    def timed(self, what, do, *arguments):
        """Does it, and tells how long it took."""
        began = time.monotonic()
        result = do(*arguments)
        self.say(f"{time.monotonic() - began:7.1f} s  {what}")
        return result
