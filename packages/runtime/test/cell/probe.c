// What a hostile program would try, from inside a container. One line per attempt: `name errno-name`, "ok" when it was let through.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const char *name, long result) { printf("%s %s\n", name, result < 0 ? strerrorname_np(errno) : "ok"); }

static void tell_clone(const char *name, unsigned long flags) {
  long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) _exit(0);
  tell(name, pid);
}

static int try_calls(void) {
  char attributes[128] = {0};
  struct clone_args args = {.exit_signal = SIGCHLD};
  setvbuf(stdout, NULL, _IOLBF, 0);
  tell("unshare-user", syscall(SYS_unshare, CLONE_NEWUSER));
  tell("unshare-net", syscall(SYS_unshare, CLONE_NEWNET));
  tell("setns", syscall(SYS_setns, open("/proc/self/ns/net", O_RDONLY), 0));
  tell_clone("clone-user", CLONE_NEWUSER);
  tell_clone("clone-pid", CLONE_NEWPID);
  tell_clone("clone-plain", 0);
  tell("clone3", syscall(SYS_clone3, &args, sizeof args));
  tell("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
  tell("umount", umount2("/proc", MNT_DETACH));
  tell("pivot-root", syscall(SYS_pivot_root, "/tmp", "/tmp"));
  tell("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
  tell("open-tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
  tell("keyctl", syscall(SYS_keyctl, 0, -3, 0));
  tell("add-key", syscall(SYS_add_key, "user", "x", "y", 1, -3));
  tell("request-key", syscall(SYS_request_key, "user", "x", 0, -3));
  tell("bpf", syscall(SYS_bpf, 5, attributes, sizeof attributes));
  tell("perf", syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0));
  tell("io-uring", syscall(SYS_io_uring_setup, 1, attributes));
  tell("userfaultfd", syscall(SYS_userfaultfd, 0));
  tell("open-by-handle", syscall(SYS_open_by_handle_at, AT_FDCWD, attributes, 0));
  tell("sethostname", sethostname("x", 1));
  tell("vsock", socket(40, SOCK_STREAM, 0));
  tell("af-alg", socket(AF_ALG, SOCK_SEQPACKET, 0));
  tell("raw-socket", socket(AF_INET, SOCK_RAW, 1));
  tell("inet-socket", socket(AF_INET, SOCK_STREAM, 0));
  tell("mknod-disk", mknod("/tmp/disk", S_IFBLK | 0600, makedev(254, 0)));
  tell("chmod-null", chmod("/dev/null", 0600));
  tell("chown-null", chown("/dev/null", 0, 0));
  tell("write-sysctl", open("/proc/sys/kernel/hostname", O_WRONLY));
  tell("write-sys", open("/sys/class/net/eth0/mtu", O_WRONLY));
  tell("open-kcore", open("/proc/1/root/../../etc/shadow-of-host", O_RDONLY));
  tell("write-init", open("/__modal/.bin/init", O_WRONLY));
  tell("write-hosts", open("/etc/hosts", O_WRONLY));
  tell("chown-own", chown("/tmp", 0, 0));
  tell("setuid", setresuid(1000, 1000, 1000));
  return 0;
}

static int use_memory(int megabytes) {
  for (int i = 0; i < megabytes; i++) {
    char *piece = malloc(1 << 20);
    if (!piece) return 9;
    memset(piece, 1, 1 << 20);
  }
  return 0;
}

static int use_memory_in_child(int megabytes) {
  pid_t child = fork();
  if (child == 0) _exit(use_memory(megabytes));
  int status;
  waitpid(child, &status, 0);
  printf("child ended by signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
  return 5;
}

static int fork_without_end(void) {
  int count = 0;
  for (;; count++) {
    pid_t pid = fork();
    if (pid == 0) {
      pause();
      _exit(0);
    }
    if (pid < 0) break;
  }
  printf("%d forks, then %s\n", count, strerrorname_np(errno));
  return 0;
}

static int fill(const char *path) {
  static char block[1 << 20];
  int fd = open(path, O_WRONLY | O_CREAT, 0600);
  long megabytes = 0;
  memset(block, 7, sizeof block);
  for (; write(fd, block, sizeof block) == (ssize_t)sizeof block; megabytes++) {
  }
  ssize_t last = write(fd, block, sizeof block);
  printf("%ld MiB, then %s\n", megabytes, last < 0 ? strerrorname_np(errno) : "short");
  return 0;
}

// ADDRESS:PORT… all at once: open (connected), refused (somebody said no), silent (nothing came back in a second), or the error.
static int connect_all(int count, char **targets) {
  struct pollfd polls[32];
  for (int i = 0; i < count; i++) {
    char address[64], *colon;
    snprintf(address, sizeof address, "%s", targets[i]);
    *(colon = strchr(address, ':')) = 0;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
    inet_pton(AF_INET, address, &to.sin_addr);
    polls[i] = (struct pollfd){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), .events = POLLOUT};
    if (connect(polls[i].fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) {
      printf("%s %s\n", targets[i], strerrorname_np(errno));
      polls[i].fd = -1;
    }
  }
  for (int left = 20; left > 0; left--) {
    poll(polls, (nfds_t)count, 50);
    for (int i = 0; i < count; i++) {
      if (polls[i].fd < 0 || !polls[i].revents) continue;
      int error = 0;
      socklen_t size = sizeof error;
      getsockopt(polls[i].fd, SOL_SOCKET, SO_ERROR, &error, &size);
      printf("%s %s\n", targets[i], error == 0 ? "open" : error == ECONNREFUSED ? "refused" : strerrorname_np(error));
      polls[i].fd = -1;
    }
  }
  for (int i = 0; i < count; i++)
    if (polls[i].fd >= 0) printf("%s silent\n", targets[i]);
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "calls")) return try_calls();
  if (argc > 2 && !strcmp(argv[1], "memory")) return use_memory(atoi(argv[2]));
  if (argc > 2 && !strcmp(argv[1], "memory-in-child")) return use_memory_in_child(atoi(argv[2]));
  if (argc > 1 && !strcmp(argv[1], "forks")) return fork_without_end();
  if (argc > 2 && !strcmp(argv[1], "fill")) return fill(argv[2]);
  if (argc > 2 && !strcmp(argv[1], "connect")) return connect_all(argc - 2, argv + 2);
  return 2;
}
