"""A map of tiny inputs over a few containers: prints how long it took, warm."""

import sys
import time

import modal

app = modal.App("bench-map")


@app.function(min_containers=2, max_containers=2)
def echo(i: int) -> int:
    return i


@app.local_entrypoint()
def main(inputs: int = 1000, rounds: int = 3):
    list(echo.map(range(50)))
    for _ in range(rounds):
        started = time.perf_counter()
        results = list(echo.map(range(inputs)))
        took = time.perf_counter() - started
        if results != list(range(inputs)):
            sys.exit("wrong results")
        print("RATE", inputs / took, flush=True)
