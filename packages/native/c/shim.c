// shim DIR: stays with one container from start to end, and outlives the agent. Owns the container's pipes, its log and its exit status.
//
// Reads DIR/shim.conf, lines `key value`:
//   id NAME · runtime PATH · runtime-root DIR · cgroup /PATH (parent of the container's leaf `main`) · log-bytes N
//   lower DIR (up to 16, the first on top) · scratch DIR · id-base N: the root to mount at DIR/root before the start
// Files it makes in DIR (formats are read by agents of later versions: never change them, only add):
//   events               fifo; it writes one byte `l` after log bytes and `x` once exit.json stands. End of file there = the shim is gone
//   pid                  the runtime's pid file
//   started.json         {"pid","startTicks","shimPid","shimStartTicks","startedAtMs"}
//   log.<20 digits>      log segments, named by the offset of their first byte. Frames: u64 wall ms · u8 stream · u32 length · bytes, little endian,
//                        length <= 65536, stream 1 stdout, 2 stderr, 0 a mark whose bytes are the u64 number of bytes dropped since the frame before.
//                        A frame never spans segments. The agent deletes segments that are acknowledged; while they hold log-bytes, output is dropped.
//   exit.json            {"code","signal","oomKills","cpuNs","peakMemoryBytes","exitedAtMs"} or {"failed":"why it never ran"}; written to a temporary
//                        name, fsynced, renamed
// Descriptor 3 is told `started PID TICKS` or `failed WHY`, then closed. Signals but SIGKILL are ignored: a container is ended through its pid 1.
#define _GNU_SOURCE
#include "mount.h"
#include "native.h"
#include "shim-log.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FRAME_BYTES = 65536, STATUS_COUNT = 16, READY_FD = 3 };

static struct {
  char id[128], runtime[512], runtime_root[512], cgroup[512];
  uint64_t log_bytes;
  char scratch[512];
  const char *lowers[MAX_LOWERS];
  int lower_count;
  unsigned id_base;
} config = {.log_bytes = 64 << 20};

static int events_fd;

static void notify(char event) {
  if (write(events_fd, &event, 1) < 0 && errno != EAGAIN) die("write event");
}

static void read_config(void) {
  char text[16384];
  if (read_text("shim.conf", text, sizeof text) < 0) die("read shim.conf");
  for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
    char *value = strchr(line, ' ');
    if (!value) continue;
    *value++ = 0;
    if (!strcmp(line, "id")) snprintf(config.id, sizeof config.id, "%s", value);
    else if (!strcmp(line, "runtime")) snprintf(config.runtime, sizeof config.runtime, "%s", value);
    else if (!strcmp(line, "runtime-root")) snprintf(config.runtime_root, sizeof config.runtime_root, "%s", value);
    else if (!strcmp(line, "cgroup")) snprintf(config.cgroup, sizeof config.cgroup, "%s", value);
    else if (!strcmp(line, "scratch")) snprintf(config.scratch, sizeof config.scratch, "%s", value);
    else if (!strcmp(line, "lower") && config.lower_count < MAX_LOWERS) config.lowers[config.lower_count++] = strdup(value);
    else if (!strcmp(line, "id-base")) config.id_base = (unsigned)strtoul(value, NULL, 10);
    else if (!strcmp(line, "log-bytes")) config.log_bytes = strtoull(value, NULL, 10);
  }
  if (!*config.id || !*config.runtime || !*config.runtime_root || strncmp(config.cgroup, "/sq-", 4)) die_plain("shim.conf is incomplete");
}

// ---- small files, atomically

static void write_file_atomically(const char *name, const char *text, bool durable) {
  char *temporary = format_text("%s.tmp", name);
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) die("create %s", temporary);
  write_all(fd, text, strlen(text));
  if (durable && fsync(fd)) die("sync %s", temporary);
  close(fd);
  if (rename(temporary, name)) die("rename %s", name);
  free(temporary);
}

static char *json_string(const char *text) {
  size_t length = strlen(text);
  char *out = malloc(length * 6 + 3), *at = out;
  *at++ = '"';
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c == '"' || c == '\\') *at++ = '\\', *at++ = (char)c;
    else if (c < 0x20 || c == 0x7f) at += sprintf(at, "\\u%04x", c);
    else *at++ = (char)c;
  }
  *at++ = '"';
  *at = 0;
  return out;
}

// ---- pipes

