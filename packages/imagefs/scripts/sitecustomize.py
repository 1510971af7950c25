"""Runs at the start of every Python in a container: puts the client's needs last on the path, behind whatever the user's image brings."""

import sys

sys.path.append("/__modal/deps")


def _run_next():
    """We stand in front of the image's own sitecustomize (coverage, tracers, Debian's): run it as if we were not here."""
    from importlib.util import module_from_spec

    path = [entry for entry in sys.path if entry != "/pkg"]
    for finder in sys.meta_path:
        spec = finder.find_spec("sitecustomize", path)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module(module_from_spec(spec))
            return


_run_next()
del _run_next
