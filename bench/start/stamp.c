// The command of both sides: tells the time of its first instruction (nanoseconds of CLOCK_MONOTONIC, the clock of Node's hrtime) and ends.
#include <stdio.h>
#include <time.h>

int main(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  printf("%lld%09ld\n", (long long)now.tv_sec, now.tv_nsec);
  return 0;
}
