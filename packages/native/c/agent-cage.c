// agent-cage -- COMMAND…: runs the agent in a private mount namespace in which runtimes behave:
// * on hosts that mount both cgroup hierarchies the version 2 one is covered by an empty file system, since crun refuses hybrid hosts. Covered and not
//   only detached: runtimes make folders there all the same, and they should vanish with the cage;
// * /dev is a small one of our own. Runtimes chown the stdio they are given and bind device nodes from here into containers: a mistake then hurts this
//   /dev and never the host's.
// Inherited descriptors stay open (Node's IPC channel among them).
#define _GNU_SOURCE
#include "native.h"
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const struct {
  const char *name;
  unsigned major, minor;
} nodes[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

static const char *const links[][2] = {
    {"ptmx", "pts/ptmx"}, {"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"}};

static void make_node(const char *dir, const char *name, mode_t mode, dev_t device) {
  char *path = format_text("%s/%s", dir, name);
  if (mknod(path, S_IFCHR | mode, device)) die("make device %s", name);
  if (chmod(path, mode)) die("chmod device %s", name);
  free(path);
}

// GPU nodes are bound into containers from here, so the private /dev has copies of them (an inode of ours for the same device).
static void copy_gpu_nodes(const char *dir) {
  DIR *host = opendir("/dev");
  if (!host) return;
  for (struct dirent *entry; (entry = readdir(host));) {
    struct stat info;
    char *path = format_text("/dev/%s", entry->d_name);
    if (!strncmp(entry->d_name, "nvidia", 6) && !lstat(path, &info) && S_ISCHR(info.st_mode)) make_node(dir, entry->d_name, 0666, info.st_rdev);
    free(path);
  }
  closedir(host);
}

static void mount_private_dev(void) {
  char dir[] = "/tmp/squall-dev-XXXXXX";
  if (!mkdtemp(dir)) die("make directory for /dev");
  if (mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k,nr_inodes=256")) die("mount private /dev");
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) make_node(dir, nodes[i].name, 0666, makedev(nodes[i].major, nodes[i].minor));
  copy_gpu_nodes(dir);
  char *pts = format_text("%s/pts", dir), *shm = format_text("%s/shm", dir);
  if (mkdir(pts, 0755) || mkdir(shm, 0755)) die("make directories in /dev");
  if (mount("devpts", pts, "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620")) die("mount /dev/pts");
  if (mount("tmpfs", shm, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=64m")) die("mount /dev/shm");
  for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
    char *path = format_text("%s/%s", dir, links[i][0]);
    if (symlink(links[i][1], path)) die("link %s", links[i][0]);
    free(path);
  }
  if (mount(dir, "/dev", NULL, MS_MOVE, NULL)) die("move private /dev into place");
  rmdir(dir);
}

int cmd_agent_cage(int argc, char **argv) {
  if (argc < 3 || strcmp(argv[1], "--")) {
    fputs("squall-native: agent-cage -- COMMAND…\n", stderr);
    return 2;
  }
  if (unshare(CLONE_NEWNS)) die("new mount namespace");
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) die("make mounts private");
  if (cgroup_kind() == CGROUP_HYBRID && mount("squall", "/sys/fs/cgroup/unified", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755,size=16m"))
    die("cover the unified cgroup hierarchy");
  mount_private_dev();
  execvp(argv[2], argv + 2);
  die("run %s", argv[2]);
}
