"""Checks that report one line each to the test that runs the script: "ok NAME", or "FAIL NAME: what went wrong"."""
import os
import sys
import traceback

HOST = os.environ["VIGIL_HOST"]
PORT = int(os.environ["VIGIL_PORT"])
USER = "analyst"
DATABASE = "vigil"

checks = []


def check(fn):
    """Registers a function as a check that is named after it."""
    checks.append(fn)
    return fn


def equal(got, want):
    """Fails unless two values are equal."""
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")


def fails(code, fn, state=lambda e: getattr(e, "sqlstate", None) or getattr(e, "pgcode", None)):
    """Calls fn, which must fail with an SQLSTATE, and returns the error."""
    try:
        fn()
    except Exception as e:  # the drivers' error classes differ
        if state(e) != code:
            raise AssertionError(f"SQLSTATE {state(e)!r}, want {code}: {e}")
        return e
    raise AssertionError(f"no error, want SQLSTATE {code}")


def line(text):
    """Makes one line of a text."""
    return " ".join(str(text).split())


def report(name, fn, *args):
    """Runs one check and prints its line; it is true when the check passed."""
    try:
        fn(*args)
    except Exception as e:
        where = traceback.extract_tb(e.__traceback__)
        mine = [f for f in where if f.filename.startswith(os.path.dirname(os.path.abspath(__file__))) and not f.filename.endswith("check.py")]
        print(f"FAIL {name}: line {mine[-1].lineno if mine else '?'}: {type(e).__name__}: {line(e)}", flush=True)
        return False
    print(f"ok {name}", flush=True)
    return True


def main():
    """Runs every check; the exit code tells whether all passed."""
    passed = [report(fn.__name__, fn) for fn in checks]
    sys.exit(0 if all(passed) else 1)
