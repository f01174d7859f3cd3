/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_IMAGE_IDENTITY_H
#define ARROW_IMAGE_IDENTITY_H

/*
 * The identity of a file: device, inode, size and times, as text. A file whose identity did not
 * change since it was read has not changed either, with one exception: a write within the same
 * tick of the kernel's clock as the read does not show. identity_racy() tells of such files.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define IDENTITY_SIZE 96
#define IDENTITY_ABSENT "-" /* no such file */

void identity_format(const struct stat *st, char identity[IDENTITY_SIZE]);

/* Of a path, links followed; IDENTITY_ABSENT if it cannot be looked at. */
void identity_of_path(const char *path, char identity[IDENTITY_SIZE]);

/* The clock that the kernel stamps files with, in nanoseconds. */
int64_t identity_clock(void);

/* A file has the time at which a write began, and the writer may be put to sleep within it. */
#define IDENTITY_WRITE_NS INT64_C(20000000)

/*
 * Whether a file that was read at `started` could change without a new change time. One far
 * ahead of the clock is of a clock set back, and waiting for it would be without end.
 */
static inline bool identity_racy(int64_t changed, int64_t started)
{
	return changed >= started - IDENTITY_WRITE_NS && changed - started < INT64_C(1000000000);
}

/* Longer than a file that nobody writes to can be racy. */
#define IDENTITY_RACY_MS 1500u

/* Waits for longer than a tick, unless the time (of now_ms()) has come. */
bool identity_pause(uint64_t end);

static inline int64_t identity_changed(const struct stat *st)
{
	return (int64_t)st->st_ctim.tv_sec * INT64_C(1000000000) + st->st_ctim.tv_nsec;
}

#endif
