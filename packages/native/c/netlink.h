// The few rtnetlink requests that container networks need. Each returns 0 or -1 with errno; `socket` comes from netlink_open and speaks for the network
// namespace in which it was opened.
#pragma once
#include <stdint.h>

int netlink_open(void);
// A veth pair: `name` here, `peer` in the namespace of the descriptor.
int netlink_add_veth(int socket, const char *name, const char *peer, int peer_namespace);
int netlink_set_up(int socket, const char *name);
int netlink_delete_link(int socket, const char *name);
// address/32; with a peer, the far end of a point-to-point link is peer/32. Addresses in network order.
int netlink_add_address(int socket, const char *name, uint32_t address, uint32_t peer);
// destination/prefix by the link, through the gateway unless that is 0, own packets from `source` unless that is 0.
int netlink_add_route(int socket, const char *name, uint32_t destination, int prefix, uint32_t gateway, uint32_t source);
int netlink_delete_default_route(int socket);
