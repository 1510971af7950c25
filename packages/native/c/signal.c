// signal --pid PID --start TICKS --cgroup /sq-… --signal N     sends a signal to exactly that process
// kill-cgroup /sq-INSTANCE[/CONTAINER]                          kills everything in the cgroup and below
// Both refuse whatever does not lie below a cgroup of ours: a recycled pid or a runtime's mistake must never cost a process of the host.
// Exit code 3: there is no such process any more.
#define _GNU_SOURCE
#include "native.h"
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { GONE = 3 };

static bool is_ours(const char *cgroup) { return !strncmp(cgroup, "/sq-", 4) && strlen(cgroup) > 4 && !strstr(cgroup, ".."); }

int cmd_signal(int argc, char **argv) {
  pid_t pid = (pid_t)strtol(required_option(argc, argv, "--pid"), NULL, 10);
  uint64_t ticks = strtoull(required_option(argc, argv, "--start"), NULL, 10);
  const char *cgroup = required_option(argc, argv, "--cgroup");
  int number = (int)strtol(required_option(argc, argv, "--signal"), NULL, 10);
  if (!is_ours(cgroup) || pid <= 1) die_plain("refusing to signal pid %d of cgroup %s", pid, cgroup);
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) {
    if (errno == ESRCH) return GONE;
    die("open process %d", pid);
  }
  if (process_start_ticks(pid) != ticks) return GONE; // read after the descriptor was taken: the descriptor is of the process that was checked
  if (!process_is_below_cgroup(pid, cgroup)) {
    if (syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0)) return GONE;
    die_plain("refusing to signal pid %d: it is not below cgroup %s", pid, cgroup);
  }
  if (syscall(SYS_pidfd_send_signal, fd, number, NULL, 0)) {
    if (errno == ESRCH) return GONE;
    die("signal process %d", pid);
  }
  return 0;
}

// Kills what stands in DIR/cgroup.procs and in the folders below. Returns how many there were.
static int kill_processes(const char *dir) {
  char *procs = format_text("%s/cgroup.procs", dir);
  FILE *file = fopen(procs, "re");
  free(procs);
  int count = 0;
  long pid;
  while (file && fscanf(file, "%ld", &pid) == 1)
    if (pid > 1 && !kill((pid_t)pid, SIGKILL)) count++;
  if (file) fclose(file);
  DIR *children = opendir(dir);
  for (struct dirent *entry; children && (entry = readdir(children));)
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
      char *child = format_text("%s/%s", dir, entry->d_name);
      count += kill_processes(child);
      free(child);
    }
  if (children) closedir(children);
  return count;
}

// v1: frozen processes cannot fork or end, so the list that is killed is the whole list.
static void kill_v1(const char *cgroup) {
  char *freezer = format_text("/sys/fs/cgroup/freezer%s", cgroup), *state = format_text("%s/freezer.state", freezer);
  for (int round = 0; round < 50; round++) {
    write_existing(state, "FROZEN");
    int killed = kill_processes(freezer);
    write_existing(state, "THAWED");
    if (killed == 0) return;
    usleep(2000);
  }
  die_plain("processes of cgroup %s do not end", cgroup);
}

int cmd_kill_cgroup(int argc, char **argv) {
  if (argc != 2 || !is_ours(argv[1])) die_plain("refusing to kill cgroup %s", argc > 1 ? argv[1] : "(none)");
  if (cgroup_kind() != CGROUP_V2) {
    kill_v1(argv[1]);
    return 0;
  }
  char *path = format_text("/sys/fs/cgroup%s/cgroup.kill", argv[1]);
  if (write_existing(path, "1") && errno != ENOENT) die("kill cgroup %s", argv[1]);
  return 0;
}
