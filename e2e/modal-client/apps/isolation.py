"""What user code sees and can reach from inside its container; every entry prints one JSON line for the test to judge."""

import json
import os
import sys

import modal

app = modal.App("isolation")


def errno_of(call):
    """None when `call` works, else the name of its error."""
    import errno

    try:
        call()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return None


def system_call(number, *arguments):
    """None when the system call works, else the name of its error."""
    import ctypes
    import errno

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) >= 0:
        return None
    return errno.errorcode[ctypes.get_errno()]


@app.function()
def look():
    status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
    return {
        "seccomp": status["Seccomp"],
        "no_new_privs": status["NoNewPrivs"],
        "uid_map": open("/proc/self/uid_map").read().split(),
        "capabilities": status["CapEff"],
        "bounding": status["CapBnd"],
        "pids": sorted(int(p) for p in os.listdir("/proc") if p.isdigit()),
        "interfaces": sorted(os.listdir("/sys/class/net")),
        "first_process": open("/proc/1/cmdline").read().split("\0")[0],
        "mounts": [line.split()[:4] for line in open("/proc/mounts")],
        "environment": sorted(os.environ),
        "devices": sorted(os.listdir("/dev")),
    }


@app.function()
def try_system_calls():
    clone_newuser, clone_newnet = 0x10000000, 0x40000000
    return {
        "unshare_user": system_call(272, clone_newuser),
        "unshare_net": system_call(272, clone_newnet),
        "setns": system_call(308, os.open("/proc/self/ns/net", os.O_RDONLY), 0),
        "mount": system_call(165, b"none", b"/mnt", b"tmpfs", 0, 0),
        "umount": system_call(166, b"/proc", 2),
        "open_tree": system_call(428, -100, b"/", 1),
        "fsopen": system_call(430, b"tmpfs", 0),
        "pivot_root": system_call(155, b"/", b"/mnt"),
        "keyctl": system_call(250, 0, -3, 0),
        "add_key": system_call(248, b"user", b"x", b"y", 1, -3),
        "bpf": system_call(321, 0, 0, 0),
        "perf_event_open": system_call(298, 0, 0, 0, 0, 0),
        "io_uring_setup": system_call(425, 8, 0),
        "clone3": system_call(435, 0, 0),
        "clone_newuser": system_call(56, clone_newuser | 17, 0, 0, 0, 0),
        "init_module": system_call(175, 0, 0, b""),
        "chmod_dev_null": errno_of(lambda: os.chmod("/dev/null", 0o600)),
        "make_device": errno_of(lambda: os.mknod("/device", 0o60666, os.makedev(8, 0))),
        "write_client": errno_of(lambda: open("/pkg/planted", "w")),
        "write_sysctl": errno_of(lambda: open("/proc/sys/kernel/core_pattern", "w")),
        "write_sys": errno_of(lambda: open("/sys/class/net/eth0/mtu", "w")),
    }


@app.function()
def try_connects(targets):
    import socket
    from concurrent.futures import ThreadPoolExecutor

    def connect(target):
        try:
            socket.create_connection(tuple(target), 2).close()
            return "open"
        except OSError as error:
            return type(error).__name__

    with ThreadPoolExecutor(50) as pool:
        results = list(pool.map(connect, targets))
    return {f"{host}:{port}": result for (host, port), result in zip(targets, results)}


@app.function()
def listen_for(seconds: float):
    """Tells its address, then accepts connections on port 8000 for a while."""
    import fcntl
    import socket
    import struct
    import time

    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    packed = fcntl.ioctl(probe.fileno(), 0x8915, struct.pack("256s", b"eth0"))  # SIOCGIFADDR
    server = socket.create_server(("0.0.0.0", 8000))
    server.settimeout(0.2)
    socket.create_connection(("127.0.0.1", 8000), 1).close()  # it does listen
    yield socket.inet_ntoa(packed[20:24])
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            server.accept()[0].close()
        except OSError:
            pass
    yield "done"


@app.function(memory=128)
def eat_memory():
    return len(bytearray(400 << 20))


@app.function(memory=128)
def child_eats_memory():
    import subprocess

    return subprocess.run([sys.executable, "-c", "bytearray(400 << 20)"]).returncode


@app.function()
def fork_bomb():
    import time

    children = 0
    try:
        while children < 100_000:
            if os.fork() == 0:
                time.sleep(5)
                os._exit(0)
            children += 1
    except OSError as error:
        return children, type(error).__name__
    return children, "no limit"


@app.function()
def fill_disk():
    import errno

    written = 0
    block = b"x" * (1 << 20)
    try:
        with open("/fill", "wb") as file:
            while written < 64 << 10:
                file.write(block)
                written += 1
    except OSError as error:
        os.unlink("/fill")
        return written, errno.errorcode[error.errno]
    return written, "no limit"


@app.function()
def bytecode_written():
    """Every .pyc that this start wrote into the writable layer: files younger than the process."""
    started = os.stat("/proc/self").st_mtime
    found = []
    for top in ("/usr", "/pkg", "/__modal", "/root", "/opt"):
        for folder, _, files in os.walk(top):
            found += [os.path.join(folder, f) for f in files if f.endswith(".pyc") and os.stat(os.path.join(folder, f)).st_ctime >= started - 60]
    return found


@app.local_entrypoint()
def inside():
    print("JSON", json.dumps(look.remote()))


@app.local_entrypoint()
def system_calls():
    print("JSON", json.dumps(try_system_calls.remote()))


@app.local_entrypoint()
def connects(targets: str):
    print("JSON", json.dumps(try_connects.remote(json.loads(targets))))


@app.local_entrypoint()
def neighbour():
    listening = listen_for.remote_gen(15)
    address = next(listening)
    print("JSON", json.dumps({"address": address, "result": try_connects.remote([[address, 8000]])}))


@app.local_entrypoint()
def memory():
    try:
        eat_memory.remote()
    except BaseException as error:
        print("JSON", json.dumps({"type": type(error).__name__, "text": str(error)}))


@app.local_entrypoint()
def child_memory():
    print("JSON", json.dumps(child_eats_memory.remote()))


@app.local_entrypoint()
def forks():
    print("JSON", json.dumps(fork_bomb.remote()))


@app.local_entrypoint()
def disk():
    print("JSON", json.dumps(fill_disk.remote()))


@app.local_entrypoint()
def bytecode():
    print("JSON", json.dumps(bytecode_written.remote()))
