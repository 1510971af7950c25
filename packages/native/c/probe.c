// probe --dir DIR: tries out what containers need, in DIR, and prints one JSON object: each capability true, or false with the reason beside it.
#define _GNU_SOURCE
#include "native.h"
#include "mount.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRIAL_BASE = 1 << 28 };

static const char *trial_dir;

static void try_user_namespace(void) {
  if (unshare(CLONE_NEWUSER)) die("new user namespace");
}

static void try_overlay(void) {
  const char *lower = format_text("%s/lower", trial_dir);
  char *upper = format_text("%s/upper", trial_dir), *root = format_text("%s/root", trial_dir);
  make_directories(format_text("%s/u", upper), 0755);
  make_directories(format_text("%s/w", upper), 0755);
  make_directories(lower, 0755);
  make_directories(root, 0755);
  mount_root(&lower, 1, upper, root, TRIAL_BASE);
}

static void try_mapped_tmpfs(void) {
  char *dir = format_text("%s/tmpfs", trial_dir);
  make_directories(dir, 0755);
  if (mount("probe", dir, "tmpfs", 0, "size=64k")) die("mount tmpfs");
  try_mapped_mount(dir, TRIAL_BASE);
}

static void try_network_namespace(void) {
  if (unshare(CLONE_NEWNET)) die("new network namespace");
}

static void try_loop(void) {
  if (mknod(format_text("%s/loop", trial_dir), S_IFCHR | 0600, (10 << 8) | 237)) die("make node");
  if (open(format_text("%s/loop", trial_dir), O_RDWR | O_CLOEXEC) < 0) die("open loop-control");
}

// Runs a trial in a child with a mount namespace of its own and prints `"name":true` or `"name":false,"nameReason":"…"`.
static void print_trial(const char *name, void (*trial)(void)) {
  int words[2];
  char reason[512] = "";
  if (pipe2(words, O_CLOEXEC)) die("pipe");
  pid_t child = fork();
  if (child == 0) {
    dup2(words[1], 2);
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) die("new mount namespace");
    trial();
    _exit(0);
  }
  close(words[1]);
  ssize_t got = read(words[0], reason, sizeof reason - 1);
  close(words[0]);
  reason[got > 0 ? got : 0] = 0;
  for (char *at = reason; *at; at++)
    if (*at == '"' || *at == '\\' || (unsigned char)*at < 0x20) *at = ' ';
  int status = 1;
  waitpid(child, &status, 0);
  printf(",\"%s\":%s", name, status == 0 ? "true" : "false");
  if (status) printf(",\"%sReason\":\"%s\"", name, reason);
}

int cmd_probe(int argc, char **argv) {
  static const char *const kinds[] = {"v1", "v2", "hybrid"};
  struct utsname kernel;
  char *template = format_text("%s/probe-XXXXXX", required_option(argc, argv, "--dir"));
  if (!(trial_dir = mkdtemp(template))) die("make directory for trials");
  if (mount("squall-probe", trial_dir, "tmpfs", MS_NOSUID, "mode=755,size=1m")) die("mount tmpfs for trials");
  uname(&kernel);
  printf("{\"kernel\":\"%s\",\"cgroups\":\"%s\"", kernel.release, kinds[cgroup_kind()]);
  fflush(stdout);
  static const struct {
    const char *name;
    void (*run)(void);
  } trials[] = {{"userNamespaces", try_user_namespace}, {"mappedOverlay", try_overlay}, {"mappedTmpfs", try_mapped_tmpfs}, {"networkNamespaces", try_network_namespace}, {"loopDevices", try_loop}};
  for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
    print_trial(trials[i].name, trials[i].run);
    fflush(stdout);
  }
  puts("}");
  umount2(trial_dir, MNT_DETACH);
  rmdir(trial_dir);
  return 0;
}
