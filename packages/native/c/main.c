// squall-native: dispatch to the sub-commands. See ../README.md for what each takes and promises.
#include "native.h"
#include <stdio.h>
#include <string.h>

static const struct {
  const char *name;
  int (*run)(int argc, char **argv);
} commands[] = {
    {"agent-cage", cmd_agent_cage}, {"spawn", cmd_spawn},            {"unmount", cmd_unmount}, {"protect", cmd_protect},
    {"scratch-tmpfs", cmd_scratch_tmpfs}, {"scratch-disk", cmd_scratch_disk}, {"shim", cmd_shim}, {"signal", cmd_signal},
    {"kill-cgroup", cmd_kill_cgroup}, {"net-host", cmd_net_host}, {"net-make", cmd_net_make}, {"net-block", cmd_net_block},
    {"net-drop", cmd_net_drop}, {"net-drop-host", cmd_net_drop_host}, {"probe", cmd_probe},
};

int main(int argc, char **argv) {
  for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
    if (!strcmp(argv[1], commands[i].name)) return commands[i].run(argc - 1, argv + 1);
  fprintf(stderr, "squall-native: unknown sub-command; known:");
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) fprintf(stderr, " %s", commands[i].name);
  fputc('\n', stderr);
  return 2;
}
