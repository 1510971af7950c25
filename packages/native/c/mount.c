// The writable root of one container (mount_root, for the shim and the probe), and unmount, protect, scratch-tmpfs, scratch-disk.
#define _GNU_SOURCE
#include "native.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/loop.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include "mount.h"

enum { ID_COUNT = 65536 };

// A user namespace that maps 0..65535 to base…, held by nothing but the returned descriptor.
static int make_user_namespace(unsigned base) {
  int ready[2];
  if (pipe2(ready, O_CLOEXEC)) die("pipe");
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (unshare(CLONE_NEWUSER)) _exit(1);
    if (write(ready[1], "x", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  close(ready[1]);
  char byte;
  if (read(ready[0], &byte, 1) != 1) die_plain("cannot make a user namespace (is user.max_user_namespaces 0?)");
  close(ready[0]);
  char path[64], map[64];
  snprintf(map, sizeof map, "0 %u %d\n", base, ID_COUNT);
  const char *const maps[] = {"uid_map", "gid_map"};
  for (int i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "/proc/%d/%s", child, maps[i]);
    if (write_existing(path, map)) die("write %s", maps[i]);
  }
  snprintf(path, sizeof path, "/proc/%d/ns/user", child);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die("open user namespace");
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  return fd;
}

// A detached copy of the mount at path, id-mapped, nosuid and nodev.
static int clone_mapped(const char *path, int user_namespace, bool read_only) {
  int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (fd < 0) die("open layer %s", path);
  struct mount_attr attributes = {
      .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (read_only ? MOUNT_ATTR_RDONLY : 0),
      .userns_fd = (uint64_t)user_namespace,
  };
  if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes)) die("map ids of layer %s", path);
  return fd;
}

// The overlay works with the ids of whoever mounts it: with fsuid 0, unmapped in the upper, it would silently come up read-only.
static void become_mapped_root(unsigned base) {
  setfsgid(base);
  setfsuid(base);
  struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &head, data)) die("read capabilities");
  data[0].effective = data[0].permitted;
  data[1].effective = data[1].permitted;
  if (syscall(SYS_capset, &head, data)) die("keep capabilities");
}

static void set_option(int context, const char *key, const char *value) {
  if (!syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, key, value, 0)) return;
  die("overlay option %s", key);
}

static int mount_overlay(const int *lowers, int lower_count, int upper, unsigned base) {
  become_mapped_root(base);
  int context = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);
  if (context < 0) die("open overlay");
  char text[MAX_LOWERS * 32] = "";
  for (int i = 0; i < lower_count; i++) snprintf(text + strlen(text), sizeof text - strlen(text), "%s/proc/self/fd/%d", i ? ":" : "", lowers[i]);
  set_option(context, "source", "squall");
  set_option(context, "lowerdir", text);
  snprintf(text, sizeof text, "/proc/self/fd/%d/u", upper);
  set_option(context, "upperdir", text);
  snprintf(text, sizeof text, "/proc/self/fd/%d/w", upper);
  set_option(context, "workdir", text);
  set_option(context, "redirect_dir", "nofollow");
  set_option(context, "index", "off");
  set_option(context, "metacopy", "off");
  set_option(context, "xino", "off");
  if (syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, "volatile", NULL, 0)) die("overlay option volatile");
  if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0)) die("create overlay");
  int mounted = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV);
  if (mounted < 0) die("mount overlay");
  close(context);
  setfsuid(0);
  setfsgid(0);
  struct statvfs info;
  if (fstatvfs(mounted, &info)) die("look at overlay");
  if (info.f_flag & ST_RDONLY) die_plain("the overlay came up read-only");
  return mounted;
}

static void attach(int mounted, const char *target) {
  if (syscall(SYS_move_mount, mounted, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH)) die("attach at %s", target);
}

// See mount.h.
void mount_root(const char *const *lowers, int lower_count, const char *scratch, const char *target, unsigned base) {
  int layers[MAX_LOWERS];
  if (base < ID_COUNT) die_plain("refusing id base %u: it overlaps the host's own ids", base);
  if (lower_count < 1 || lower_count > MAX_LOWERS) die_plain("%d layers are not between 1 and %d", lower_count, MAX_LOWERS);
  int user_namespace = make_user_namespace(base);
  for (int i = 0; i < lower_count; i++) layers[i] = clone_mapped(lowers[i], user_namespace, true);
  attach(mount_overlay(layers, lower_count, clone_mapped(scratch, user_namespace, false), base), target);
}

