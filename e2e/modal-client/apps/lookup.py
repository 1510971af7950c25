"""Looks up what is not there."""

import modal

try:
    modal.Function.from_name("no-such-app", "no_such_function").remote()
except BaseException as error:
    print("ERROR", type(error).__name__, error)
