"""What the scripts share: where Tollgate is, whom to come as, and how to tell what was seen."""

import json
import os

URL = os.environ["TOLLGATE_URL"]
TOKENS = {"key": os.environ["TOLLGATE_KEY"], "jwt": os.environ["TOLLGATE_JWT"]}
WRONG = "tg_" + "A" * 32
CALLS = 100


def tell(check, seen):
    """One JSON line. The test in Rust knows what should have been seen."""
    print(json.dumps({"check": check, "seen": seen}), flush=True)


def told(error):
    """An exception, so that it can be told."""
    return [type(error).__name__, str(error)]


def words(chunks):
    """The chunks of a text stream: text, and whether it is the last."""
    return [[chunk.content, chunk.end_of_stream] for chunk in chunks]


def answers(chunks):
    """The chunks of an agent's stream: class, text, and whether it is the last."""
    return [[type(chunk).__name__, chunk.content, chunk.end_of_dialog] for chunk in chunks]