// Reads one piece. Returns whether there may be more now; closes the pipe at its end.
static bool drain_once(int *pipe_fd, uint8_t stream) {
  static char buffer[FRAME_BYTES];
  if (*pipe_fd < 0) return false;
  ssize_t got = read(*pipe_fd, buffer, sizeof buffer);
  if (got > 0) {
    if (log_append(stream, buffer, (uint32_t)got)) notify('l');
    return true;
  }
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  close(*pipe_fd);
  *pipe_fd = -1;
  return false;
}

// ---- children

static struct {
  pid_t pid;
  int status;
} ended[STATUS_COUNT];
static int ended_count;

static void reap(void) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (ended_count == STATUS_COUNT) { // only the first few can matter: the runtime, then the container
      memmove(ended, ended + 1, sizeof ended - sizeof *ended);
      ended_count--;
    }
    ended[ended_count].pid = pid;
    ended[ended_count++].status = status;
  }
}

static bool take_status(pid_t pid, int *status) {
  for (int i = 0; i < ended_count; i++)
    if (ended[i].pid == pid) {
      *status = ended[i].status;
      return true;
    }
  return false;
}

static int make_pipe(int *write_end) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC)) die("pipe");
  if (fcntl(fds[0], F_SETFL, O_NONBLOCK)) die("pipe flags");
  *write_end = fds[1];
  return fds[0];
}

static pid_t start_runtime(char *const argv[], int in, int out, int err) {
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid > 0) return pid;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGTERM, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  signal(SIGHUP, SIG_DFL);
  signal(SIGPIPE, SIG_DFL);
  dup2(in, 0);
  dup2(out, 1);
  dup2(err, 2);
  close_range(3, ~0U, 0);
  execv(argv[0], argv);
  dprintf(2, "cannot run %s: %s\n", argv[0], strerror(errno));
  _exit(127);
}

static int runtime_delete(void) {
  int unused[2];
  if (pipe2(unused, O_CLOEXEC)) die("pipe");
  char *argv[] = {config.runtime, "--root", config.runtime_root, "delete", "--force", config.id, NULL};
  pid_t pid = start_runtime(argv, unused[0], unused[1], unused[1]);
  close(unused[0]);
  close(unused[1]);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// ---- counters

static uint64_t read_counter(const char *controller, const char *cgroup, const char *file, const char *key) {
  char text[4096];
  char *path = cgroup_kind() == CGROUP_V2 ? format_text("/sys/fs/cgroup%s/%s", cgroup, file) : format_text("/sys/fs/cgroup/%s%s/%s", controller, cgroup, file);
  ssize_t length = read_text(path, text, sizeof text);
  free(path);
  if (length <= 0) return 0;
  if (!key) return strtoull(text, NULL, 10);
  size_t key_length = strlen(key);
  for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
    if (!strncmp(line, key, key_length) && line[key_length] == ' ') return strtoull(line + key_length + 1, NULL, 10);
  return 0;
}

// v1 counts a kill only in the victim's own cgroup, which the runtime deletes: it is read from the leaf before that.
static void write_exit(int status) {
  bool v2 = cgroup_kind() == CGROUP_V2;
  char *leaf = format_text("%s/main", config.cgroup);
  uint64_t oom_kills = v2 ? read_counter("", leaf, "memory.events", "oom_kill") : read_counter("memory", leaf, "memory.oom_control", "oom_kill");
  uint64_t cpu_ns = v2 ? read_counter("", config.cgroup, "cpu.stat", "usage_usec") * 1000 : read_counter("cpuacct", config.cgroup, "cpuacct.usage", NULL);
  uint64_t peak = v2 ? read_counter("", config.cgroup, "memory.peak", NULL) : read_counter("memory", leaf, "memory.max_usage_in_bytes", NULL);
  int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), by_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  char *text = format_text("{\"code\":%d,\"signal\":%d,\"oomKills\":%" PRIu64 ",\"cpuNs\":%" PRIu64 ",\"peakMemoryBytes\":%" PRIu64 ",\"exitedAtMs\":%" PRIu64 "}\n", code,
                           by_signal, oom_kills, cpu_ns, peak, wall_ms());
  write_file_atomically("exit.json", text, true);
}

__attribute__((noreturn)) static void fail_start(const char *why) {
  char message[2048];
  snprintf(message, sizeof message, "%s", why);
  for (char *at = message + strlen(message); at > message && (at[-1] == '\n' || at[-1] == ' ');) *--at = 0;
  write_file_atomically("exit.json", format_text("{\"failed\":%s}\n", json_string(message)), true);
  dprintf(READY_FD, "failed %s", message);
  close(READY_FD);
  runtime_delete();
  exit(1);
}

