// What the sub-commands share: failing with words, small files, and facts about a process. Every sub-command is `int cmd_NAME(int argc, char **argv)`
// with argv[0] its own name; 0 is success, 1 a failure already told on stderr, 2 a wrong use.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Prints "squall-native: WHAT: errno text" and exits with 1.
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);
// Like die, without an errno text.
__attribute__((noreturn, format(printf, 1, 2))) void die_plain(const char *format, ...);
__attribute__((format(printf, 1, 2))) char *format_text(const char *format, ...);

void write_all(int fd, const void *bytes, size_t length);
// Writes to a file that exists already (proc, sysfs, cgroup). Returns 0 or -1 with errno.
int write_existing(const char *path, const char *text);
// Reads at most capacity-1 bytes and ends them with 0. Returns the length or -1.
ssize_t read_text(const char *path, char *buffer, size_t capacity);
// Makes the directory and its parents.
void make_directories(const char *path, mode_t mode);

// Field 22 of /proc/PID/stat: with the pid it names a process for ever. 0 when there is no such process.
uint64_t process_start_ticks(pid_t pid);
// Whether every cgroup of the process that a runtime manages (all v1 controllers seen, or the v2 one) lies at or below PREFIX.
bool process_is_below_cgroup(pid_t pid, const char *prefix);

enum cgroup_kind { CGROUP_V1, CGROUP_V2, CGROUP_HYBRID };
enum cgroup_kind cgroup_kind(void);

// Value of `--NAME VALUE` in argv, or fallback; dies when required and absent.
const char *option(int argc, char **argv, const char *name, const char *fallback);
const char *required_option(int argc, char **argv, const char *name);

int cmd_agent_cage(int argc, char **argv);
int cmd_spawn(int argc, char **argv);
int cmd_protect(int argc, char **argv);
int cmd_unmount(int argc, char **argv);
int cmd_scratch_tmpfs(int argc, char **argv);
int cmd_scratch_disk(int argc, char **argv);
int cmd_shim(int argc, char **argv);
int cmd_signal(int argc, char **argv);
int cmd_kill_cgroup(int argc, char **argv);
int cmd_net_host(int argc, char **argv);
int cmd_net_make(int argc, char **argv);
int cmd_net_block(int argc, char **argv);
int cmd_net_drop(int argc, char **argv);
int cmd_net_drop_host(int argc, char **argv);
int cmd_probe(int argc, char **argv);
