"""Every way to call a function: one local entry point per promise, each prints one line that the test compares."""

import hashlib
import os
import sys
import time

import modal

app = modal.App("calls")

def tell(*values):
    """Prints the line that the test reads, in one piece: the logs of a run share the terminal with it."""
    sys.stdout.write("\n" + " ".join(map(str, values)) + "\n")
    sys.stdout.flush()



class OwnError(Exception):
    """Raised remotely, caught locally by its own type."""

    def __init__(self, code):
        super().__init__(f"code {code}")
        self.code = code

    def __reduce__(self):
        return (OwnError, (self.code,))


attempts = 0


@app.function()
def square(x: int) -> int:
    return x * x


@app.function()
def count_up(n: int):
    for i in range(n):
        yield i


@app.function()
def fail(code: int):
    raise OwnError(code)


@app.function(retries=modal.Retries(max_retries=3, initial_delay=0.1, backoff_coefficient=1.0))
def third_time_lucky():
    global attempts
    attempts += 1
    if attempts < 3:
        raise ValueError(f"attempt {attempts} fails")
    return attempts


@app.function(retries=2)
def never_lucky():
    global attempts
    attempts += 1
    raise ValueError(f"failed {attempts} times")


@app.function(secrets=[modal.Secret.from_dict({"GREETING": "hello from a secret", "EMPTY": ""})])
def read_secret():
    return os.environ["GREETING"], os.environ["EMPTY"]


@app.function(memory=1024)
def reverse(data: bytes) -> bytes:
    return data[::-1]


@app.function()
def add_one_to_square(x: int) -> int:
    return square.remote(x) + 1


@app.function()
def fib(n: int) -> int:
    if n < 2:
        return n
    return sum(fib.map([n - 1, n - 2]))


@app.function()
def speak():
    print("first line", flush=True)
    print("to standard error", file=sys.stderr, flush=True)
    time.sleep(2)
    print("last line: päth ✓", flush=True)


@app.function(gpu="A100")
def on_a_gpu():
    return sorted(k for k in os.environ if "GPU" in k or "NVIDIA" in k or "CUDA" in k)


@app.function(gpu="H100:8")
def on_eight_gpus():
    return "ran"


@app.function(timeout=2)
def too_slow():
    time.sleep(60)


@app.function()
def nap(seconds: float):
    time.sleep(seconds)
    return seconds


@app.cls()
class Counter:
    @modal.enter()
    def start(self):
        self.value = 40

    @modal.method()
    def add(self, n: int) -> int:
        return self.value + n


@app.local_entrypoint()
def remote():
    tell("RESULT", square.remote(7), square.local(3))


@app.local_entrypoint()
def map_thousand():
    results = list(square.map(range(1000)))
    tell("RESULT", len(results), results == [i * i for i in range(1000)])


@app.local_entrypoint()
def map_with_exceptions():
    results = list(fail.map([1, 2], return_exceptions=True, wrap_returned_exceptions=False))
    tell("RESULT", [(type(r).__name__, r.code) for r in results])


@app.local_entrypoint()
def generator():
    tell("RESULT", list(count_up.remote_gen(50)) == list(range(50)))


@app.local_entrypoint()
def spawn_and_get():
    call = square.spawn(12)
    again = modal.FunctionCall.from_id(call.object_id)
    tell("RESULT", call.object_id[:3], call.get(timeout=60), again.get(timeout=60))


@app.local_entrypoint()
def get_times_out():
    call = nap.spawn(5)
    try:
        call.get(timeout=0.5)
    except TimeoutError as error:
        tell("RESULT", type(error).__name__)


@app.local_entrypoint()
def own_exception():
    try:
        fail.remote(42)
    except OwnError as error:
        tell("RESULT", type(error).__name__, error.code)


@app.local_entrypoint()
def retries():
    tell("RESULT", third_time_lucky.remote())


@app.local_entrypoint()
def retries_run_out():
    try:
        never_lucky.remote()
    except ValueError as error:
        tell("RESULT", error)


@app.local_entrypoint()
def secret():
    tell("RESULT", read_secret.remote())


@app.local_entrypoint()
def thirty_megabytes():
    data = os.urandom(30 << 20)
    result = reverse.remote(data)
    tell("RESULT", len(result), hashlib.sha256(result[::-1]).digest() == hashlib.sha256(data).digest())


@app.local_entrypoint()
def nested():
    tell("RESULT", add_one_to_square.remote(6))


@app.local_entrypoint()
def recursive():
    tell("RESULT", fib.remote(6))


@app.local_entrypoint()
def logs():
    speak.remote()
    tell("RESULT done")


@app.local_entrypoint()
def gpu():
    tell("RESULT", on_a_gpu.remote())


@app.local_entrypoint()
def unplaceable():
    on_eight_gpus.remote()


@app.local_entrypoint()
def input_times_out():
    try:
        too_slow.remote()
    except modal.exception.FunctionTimeoutError as error:
        tell("RESULT", type(error).__name__, error)


@app.local_entrypoint()
def cancel():
    call = nap.spawn(60)
    time.sleep(3)
    call.cancel()
    try:
        call.get(timeout=20)
    except BaseException as error:
        tell("RESULT", type(error).__name__, error)


@app.local_entrypoint()
def cls():
    tell("RESULT", Counter().add.remote(2))


@app.local_entrypoint()
def nap_long():
    print("SUBMITTED", flush=True)
    nap.remote(600)


@app.function(max_containers=8)
def nap_and_echo(i: int) -> int:
    time.sleep(0.02)
    return i


@app.local_entrypoint()
def slow_map():
    seen = []
    for result in nap_and_echo.map(range(1000), order_outputs=False):
        seen.append(result)
        if len(seen) in (1, 100, 1000):
            print("SEEN", len(seen), flush=True)
    tell("RESULT", len(seen), sorted(seen) == list(range(1000)))
