"""Cold starts: each call prints when it was asked for, when its process and its code began, and when its result was back (seconds since the epoch)."""

import os
import time

import modal

app = modal.App("bench-start")


def process_started_at():
    """When this process was made, to a clock tick (10 ms)."""
    ticks = int(open("/proc/self/stat").read().rsplit(") ", 1)[1].split()[19])
    since_boot = ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot)


@app.function()
def cold():
    return process_started_at(), time.time(), sum(os.times()[:2])


@app.function(max_containers=20)
def cold_and_stay(_: int):
    times = process_started_at(), time.time(), sum(os.times()[:2])
    time.sleep(4)  # so that every input needs a container of its own
    return times


@app.local_entrypoint()
def one():
    asked = time.time()
    process, code, cpu = cold.remote()
    print("ONE", asked, process, code, time.time(), cpu, flush=True)


@app.local_entrypoint()
def twenty():
    asked = time.time()
    for process, code, cpu in cold_and_stay.map(range(20), order_outputs=False):
        print("MANY", asked, process, code, time.time(), cpu, flush=True)
