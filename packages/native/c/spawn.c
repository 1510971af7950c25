// spawn: starts programs for the agent, so that its big Node process never forks. Requests on stdin, answers on stdout, both framed, little endian:
//   request  u32 length of the rest · u32 id · u8 kind (1 run, 2 detach, 3 nudge) · u32 argv bytes · argv, each ended by 0 · stdin bytes (run only)
//   answer   u32 length of the rest · u32 id · i32 status · u32 pid · u32 stdout bytes · stdout · stderr
// run:    waits for the end; status is the exit code, 128 + n after a signal, -errno when it could not be started. Captures 256 KiB of each stream.
// detach: the program gets a session of its own and a pipe as descriptor 3; the answer is sent when it closes that pipe, and `stdout` is what it wrote there.
//         It lives on when this process ends. Status 0, or its exit code when it ended before closing the pipe.
// nudge:  no program and no answer; makes the next move of a process between cgroups quick (see nudge_cgroups).
// stdin's end is the end of this process. At most 64 programs at a time are expected; the caller keeps that bound.
#define _GNU_SOURCE
#include "native.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_CHILDREN = 256, CAPTURE_BYTES = 256 << 10, REQUEST_BYTES = 4 << 20 };

struct capture {
  int fd;
  size_t length;
  char *bytes;
};

struct child {
  uint32_t id;
  pid_t pid;
  bool detached, ended;
  int status;
  struct capture out, err; // detach: out is the ready pipe, err is unused
  int in;                  // write end of the child's stdin, with what is still to be written
  char *input;
  size_t input_length, input_sent;
};

static struct child children[MAX_CHILDREN];
static int child_count;

static void put_u32(char *at, uint32_t value) { memcpy(at, &value, 4); }
static uint32_t get_u32(const char *at) {
  uint32_t value;
  memcpy(&value, at, 4);
  return value;
}

static void answer(uint32_t id, int32_t status, uint32_t pid, const struct capture *out, const struct capture *err) {
  size_t out_length = out ? out->length : 0, err_length = err ? err->length : 0;
  char head[20];
  put_u32(head, (uint32_t)(16 + out_length + err_length));
  put_u32(head + 4, id);
  put_u32(head + 8, (uint32_t)status);
  put_u32(head + 12, pid);
  put_u32(head + 16, (uint32_t)out_length);
  write_all(1, head, sizeof head);
  if (out_length) write_all(1, out->bytes, out_length);
  if (err_length) write_all(1, err->bytes, err_length);
}

static void close_if_open(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void run_in_child(char **argv, bool detached, const int fds[3], int ready) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_DFL);
  if (detached) setsid();
  // descriptors above 3 are close-on-exec; moving them up first keeps dup2 from overwriting one that is still needed
  int high[4];
  for (int i = 0; i < 3; i++) high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 10);
  high[3] = ready >= 0 ? fcntl(ready, F_DUPFD_CLOEXEC, 10) : -1;
  for (int i = 0; i < 3; i++) dup2(high[i], i);
  if (high[3] >= 0) dup2(high[3], 3);
  execvp(argv[0], argv);
  int error = errno;
  dprintf(high[3] >= 0 ? 3 : 2, "cannot run %s: %s\n", argv[0], strerror(error));
  _exit(127);
}

static int start(struct child *child, char **argv) {
  int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
  if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) die("pipe");
  child->pid = fork();
  if (child->pid == 0) {
    int fds[3] = {in[0], child->detached ? err[1] : out[1], err[1]};
    run_in_child(argv, child->detached, fds, child->detached ? out[1] : -1);
  }
  int error = errno;
  close(in[0]);
  close(out[1]);
  close(err[1]);
  child->in = in[1];
  child->out = (struct capture){.fd = out[0]};
  child->err = (struct capture){.fd = err[0]};
  fcntl(in[1], F_SETFL, O_NONBLOCK);
  fcntl(out[0], F_SETFL, O_NONBLOCK);
  fcntl(err[0], F_SETFL, O_NONBLOCK);
  if (child->detached) { // nobody reads a detached program's stdio: it gets pipes that are already closed, never a device
    close_if_open(&child->in);
    close_if_open(&child->err.fd);
  }
  if (child->pid < 0) return -error;
  if (child->input_length == 0) close_if_open(&child->in);
  return 0;
}

static void release(struct child *child) {
  close_if_open(&child->in);
  close_if_open(&child->out.fd);
  close_if_open(&child->err.fd);
  free(child->out.bytes);
  free(child->err.bytes);
  free(child->input);
}

// The kernel waits for an RCU grace period (some 10 ms) before the first move after a quiet time; further moves within about as long are free. Writing our
// own pid where it already is starts that wait without changing anything: begun while a root is prepared, it is over when the runtime moves the container.
// (The mount option favordynmods does the same for good, but for the whole host, and version 1 hierarchies do not take it.)
static void nudge_cgroups(void) {
  if (fork() != 0) return; // waits in a child, which reap() forgets like any that is not in the table
  char text[8192];
  if (read_text("/proc/self/cgroup", text, sizeof text) <= 0) _exit(1);
  for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
    char *controllers = strchr(line, ':'), *where = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!where) continue;
    bool is_v2 = where == controllers + 1;
    if (is_v2 != (cgroup_kind() == CGROUP_V2) || (!is_v2 && strncmp(controllers + 1, "freezer", 7))) continue;
    write_existing(format_text("/sys/fs/cgroup/%s%s/cgroup.procs", is_v2 ? "" : "freezer", where + 1), "0");
    break;
  }
  _exit(0);
}

