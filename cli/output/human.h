/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_OUTPUT_HUMAN_H
#define ARROW_CLI_OUTPUT_HUMAN_H

/* Sizes and ages in the words of docker's tables, owned by the caller; and what a table takes of
 * them. */

#include <time.h>

/* "4.26MB": three digits, powers of 1000. */
char *human_size(unsigned long long bytes);

/* "5.1 GiB": powers of 1024. */
char *human_binary_size(unsigned long long bytes);

/* An RFC 3339 time in Docker's words: "2026-11-24 15:04:05 +0000 UTC"; "N/A" for what is none. */
char *human_time(const char *time);

/* "2 hours" since an RFC 3339 time; "N/A" for what is none. */
char *human_age(const char *time, time_t now);

/* Columns that a text of so many bytes takes on a terminal, where each character takes one. */
size_t human_width(const char *text, size_t size);

/* Bytes of the first n characters of a text. */
size_t human_bytes(const char *text, size_t n);

#endif
