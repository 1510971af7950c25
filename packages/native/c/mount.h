// The writable root of one container. Both functions die with words when something is refused.
#pragma once

enum { MAX_LOWERS = 16 };

// Overlay of read-only trees (the first on top) and SCRATCH/u (work folder SCRATCH/w), every layer seen through an id-mapped mount 0..65535 -> BASE.., attached
// at TARGET, nodev. The layers are named by /proc/self/fd, so that no path of the host shows in the container's /proc/mounts. Dies when it is not writable.
void mount_root(const char *const *lowers, int lower_count, const char *scratch, const char *target, unsigned base);

// Whether the file system at PATH can be seen through an id-mapped mount.
void try_mapped_mount(const char *path, unsigned base);
