/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_IO_H
#define ARROW_UTIL_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "util/error.h"

/* Writes all of it, over EINTR and short writes. Returns 0 or a negative errno. */
int write_full(int fd, const void *data, size_t size) ARROW_MUST_CHECK;

/* Reads up to size bytes or the end. Returns the count or a negative errno. */
ssize_t read_full(int fd, void *data, size_t size) ARROW_MUST_CHECK;

/*
 * Reads a whole file of at most max bytes and ends it with a NUL that is not counted.
 * Returns 0 or a negative errno (-EFBIG). *data is owned by the caller. size may be NULL.
 */
int read_file(int dirfd, const char *path, size_t max, char **data, size_t *size) ARROW_MUST_CHECK;

/* Writes path.tmp beside, syncs and renames it. Returns 0 or a negative errno. */
int write_file_atomic(
	int dirfd, const char *path, mode_t mode, const void *data, size_t size) ARROW_MUST_CHECK;

/* mkdir -p. Returns 0 or a negative errno. */
int mkdir_all(const char *path, mode_t mode) ARROW_MUST_CHECK;

/* Removes a directory tree, however deep, and does not follow links. Returns 0 or a negative errno.
 */
int remove_tree(int dirfd, const char *path);

/* "%s/%s..." without truncation; NULL when out of memory. */
char *path_format(const char *fmt, ...) ARROW_PRINTF(1, 2) ARROW_MUST_CHECK;

/* Absolute, without ".", ".." and double slashes; links are not followed. NULL when out of memory.
 */
char *path_normalize(const char *path) ARROW_MUST_CHECK;

/* A time as all our files have it: 2026-11-24T15:00:00Z, UTC; such texts sort as they read. */
#define TIME_TEXT 32
void time_text(time_t when, char text[TIME_TEXT]);

/* The same with nanoseconds: 2026-11-24T15:00:00.012345678Z. */
void time_text_exact(struct timespec when, char text[TIME_TEXT]);

/*
 * Reads a time as RFC 3339 has it: a date, then perhaps a time of day with or without seconds and a
 * fraction, then "Z", an offset as +01:00, or nothing for the local time. Returns 0 or -EINVAL.
 */
int time_parse(const char *text, struct timespec *when) ARROW_MUST_CHECK;

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t now_ms(void);

/* Microseconds of CLOCK_MONOTONIC. */
uint64_t now_us(void);

#endif
