// squall-init COMMAND…: pid 1 of a container. Starts the command, passes signals on to it, reaps orphans, ends with the command's status
// (128 + n when a signal ended it, 127 not found, 126 not runnable). A program of its own, so that nothing else of ours lies in a container.
// Prints nothing unless the command cannot be run.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void run(char **command, const sigset_t *mask) {
  sigprocmask(SIG_SETMASK, mask, NULL);
  execvp(command[0], command);
  int error = errno;
  dprintf(2, "cannot run %s: %s\n", command[0], strerror(error));
  _exit(error == ENOENT ? 127 : 126);
}

// Reaps everything that has ended; returns the exit code once the command is among it, else -1.
static int reap(pid_t command) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
    if (pid == command) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return -1;
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  pid_t command = fork();
  if (command < 0) return 125;
  if (command == 0) run(argv + 1, &before);
  close(0);
  close(1);
  close(2);
  for (;;) {
    int signal = sigwaitinfo(&all, NULL);
    if (signal == SIGCHLD) {
      int code = reap(command);
      if (code >= 0) return code;
    } else if (signal > 0) {
      kill(command, signal);
    }
  }
}
