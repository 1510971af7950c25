// The log of a container: segments of whole frames, bounded. The format is documented in shim.c.
#define _GNU_SOURCE
#include "shim-log.h"
#include "native.h"
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { HEADER_BYTES = 13 };

uint64_t wall_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct {
  int fd;
  uint64_t offset, segment_start, dropped, bound_bytes, segment_bytes;
  char oldest[64];
} log_state = {.fd = -1};

static void segment_name(char *name, size_t size, uint64_t start) { snprintf(name, size, "log.%020" PRIu64, start); }

// The start offset of the oldest segment that is still there, or the present offset when none is.
static uint64_t find_oldest_segment(void) {
  uint64_t oldest = log_state.offset;
  DIR *dir = opendir(".");
  for (struct dirent *entry; dir && (entry = readdir(dir));) {
    uint64_t start;
    if (sscanf(entry->d_name, "log.%20" SCNu64, &start) == 1 && start < oldest) oldest = start;
  }
  if (dir) closedir(dir);
  segment_name(log_state.oldest, sizeof log_state.oldest, oldest);
  return oldest;
}

static void open_segment(void) {
  char name[64];
  if (log_state.fd >= 0) close(log_state.fd);
  segment_name(name, sizeof name, log_state.offset);
  log_state.fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
  if (log_state.fd < 0) die("create %s", name);
  log_state.segment_start = log_state.offset;
}

static void write_frame(uint8_t stream, const void *bytes, uint32_t length) {
  if (log_state.fd < 0 || log_state.offset - log_state.segment_start >= log_state.segment_bytes) open_segment();
  uint8_t header[HEADER_BYTES];
  uint64_t now = wall_ms();
  memcpy(header, &now, 8);
  header[8] = stream;
  memcpy(header + 9, &length, 4);
  struct iovec parts[2] = {{header, HEADER_BYTES}, {(void *)bytes, length}};
  ssize_t written = writev(log_state.fd, parts, 2);
  if (written == (ssize_t)(HEADER_BYTES + length)) {
    log_state.offset += (uint64_t)written;
    return;
  }
  // the disk is full: take a torn frame back and remember what is missing
  if (written > 0 && ftruncate(log_state.fd, (off_t)(log_state.offset - log_state.segment_start))) die("take back a torn frame");
  if (stream != 0) log_state.dropped += length;
}

static void write_mark(void) {
  uint64_t dropped = log_state.dropped;
  log_state.dropped = 0;
  write_frame(0, &dropped, sizeof dropped);
}

static bool has_room(void) {
  if (log_state.fd >= 0 && log_state.offset - log_state.segment_start < log_state.segment_bytes && !log_state.dropped) return true;
  if (log_state.dropped && *log_state.oldest && !access(log_state.oldest, F_OK)) return false; // nothing was acknowledged since
  return log_state.offset - find_oldest_segment() + log_state.segment_bytes <= log_state.bound_bytes;
}

void log_open(uint64_t bound_bytes) {
  log_state.bound_bytes = bound_bytes;
  log_state.segment_bytes = bound_bytes / 16;
}

bool log_append(uint8_t stream, const void *bytes, uint32_t length) {
  if (!has_room()) {
    log_state.dropped += length;
    return false;
  }
  if (log_state.dropped) write_mark();
  write_frame(stream, bytes, length);
  return true;
}

void log_close(void) {
  if (log_state.dropped) write_mark();
}
