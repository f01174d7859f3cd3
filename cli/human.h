/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CLI_HUMAN_H
#define ARROW_CLI_HUMAN_H

/* Sizes and ages in the words of docker's tables. Both are owned by the caller. */

#include <time.h>

/* "4.26MB": three digits, powers of 1000. */
char *human_size(unsigned long long bytes);

/* "2 hours" since an RFC 3339 time; "N/A" for what is none. */
char *human_age(const char *time, time_t now);

#endif
