// SPDX-License-Identifier: Apache-2.0
#include "util/checked.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

#define NOTE_MAX 8192u

char *checked_text(const int *fds, size_t n, const char *what)
{
	_cleanup_free_ char *boot = NULL, *text = NULL;
	bool known = true;
	size_t size = 0;
	FILE *f;

	if (read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &boot, NULL) < 0)
		return NULL;
	f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	fprintf(f, "%.36s %s\n", boot, what);
	for (size_t i = 0; i < n; i++) {
		struct stat st = {0};

		known &= fstat(fds[i], &st) == 0;
		fprintf(f, "%llu %llu %lld %lld.%09ld %lld.%09ld\n", (unsigned long long)st.st_dev,
			(unsigned long long)st.st_ino, (long long)st.st_size,
			(long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
			(long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
	}
	return fclose(f) == 0 && known ? STEAL(text) : NULL;
}

bool checked_find(const char *path, const char *text)
{
	_cleanup_free_ char *before = NULL;

	return path && text && read_file(AT_FDCWD, path, NOTE_MAX, &before, NULL) == 0 &&
	       strcmp(before, text) == 0;
}

void checked_write(const char *path, const char *text)
{
	if (path && text && write_file_atomic(AT_FDCWD, path, 0600, text, strlen(text)) < 0)
		unlink(path);
}
