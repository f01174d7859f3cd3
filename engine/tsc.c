// SPDX-License-Identifier: Apache-2.0
#include "engine/tsc.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "util/cleanup.h"
#include "util/io.h"

#define MEASURE_US 20000
#define TRIES 10 /* of which the least disturbed one counts */

/* What a counter can run at; anything else is a damaged file or a broken clock. */
#define KHZ_MIN 100000u
#define KHZ_MAX 20000000u

struct moment {
	uint64_t ticks, ns;
};

static bool tsc_is_invariant(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1u << 8));
}

/* The counter and the clock at the same time, as well as that can be. */
static struct moment tsc_read(void)
{
	struct moment best = {0};
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		struct timespec t;
		uint64_t before = __rdtsc(), after;

		clock_gettime(CLOCK_MONOTONIC, &t);
		after = __rdtsc();
		if (after - before >= least)
			continue;
		least = after - before;
		best.ticks = before + least / 2;
		best.ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	}
	return best;
}

static uint32_t tsc_check_range(uint64_t khz)
{
	return khz >= KHZ_MIN && khz <= KHZ_MAX ? (uint32_t)khz : 0;
}

static uint32_t tsc_measure(void)
{
	struct moment begin = tsc_read(), end;

	usleep(MEASURE_US);
	end = tsc_read();
	if (end.ns <= begin.ns || end.ticks <= begin.ticks)
		return 0;
	return tsc_check_range(((end.ticks - begin.ticks) * 1000000u + (end.ns - begin.ns) / 2) /
			       (end.ns - begin.ns));
}

static uint32_t tsc_read_cache(const char *path)
{
	_cleanup_free_ char *data = NULL;
	char *end;
	unsigned long long khz;

	if (read_file(AT_FDCWD, path, 32, &data, NULL) < 0)
		return 0;
	khz = strtoull(data, &end, 10);
	return strcmp(end, "\n") == 0 ? tsc_check_range(khz) : 0;
}

uint32_t arrow_tsc_khz(const char *cache_dir)
{
	_cleanup_free_ char *boot = NULL, *path = NULL;
	uint32_t khz;
	char text[16];
	int n;

	if (!tsc_is_invariant())
		return 0;
	if (cache_dir &&
		read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &boot, NULL) == 0) {
		boot[strcspn(boot, "\n")] = '\0';
		path = path_format("%s/tsc-%s", cache_dir, boot);
	}
	khz = path ? tsc_read_cache(path) : 0;
	if (khz)
		return khz;
	khz = tsc_measure();
	n = snprintf(text, sizeof(text), "%u\n", khz);
	/* What cannot be kept is measured again the next time. */
	if (khz && path && write_file_atomic(AT_FDCWD, path, 0600, text, (size_t)n) < 0)
		return khz;
	return khz;
}

#else

uint32_t arrow_tsc_khz(const char *cache_dir)
{
	return 0;
}

#endif
