/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_CLEANUP_H
#define ARROW_UTIL_CLEANUP_H

/* Cleanup attributes: every owned resource is declared with one, and handed over with STEAL. */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* close() that keeps errno. */
static inline void close_keep_errno(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
}

static inline void cleanup_free_p(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close_p(const int *fd)
{
	close_keep_errno(*fd);
}

static inline void cleanup_fclose_p(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_closedir_p(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* Frees a NULL-terminated array of strings. */
static inline void strv_free(char **v)
{
	for (size_t i = 0; v && v[i]; i++)
		free(v[i]);
	free(v);
}

static inline void cleanup_strv_p(char ***v)
{
	strv_free(*v);
}

#define _cleanup_free_ __attribute__((cleanup(cleanup_free_p)))
#define _cleanup_close_ __attribute__((cleanup(cleanup_close_p)))
#define _cleanup_fclose_ __attribute__((cleanup(cleanup_fclose_p)))
#define _cleanup_closedir_ __attribute__((cleanup(cleanup_closedir_p)))
#define _cleanup_strv_ __attribute__((cleanup(cleanup_strv_p)))

/* Takes the pointer out of an owning variable. */
#define STEAL(p)                                                                                   \
	({                                                                                         \
		__typeof__(p) stolen_ = (p);                                                       \
		(p) = NULL;                                                                        \
		stolen_;                                                                           \
	})

/* The same for a file descriptor. */
static inline int steal_fd(int *fd)
{
	int n = *fd;

	*fd = -1;
	return n;
}

#endif
