// The steps of mount-root that `probe` tries out too.
#pragma once
#include <stdbool.h>

int make_user_namespace(unsigned base);
int clone_mapped(const char *path, int user_namespace, bool read_only);
// Layers are descriptors of clone_mapped; returns a detached, writable overlay.
int mount_overlay(const int *lowers, int lower_count, int upper, unsigned base);
void attach(int mounted, const char *target);
