// Failing with words, small files, facts about processes and cgroups.
#define _GNU_SOURCE
#include "native.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

void die(const char *format, ...) {
  int error = errno;
  va_list list;
  va_start(list, format);
  fputs("squall-native: ", stderr);
  vfprintf(stderr, format, list);
  fprintf(stderr, ": %s\n", strerror(error));
  exit(1);
}

void die_plain(const char *format, ...) {
  va_list list;
  va_start(list, format);
  fputs("squall-native: ", stderr);
  vfprintf(stderr, format, list);
  fputc('\n', stderr);
  exit(1);
}

char *format_text(const char *format, ...) {
  char *text;
  va_list list;
  va_start(list, format);
  if (vasprintf(&text, format, list) < 0) die("memory");
  va_end(list);
  return text;
}

void write_all(int fd, const void *bytes, size_t length) {
  const char *at = bytes;
  while (length > 0) {
    ssize_t written = write(fd, at, length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) die("write");
    at += written;
    length -= (size_t)written;
  }
}

int write_existing(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t written = write(fd, text, strlen(text));
  int error = errno;
  close(fd);
  errno = error;
  return written < 0 ? -1 : 0;
}

ssize_t read_text(const char *path, char *buffer, size_t capacity) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  size_t length = 0;
  while (length < capacity - 1) {
    ssize_t got = read(fd, buffer + length, capacity - 1 - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      close(fd);
      return -1;
    }
    if (got == 0) break;
    length += (size_t)got;
  }
  close(fd);
  buffer[length] = 0;
  return (ssize_t)length;
}

void make_directories(const char *path, mode_t mode) {
  char *copy = strdup(path);
  for (char *slash = copy + 1; (slash = strchr(slash, '/')); slash++) {
    *slash = 0;
    if (mkdir(copy, mode) && errno != EEXIST) die("make directory %s", copy);
    *slash = '/';
  }
  if (mkdir(copy, mode) && errno != EEXIST) die("make directory %s", copy);
  free(copy);
}

uint64_t process_start_ticks(pid_t pid) {
  char path[64], stat[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  if (read_text(path, stat, sizeof stat) <= 0) return 0;
  char *after_name = strrchr(stat, ')'); // the name may hold blanks and parentheses
  if (!after_name) return 0;
  unsigned long long ticks = 0;
  char *field = after_name + 2; // field 3
  for (int i = 3; i < 22 && field; i++) field = (field = strchr(field, ' ')) ? field + 1 : NULL;
  if (!field || sscanf(field, "%llu", &ticks) != 1) return 0;
  return ticks;
}

static bool is_below(const char *path, const char *prefix) {
  size_t length = strlen(prefix);
  return !strncmp(path, prefix, length) && (path[length] == 0 || path[length] == '/');
}

bool process_is_below_cgroup(pid_t pid, const char *prefix) {
  char path[64], text[8192];
  snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
  if (read_text(path, text, sizeof text) <= 0) return false;
  int seen = 0;
  for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
    char *controllers = strchr(line, ':');
    char *where = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!where) return false;
    *where++ = 0;
    controllers++;
    // the unified and the named hierarchies of a hybrid host are not ours: only controllers that a runtime sets limits on are looked at
    bool managed = cgroup_kind() == CGROUP_V2 ? *controllers == 0 : strstr(controllers, "pids") || strstr(controllers, "memory") || strstr(controllers, "freezer");
    if (!managed) continue;
    seen++;
    if (!is_below(where, prefix)) return false;
  }
  return seen > 0;
}

enum cgroup_kind cgroup_kind(void) {
  struct statfs root, unified;
  if (!statfs("/sys/fs/cgroup", &root) && root.f_type == CGROUP2_SUPER_MAGIC) return CGROUP_V2;
  if (!statfs("/sys/fs/cgroup/unified", &unified) && unified.f_type == CGROUP2_SUPER_MAGIC) return CGROUP_HYBRID;
  return CGROUP_V1;
}

const char *option(int argc, char **argv, const char *name, const char *fallback) {
  for (int i = 1; i + 1 < argc; i++)
    if (!strcmp(argv[i], name)) return argv[i + 1];
  return fallback;
}

const char *required_option(int argc, char **argv, const char *name) {
  const char *value = option(argc, argv, name, NULL);
  if (!value) {
    fprintf(stderr, "squall-native: %s needs %s\n", argv[0], name);
    exit(2);
  }
  return value;
}
