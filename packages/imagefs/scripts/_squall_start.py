"""Starts the client's container runtime with the collector off while it imports: collections find nothing then and cost a tenth of the start.

What was imported is frozen: it lives as long as the process, so later collections need not look at it.
"""

import gc

gc.disable()
import modal._container_entrypoint  # noqa: E402, F401

gc.freeze()
gc.enable()

import runpy  # noqa: E402
import sys  # noqa: E402

del sys.modules["modal._container_entrypoint"]  # it runs as __main__, as `python -m` would have it
runpy.run_module("modal._container_entrypoint", run_name="__main__", alter_sys=True)