void try_mapped_mount(const char *path, unsigned base) { close(clone_mapped(path, make_user_namespace(base), false)); }

// unmount PATH…: detaches each; a path that is not a mount point or not there is fine.
int cmd_unmount(int argc, char **argv) {
  int failed = 0;
  for (int i = 1; i < argc; i++)
    if (umount2(argv[i], MNT_DETACH | UMOUNT_NOFOLLOW) && errno != EINVAL && errno != ENOENT) {
      fprintf(stderr, "squall-native: unmount %s: %s\n", argv[i], strerror(errno));
      failed = 1;
    }
  return failed;
}

// protect FILE: a read-only bind of the file onto itself, once. Runtimes copy or remount their own program at every start, so that a container cannot
// write to it (CVE-2019-5736), unless it lies on a read-only mount: this saves that work and protects no less.
int cmd_protect(int argc, char **argv) {
  if (argc != 2) die_plain("protect FILE");
  struct statvfs info;
  if (statvfs(argv[1], &info)) die("look at %s", argv[1]);
  if (info.f_flag & ST_RDONLY) return 0;
  if (mount(argv[1], argv[1], NULL, MS_BIND, NULL)) die("bind %s", argv[1]);
  if (mount(NULL, argv[1], NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL)) die("make %s read-only", argv[1]);
  return 0;
}

// scratch-tmpfs --target DIR --bytes N --inodes N
int cmd_scratch_tmpfs(int argc, char **argv) {
  char *options = format_text("mode=0711,size=%s,nr_inodes=%s", required_option(argc, argv, "--bytes"), required_option(argc, argv, "--inodes"));
  if (mount("squall", required_option(argc, argv, "--target"), "tmpfs", MS_NOSUID | MS_NODEV, options)) die("mount scratch");
  return 0;
}

static int open_device(unsigned major, unsigned minor, int flags) { // the private /dev has no such node: made for one moment
  char *path = format_text("/dev/.squall-%d", getpid());
  if (mknod(path, (major == 7 ? S_IFBLK : S_IFCHR) | 0600, makedev(major, minor))) die("make node");
  int fd = open(path, flags | O_CLOEXEC);
  int error = errno;
  unlink(path);
  errno = error;
  return fd;
}

static int attach_loop(int file, unsigned *number) {
  int control = open_device(10, 237, O_RDWR);
  if (control < 0) die("open loop-control");
  for (int attempt = 0; attempt < 64; attempt++) { // another process may take the free one first
    int free_number = ioctl(control, LOOP_CTL_GET_FREE);
    if (free_number < 0) die("find a free loop device");
    int device = open_device(7, (unsigned)free_number, O_RDWR);
    if (device < 0) die("open loop device");
    struct loop_config config = {.fd = (uint32_t)file, .info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO};
    if (!ioctl(device, LOOP_CONFIGURE, &config)) {
      *number = (unsigned)free_number;
      return device;
    }
    if (errno != EBUSY) die("set up loop device");
    close(device);
  }
  die_plain("no free loop device");
}

// scratch-disk --image FILE --target DIR: mounts the ext4 file system in FILE; FILE is removed at once, so that its room goes with the mount.
int cmd_scratch_disk(int argc, char **argv) {
  const char *image = required_option(argc, argv, "--image"), *target = required_option(argc, argv, "--target");
  int file = open(image, O_RDWR | O_CLOEXEC);
  if (file < 0) die("open %s", image);
  unsigned number;
  int device = attach_loop(file, &number);
  char *path = format_text("/dev/.squall-%d", getpid());
  if (mknod(path, S_IFBLK | 0600, makedev(7, number))) die("make node");
  int failed = mount(path, target, "ext4", MS_NOSUID | MS_NODEV | MS_NOATIME, "nodiscard");
  int error = errno;
  unlink(path);
  close(device);
  unlink(image);
  errno = error;
  if (failed) die("mount scratch disk");
  return 0;
}
