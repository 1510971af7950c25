// rtnetlink requests, one message and one acknowledgement each.
#define _GNU_SOURCE
#include "netlink.h"
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
  struct nlmsghdr head;
  char body[1024];
};

int netlink_open(void) { return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE); }

static void *append(struct request *request, const void *bytes, size_t length) {
  char *at = (char *)request + NLMSG_ALIGN(request->head.nlmsg_len);
  memcpy(at, bytes, length);
  request->head.nlmsg_len = NLMSG_ALIGN(request->head.nlmsg_len) + (uint32_t)length;
  return at;
}

static struct rtattr *add_attribute(struct request *request, unsigned short type, const void *bytes, size_t length) {
  struct rtattr head = {.rta_len = (unsigned short)RTA_LENGTH(length), .rta_type = type};
  struct rtattr *at = append(request, &head, sizeof head);
  if (length) append(request, bytes, length);
  return at;
}

static void end_nested(struct request *request, struct rtattr *nested) {
  nested->rta_len = (unsigned short)((char *)request + NLMSG_ALIGN(request->head.nlmsg_len) - (char *)nested);
}

static struct request new_request(unsigned short type, unsigned short flags) {
  return (struct request){.head = {.nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags, .nlmsg_seq = 1}};
}

static int transact(int socket, struct request *request) {
  struct {
    struct nlmsghdr head;
    struct nlmsgerr error;
    char rest[1024];
  } reply;
  if (send(socket, request, request->head.nlmsg_len, 0) < 0) return -1;
  for (;;) {
    ssize_t got = recv(socket, &reply, sizeof reply, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < (ssize_t)sizeof(struct nlmsghdr)) return -1;
    if (reply.head.nlmsg_type == NLMSG_ERROR) break;
  }
  errno = -reply.error.error;
  return errno ? -1 : 0;
}

int netlink_add_veth(int socket, const char *name, const char *peer, int peer_namespace) {
  struct request request = new_request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  struct ifinfomsg info = {0};
  append(&request, &info, sizeof info);
  add_attribute(&request, IFLA_IFNAME, name, strlen(name) + 1);
  struct rtattr *link = add_attribute(&request, IFLA_LINKINFO, NULL, 0);
  add_attribute(&request, IFLA_INFO_KIND, "veth", 5);
  struct rtattr *data = add_attribute(&request, IFLA_INFO_DATA, NULL, 0);
  struct rtattr *other = add_attribute(&request, VETH_INFO_PEER, NULL, 0);
  append(&request, &info, sizeof info);
  add_attribute(&request, IFLA_IFNAME, peer, strlen(peer) + 1);
  add_attribute(&request, IFLA_NET_NS_FD, &peer_namespace, sizeof peer_namespace);
  end_nested(&request, other);
  end_nested(&request, data);
  end_nested(&request, link);
  return transact(socket, &request);
}

static int index_of(int socket, const char *name) { // by the socket's own namespace, not by the thread's
  struct request request = new_request(RTM_GETLINK, 0);
  struct ifinfomsg info = {0};
  append(&request, &info, sizeof info);
  add_attribute(&request, IFLA_IFNAME, name, strlen(name) + 1);
  request.head.nlmsg_flags = NLM_F_REQUEST;
  struct {
    struct nlmsghdr head;
    struct ifinfomsg info;
    char rest[16384];
  } reply;
  if (send(socket, &request, request.head.nlmsg_len, 0) < 0) return 0;
  if (recv(socket, &reply, sizeof reply, 0) < (ssize_t)(sizeof(struct nlmsghdr) + sizeof(struct nlmsgerr))) return 0;
  if (reply.head.nlmsg_type == RTM_NEWLINK) return reply.info.ifi_index;
  errno = ENODEV;
  return 0;
}

int netlink_set_up(int socket, const char *name) {
  struct request request = new_request(RTM_NEWLINK, 0);
  struct ifinfomsg info = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  if (!(info.ifi_index = index_of(socket, name))) return -1;
  append(&request, &info, sizeof info);
  return transact(socket, &request);
}

int netlink_delete_link(int socket, const char *name) {
  struct request request = new_request(RTM_DELLINK, 0);
  struct ifinfomsg info = {0};
  if (!(info.ifi_index = index_of(socket, name))) return -1;
  append(&request, &info, sizeof info);
  return transact(socket, &request);
}

int netlink_add_address(int socket, const char *name, uint32_t address, uint32_t peer) {
  struct request request = new_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
  struct ifaddrmsg info = {.ifa_family = AF_INET, .ifa_prefixlen = 32};
  if (!(info.ifa_index = (uint32_t)index_of(socket, name))) return -1;
  append(&request, &info, sizeof info);
  add_attribute(&request, IFA_LOCAL, &address, 4);
  add_attribute(&request, IFA_ADDRESS, peer ? &peer : &address, 4);
  return transact(socket, &request);
}

int netlink_add_route(int socket, const char *name, uint32_t destination, int prefix, uint32_t gateway, uint32_t source) {
  struct request request = new_request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
  struct rtmsg info = {.rtm_family = AF_INET, .rtm_dst_len = (unsigned char)prefix, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_type = RTN_UNICAST,
                       .rtm_scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK};
  int index = index_of(socket, name);
  if (!index) return -1;
  append(&request, &info, sizeof info);
  if (prefix) add_attribute(&request, RTA_DST, &destination, 4);
  if (gateway) add_attribute(&request, RTA_GATEWAY, &gateway, 4);
  if (source) add_attribute(&request, RTA_PREFSRC, &source, 4);
  add_attribute(&request, RTA_OIF, &index, sizeof index);
  return transact(socket, &request);
}

int netlink_delete_default_route(int socket) {
  struct request request = new_request(RTM_DELROUTE, 0);
  struct rtmsg info = {.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_scope = RT_SCOPE_NOWHERE};
  append(&request, &info, sizeof info);
  return transact(socket, &request);
}
