import type { OciSeccomp } from "./oci-spec.ts";

/**
 * The system calls a container may make, ours, by what they are for. Whatever is not named answers ENOSYS, so that a C library falls back as on an old
 * kernel; what is refused on purpose answers EPERM. In both lists nothing nests: no new namespaces, no mounts, no keyrings, no programs for the kernel.
 */
const allowed: readonly (readonly string[])[] = [
  // files and folders
  ["access", "chdir", "chmod", "chown", "chroot", "close", "close_range", "copy_file_range", "creat", "dup", "dup2", "dup3", "faccessat", "faccessat2"],
  ["fadvise64", "fallocate", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat", "fcntl", "fdatasync", "flock", "fstat", "fstatfs", "fsync"],
  ["ftruncate", "futimesat", "getcwd", "getdents", "getdents64", "ioctl", "lchown", "link", "linkat", "lseek", "lstat", "mkdir", "mkdirat", "mknod"],
  ["mknodat", "name_to_handle_at", "newfstatat", "open", "openat", "openat2", "pread64", "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2", "read"],
  ["readahead", "readlink", "readlinkat", "readv", "rename", "renameat", "renameat2", "rmdir", "sendfile", "splice", "stat", "statfs", "statx", "symlink"],
  ["symlinkat", "sync", "sync_file_range", "syncfs", "tee", "truncate", "umask", "unlink", "unlinkat", "ustat", "utime", "utimensat", "utimes", "vmsplice"],
  ["write", "writev", "cachestat"],
  // extended attributes
  ["fgetxattr", "flistxattr", "fremovexattr", "fsetxattr", "getxattr", "lgetxattr", "listxattr", "llistxattr", "lremovexattr", "lsetxattr", "removexattr"],
  ["setxattr", "getxattrat", "setxattrat", "listxattrat", "removexattrat"],
  // memory
  ["brk", "get_mempolicy", "madvise", "map_shadow_stack", "mbind", "membarrier", "memfd_create", "memfd_secret", "mincore", "mlock", "mlock2", "mlockall"],
  ["mmap", "mprotect", "mremap", "mseal", "msync", "munlock", "munlockall", "munmap", "pkey_alloc", "pkey_free", "pkey_mprotect", "process_madvise"],
  ["process_mrelease", "remap_file_pages", "set_mempolicy", "set_mempolicy_home_node", "migrate_pages", "move_pages"],
  // processes and threads
  ["arch_prctl", "capget", "capset", "execve", "execveat", "exit", "exit_group", "fork", "futex", "futex_requeue", "futex_wait", "futex_waitv", "futex_wake"],
  ["get_robust_list", "get_thread_area", "getcpu", "getegid", "geteuid", "getgid", "getgroups", "getpgid", "getpgrp", "getpid", "getppid", "getpriority"],
  ["getresgid", "getresuid", "getrlimit", "getrusage", "getsid", "gettid", "getuid", "ioprio_get", "ioprio_set", "kcmp", "kill", "modify_ldt", "pause"],
  ["pidfd_getfd", "pidfd_open", "pidfd_send_signal", "prctl", "prlimit64", "process_vm_readv", "process_vm_writev", "ptrace", "restart_syscall", "rseq"],
  ["sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval"],
  ["sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield", "seccomp", "set_robust_list", "set_thread_area"],
  ["set_tid_address", "setfsgid", "setfsuid", "setgid", "setgroups", "setpgid", "setpriority", "setregid", "setresgid", "setresuid", "setreuid", "setrlimit"],
  ["setsid", "setuid", "tgkill", "tkill", "vfork", "wait4", "waitid", "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "uretprobe"],
  // signals
  ["rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_tgsigqueueinfo"],
  ["sigaltstack", "signalfd", "signalfd4"],
  // time
  ["adjtimex", "alarm", "clock_getres", "clock_gettime", "clock_nanosleep", "getitimer", "gettimeofday", "nanosleep", "setitimer", "time", "timer_create"],
  ["timer_delete", "timer_getoverrun", "timer_gettime", "timer_settime", "timerfd_create", "timerfd_gettime", "timerfd_settime", "times"],
  // waiting and telling
  ["epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait", "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2"],
  ["inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "pipe", "pipe2", "poll", "ppoll", "pselect6", "select"],
  // sockets (the families are below)
  ["accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen", "recvfrom", "recvmmsg", "recvmsg", "sendmmsg", "sendmsg"],
  ["sendto", "setsockopt", "shutdown", "socketpair"],
  // System V and POSIX IPC: the namespace is the container's own
  ["mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend", "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd", "semctl", "semget"],
  ["semop", "semtimedop", "shmat", "shmctl", "shmdt", "shmget"],
  // asynchronous I/O of the old kind
  ["io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_setup", "io_submit"],
  // the rest that programs ask
  ["getrandom", "sysinfo", "uname"],
];

/** Refused with EPERM, as a kernel without the capability would: programs know that answer. */
const refused: readonly string[] = [
  ...["unshare", "setns", "mount", "umount2", "pivot_root", "mount_setattr", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick"],
  ...["keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd", "fanotify_init", "open_by_handle_at", "syslog", "acct", "quotactl"],
  ...["kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "swapon", "swapoff", "iopl", "ioperm", "vhangup"],
  ...["settimeofday", "clock_settime", "clock_adjtime", "sethostname", "setdomainname", "lookup_dcookie"],
];

const errno = { EPERM: 1, ENOSYS: 38 } as const;

/** CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET: linux/sched.h */
const cloneNamespaceFlags = 0x7e020000;

/** AF_UNIX, AF_INET, AF_INET6, AF_NETLINK. Not among them: AF_VSOCK (the hypervisor), AF_ALG and other rarely walked parts of the kernel. */
const socketFamilies = [1, 2, 10, 16];

/** The execution domains that Linux programs use: native, the same with 32-bit addresses or without randomisation, and "only ask". */
const personalities = [0, 0x8, 0x20000, 0x20008, 0x40000, 0xffffffff];

/**
 * The seccomp part of every container's spec. clone is allowed without namespace flags; clone3, whose flags a filter cannot see, answers ENOSYS, whereupon
 * C libraries use clone. 64-bit system calls only: a 32-bit one kills the process.
 */
export function seccompProfile(): OciSeccomp {
  const equals = (value: number) => [{ index: 0, value, op: "SCMP_CMP_EQ" }];
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: errno.ENOSYS,
    architectures: ["SCMP_ARCH_X86_64"],
    syscalls: [
      { names: allowed.flat(), action: "SCMP_ACT_ALLOW" },
      { names: refused, action: "SCMP_ACT_ERRNO", errnoRet: errno.EPERM },
      { names: ["clone"], action: "SCMP_ACT_ALLOW", args: [{ index: 0, value: cloneNamespaceFlags, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }] },
      ...socketFamilies.map((family) => ({ names: ["socket"], action: "SCMP_ACT_ALLOW", args: equals(family) })),
      ...personalities.map((persona) => ({ names: ["personality"], action: "SCMP_ACT_ALLOW", args: equals(persona) })),
    ],
  };
}