// ---- life

static pid_t read_pid_file(void) {
  char text[32];
  return read_text("pid", text, sizeof text) > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

static void tell_started(pid_t pid) {
  uint64_t ticks = process_start_ticks(pid);
  char *text = format_text("{\"pid\":%d,\"startTicks\":%" PRIu64 ",\"shimPid\":%d,\"shimStartTicks\":%" PRIu64 ",\"startedAtMs\":%" PRIu64 "}\n", pid, ticks, getpid(),
                           process_start_ticks(getpid()), wall_ms());
  write_file_atomically("started.json", text, false);
  dprintf(READY_FD, "started %d %" PRIu64, pid, ticks);
  close(READY_FD);
}

// Why the runtime gave up: its own log, else what stands on the container's stderr.
static const char *runtime_words(int err) {
  static char text[2000];
  if (read_text("runtime.log", text, sizeof text) > 0) return text;
  ssize_t got = read(err, text, sizeof text - 1);
  text[got > 0 ? got : 0] = 0;
  return *text ? text : "the runtime failed without a word";
}

// In a child, whose last words are the reason when it fails: here and not in a program of its own, since each program costs the start a millisecond.
static void mount_container_root(void) {
  int words[2], status;
  char reason[1024] = "";
  if (pipe2(words, O_CLOEXEC)) die("pipe");
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    dup2(words[1], 2);
    mount_root(config.lowers, config.lower_count, config.scratch, "root", config.id_base);
    _exit(0);
  }
  close(words[1]);
  for (size_t length = 0; length < sizeof reason - 1;) {
    ssize_t got = read(words[0], reason + length, sizeof reason - 1 - length);
    if (got <= 0) break;
    length += (size_t)got;
  }
  close(words[0]);
  if (waitpid(child, &status, 0) != child || status != 0) fail_start(format_text("mount root: %s", reason));
}

static void ignore_signals(void) {
  signal(SIGTERM, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
}

static int watch_children(void) {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  int fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) die("signalfd");
  return fd;
}

static void wait_for_events(int signals, int *out, int *err) {
  struct pollfd polls[3] = {{.fd = signals, .events = POLLIN}, {.fd = *out, .events = POLLIN}, {.fd = *err, .events = POLLIN}};
  if (poll(polls, 3, -1) < 0 && errno != EINTR) die("poll");
  if (polls[1].revents) drain_once(out, 1);
  if (polls[2].revents) drain_once(err, 2);
  if (polls[0].revents) {
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) > 0) {
    }
    reap();
  }
}

int cmd_shim(int argc, char **argv) {
  if (argc != 2) die_plain("shim DIR");
  if (chdir(argv[1])) die("enter %s", argv[1]);
  umask(077);
  read_config();
  log_open(config.log_bytes);
  ignore_signals();
  fcntl(READY_FD, F_SETFD, FD_CLOEXEC);
  if (prctl(PR_SET_CHILD_SUBREAPER, 1)) die("become subreaper");
  int signals = watch_children();
  if (mkfifo("events", 0600) && errno != EEXIST) die("make events");
  events_fd = open("events", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (events_fd < 0) die("open events");

  mount_container_root();
  int in_write, out_write, err_write;
  int in = make_pipe(&in_write), out = make_pipe(&out_write), err = make_pipe(&err_write);
  close(in_write); // stdin is at its end from the start
  char *run[] = {config.runtime, "--root", config.runtime_root, "--log", "runtime.log", "run", "--detach", "--pid-file", "pid", "--bundle", ".", config.id, NULL};
  pid_t runtime = start_runtime(run, in, out_write, err_write), container = 0;
  close(in);
  close(out_write);
  close(err_write);

  int status;
  while (!container) {
    // output of the runtime itself stays in the pipe until it is known to have started the container: it is the reason when it has not
    int hold = -1;
    wait_for_events(signals, &hold, &hold);
    if (!take_status(runtime, &status)) continue;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail_start(runtime_words(err));
    container = read_pid_file();
    if (!container) fail_start("the runtime left no pid");
  }
  tell_started(container);
  while (!take_status(container, &status)) wait_for_events(signals, &out, &err);
  while (drain_once(&out, 1) || drain_once(&err, 2)) { // its pid namespace is gone, so nothing writes any more
  }
  log_close();
  write_exit(status);
  notify('x');
  runtime_delete();
  return 0;
}
