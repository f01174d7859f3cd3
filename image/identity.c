// SPDX-License-Identifier: Apache-2.0
#include "image/identity.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "util/io.h"

void identity_format(const struct stat *st, char identity[IDENTITY_SIZE])
{
	snprintf(identity, IDENTITY_SIZE, "%llx:%llx:%llx:%llx.%lx:%llx.%lx",
		(unsigned long long)st->st_dev, (unsigned long long)st->st_ino,
		(unsigned long long)st->st_size, (unsigned long long)st->st_mtim.tv_sec,
		(unsigned long)st->st_mtim.tv_nsec, (unsigned long long)st->st_ctim.tv_sec,
		(unsigned long)st->st_ctim.tv_nsec);
}

void identity_of_path(const char *path, char identity[IDENTITY_SIZE])
{
	struct stat st;

	if (stat(path, &st) < 0)
		memcpy(identity, IDENTITY_ABSENT, sizeof(IDENTITY_ABSENT));
	else
		identity_format(&st, identity);
}

int64_t identity_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME_COARSE, &t);
	return (int64_t)t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

bool identity_pause(uint64_t end)
{
	const struct timespec pause = {0, 10000000};

	if (now_ms() >= end)
		return false;
	nanosleep(&pause, NULL);
	return true;
}
