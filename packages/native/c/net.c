// The network of containers, without a program started per step.
//
// net-host --interface NAME --address A
//   An interface that holds the host's address on every container link; fine when it is there already. It is a veth pair with itself (the far end is
//   NAMEp): kernels without the dummy driver exist, kernels without veth cannot run containers.
// net-make --host-interface NAME --address A --host-address H --netns FILE --sysfs DIR
//   One ready namespace: a veth pair NAME <-> eth0, eth0 has A point-to-point to H, default route through H, lo up, no IPv6, low ports open to everyone
//   (the namespace belongs to the host, so a container's CAP_NET_BIND_SERVICE is void in it). Pinned at FILE; its own sysfs mounted read-only at DIR,
//   since a container in a user namespace cannot mount one and would be shown the host's.
// net-block --netns FILE                          takes the default route away: only the host's address is left
// net-drop --netns FILE --sysfs DIR --host-interface NAME     and net-drop-host --interface NAME: what is not there is fine
#define _GNU_SOURCE
#include "native.h"
#include "netlink.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static uint32_t parse_address(const char *text) {
  struct in_addr address;
  if (inet_pton(AF_INET, text, &address) != 1) die_plain("%s is not an IPv4 address", text);
  return address.s_addr;
}

static void set_sysctl(const char *name, const char *value, bool required) {
  char *path = format_text("/proc/sys/net/%s", name);
  if (write_existing(path, value) && required) die("set %s", name);
  free(path);
}

static void check(int result, const char *what) {
  if (result) die("%s", what);
}

static void check_unless(int result, int expected, const char *what) {
  if (result && errno != expected) die("%s", what);
}

static int open_namespace(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die("open network namespace %s", path);
  return fd;
}

static int open_netlink(void) {
  int socket = netlink_open();
  if (socket < 0) die("open netlink");
  return socket;
}

int cmd_net_host(int argc, char **argv) {
  const char *name = required_option(argc, argv, "--interface");
  uint32_t address = parse_address(required_option(argc, argv, "--address"));
  int socket = open_netlink();
  check_unless(netlink_add_veth(socket, name, format_text("%sp", name), open_namespace("/proc/self/ns/net")), EEXIST, "add host interface");
  check_unless(netlink_add_address(socket, name, address, 0), EEXIST, "add host address");
  check(netlink_set_up(socket, name), "set host interface up");
  set_sysctl("ipv4/ip_forward", "1", true);
  return 0;
}

int cmd_net_make(int argc, char **argv) {
  const char *interface = required_option(argc, argv, "--host-interface"), *pin = required_option(argc, argv, "--netns"), *sysfs = required_option(argc, argv, "--sysfs");
  uint32_t address = parse_address(required_option(argc, argv, "--address")), host_address = parse_address(required_option(argc, argv, "--host-address"));
  int host_namespace = open_namespace("/proc/self/ns/net"), host = open_netlink();
  if (unshare(CLONE_NEWNET)) die("new network namespace");
  int inner = open_netlink();
  set_sysctl("ipv6/conf/all/disable_ipv6", "1", false); // absent where the kernel has no IPv6
  set_sysctl("ipv6/conf/default/disable_ipv6", "1", false);
  set_sysctl("ipv4/ip_unprivileged_port_start", "0", true);
  set_sysctl("ipv4/ping_group_range", "0 2147483647", false);
  check(netlink_set_up(inner, "lo"), "set lo up");
  check(netlink_add_veth(inner, "eth0", interface, host_namespace), "add veth pair");
  check(netlink_add_address(inner, "eth0", address, host_address), "add container address");
  check(netlink_set_up(inner, "eth0"), "set eth0 up");
  check(netlink_add_route(inner, "eth0", 0, 0, host_address, 0), "add default route");

  if (mkdir(sysfs, 0755) && errno != EEXIST) die("make %s", sysfs);
  if (mount("sysfs", sysfs, "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL)) die("mount sysfs of the namespace");
  int file = open(pin, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) die("create %s", pin);
  close(file);
  if (mount("/proc/self/ns/net", pin, NULL, MS_BIND, NULL)) die("pin network namespace");

  if (setns(host_namespace, CLONE_NEWNET)) die("go back to the host's network");
  char *strict = format_text("ipv4/conf/%s/rp_filter", interface), *no_ipv6 = format_text("ipv6/conf/%s/disable_ipv6", interface);
  set_sysctl(no_ipv6, "1", false);
  set_sysctl(strict, "1", true); // a packet whose source is not routed back by this very link is dropped: no container can use another's address
  check(netlink_set_up(host, interface), "set host end up");
  check(netlink_add_route(host, interface, address, 32, 0, host_address), "add route to the container");
  return 0;
}

int cmd_net_block(int argc, char **argv) {
  if (setns(open_namespace(required_option(argc, argv, "--netns")), CLONE_NEWNET)) die("enter network namespace");
  check_unless(netlink_delete_default_route(open_netlink()), ESRCH, "remove default route");
  return 0;
}

int cmd_net_drop(int argc, char **argv) {
  const char *pin = required_option(argc, argv, "--netns"), *sysfs = required_option(argc, argv, "--sysfs");
  umount2(sysfs, MNT_DETACH);
  rmdir(sysfs);
  umount2(pin, MNT_DETACH);
  unlink(pin);
  // the namespace ends with its last process and pin, but later: the link goes now, so that its name and address are free
  check_unless(netlink_delete_link(open_netlink(), required_option(argc, argv, "--host-interface")), ENODEV, "remove veth pair");
  return 0;
}

int cmd_net_drop_host(int argc, char **argv) {
  check_unless(netlink_delete_link(open_netlink(), required_option(argc, argv, "--interface")), ENODEV, "remove host interface");
  return 0;
}