static void handle_request(const char *frame, size_t length) {
  if (length < 9) die_plain("spawn: short request");
  if (frame[4] == 3) {
    nudge_cgroups();
    return;
  }
  struct child child = {.id = get_u32(frame), .detached = frame[4] == 2, .in = -1, .out.fd = -1, .err.fd = -1};
  size_t argv_bytes = get_u32(frame + 5);
  if (9 + argv_bytes > length || argv_bytes == 0 || frame[9 + argv_bytes - 1] != 0) die_plain("spawn: malformed request");
  char *argv[256];
  int argc = 0;
  for (const char *at = frame + 9; at < frame + 9 + argv_bytes && argc < 255; at += strlen(at) + 1) argv[argc++] = (char *)at;
  argv[argc] = NULL;
  child.input_length = length - 9 - argv_bytes;
  if (child.input_length) {
    child.input = malloc(child.input_length);
    memcpy(child.input, frame + 9 + argv_bytes, child.input_length);
  }
  int failure = child_count == MAX_CHILDREN ? -EAGAIN : start(&child, argv);
  if (failure) {
    answer(child.id, failure, 0, NULL, NULL);
    release(&child);
    return;
  }
  children[child_count++] = child;
}

// Takes whole frames out of stdin. Returns false at its end.
static bool read_requests(void) {
  static char *buffer;
  static size_t length;
  if (!buffer) buffer = malloc(REQUEST_BYTES);
  ssize_t got = read(0, buffer + length, REQUEST_BYTES - length);
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  if (got == 0) return false;
  length += (size_t)got;
  size_t at = 0;
  while (length - at >= 4) {
    size_t size = get_u32(buffer + at);
    if (size > REQUEST_BYTES - 4) die_plain("spawn: request too large");
    if (length - at - 4 < size) break;
    handle_request(buffer + at + 4, size);
    at += 4 + size;
  }
  memmove(buffer, buffer + at, length - at);
  length -= at;
  return true;
}

static void read_capture(struct capture *capture) {
  char scrap[4096];
  if (!capture->bytes) capture->bytes = malloc(CAPTURE_BYTES);
  for (;;) {
    size_t room = CAPTURE_BYTES - capture->length;
    ssize_t got = room ? read(capture->fd, capture->bytes + capture->length, room) : read(capture->fd, scrap, sizeof scrap);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      close_if_open(&capture->fd);
      return;
    }
    if (room) capture->length += (size_t)got;
  }
}

static void feed_input(struct child *child) {
  ssize_t sent = write(child->in, child->input + child->input_sent, child->input_length - child->input_sent);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (sent > 0) child->input_sent += (size_t)sent;
  if (sent < 0 || child->input_sent == child->input_length) close_if_open(&child->in);
}

static void reap(void) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
    for (int i = 0; i < child_count; i++)
      if (children[i].pid == pid && !children[i].ended) {
        children[i].ended = true;
        children[i].status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      }
}

// A run is complete when it ended and its pipes are drained; a detach when its ready pipe closed. Pipes that a grandchild still holds do not delay a run.
static bool settle(struct child *child) {
  if (child->detached) {
    if (child->out.fd >= 0) return false;
    answer(child->id, child->ended ? child->status : 0, (uint32_t)child->pid, &child->out, NULL);
    return true;
  }
  if (!child->ended) return false;
  if (child->out.fd >= 0) read_capture(&child->out);
  if (child->err.fd >= 0) read_capture(&child->err);
  answer(child->id, child->status, (uint32_t)child->pid, &child->out, &child->err);
  return true;
}

static void settle_all(void) {
  for (int i = 0; i < child_count;) {
    if (!settle(&children[i])) {
      i++;
      continue;
    }
    release(&children[i]);
    children[i] = children[--child_count];
  }
}

int cmd_spawn(int argc, char **argv) {
  (void)argc;
  (void)argv;
  signal(SIGPIPE, SIG_IGN);
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  signal(SIGINT, SIG_IGN); // a Ctrl-C at the terminal is the launcher's business; this process ends with its stdin
  int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  for (;;) {
    struct pollfd polls[2 + 3 * MAX_CHILDREN] = {{.fd = 0, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    for (int i = 0; i < child_count; i++) {
      polls[2 + 3 * i] = (struct pollfd){.fd = children[i].out.fd, .events = POLLIN};
      polls[3 + 3 * i] = (struct pollfd){.fd = children[i].err.fd, .events = POLLIN};
      polls[4 + 3 * i] = (struct pollfd){.fd = children[i].in, .events = POLLOUT};
    }
    int polled = child_count;
    if (poll(polls, (nfds_t)(2 + 3 * polled), -1) < 0 && errno != EINTR) die("poll");
    for (int i = 0; i < polled; i++) {
      if (polls[2 + 3 * i].revents) read_capture(&children[i].out);
      if (polls[3 + 3 * i].revents) read_capture(&children[i].err);
      if (polls[4 + 3 * i].revents) feed_input(&children[i]);
    }
    if (polls[1].revents) {
      struct signalfd_siginfo info;
      while (read(signals, &info, sizeof info) > 0) {
      }
      reap();
    }
    settle_all();
    if (polls[0].revents && !read_requests()) return 0;
  }
}
