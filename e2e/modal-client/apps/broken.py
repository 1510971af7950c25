"""Functions that cannot start: each fails in its own way."""

import os
import sys

import modal

app = modal.App("broken")

def tell(*values):
    """Prints the line that the test reads, in one piece: the logs of a run share the terminal with it."""
    sys.stdout.write("\n" + " ".join(map(str, values)) + "\n")
    sys.stdout.flush()


if not modal.is_local() and os.environ.get("BREAK") == "import":
    raise ImportError("this module cannot be imported here")
if not modal.is_local() and os.environ.get("BREAK") == "exit":
    os._exit(7)


@app.function(secrets=[modal.Secret.from_dict({"BREAK": "import"})])
def bad_import():
    return 1


@app.function(secrets=[modal.Secret.from_dict({"BREAK": "exit"})])
def exits_at_start():
    return 1


@app.function()
def exits_in_the_call():
    os._exit(7)


@app.cls()
class BadEnter:
    @modal.enter()
    def start(self):
        raise RuntimeError("the enter hook fails")

    @modal.method()
    def run(self):
        return 1


def show(call):
    try:
        tell("RESULT", call())
    except BaseException as error:
        tell("ERROR", type(error).__name__, error)


@app.local_entrypoint()
def imports():
    show(bad_import.remote)


@app.local_entrypoint()
def exit_at_start():
    show(exits_at_start.remote)


@app.local_entrypoint()
def exit_in_call():
    show(exits_in_the_call.remote)


@app.local_entrypoint()
def enter():
    show(BadEnter().run.remote)
