// The log of a container, in the present directory.
#pragma once
#include <stdbool.h>
#include <stdint.h>

// At most bound_bytes stay unacknowledged (undeleted); a sixteenth of it is one segment.
void log_open(uint64_t bound_bytes);
// Appends at most 65,536 bytes as one frame. False when there was no room: they are counted, and a mark tells it before the next frame.
bool log_append(uint8_t stream, const void *bytes, uint32_t length);
// Tells what was dropped last.
void log_close(void);

// Milliseconds since 1970.
uint64_t wall_ms(void);
