// SPDX-License-Identifier: Apache-2.0
#include "registry/tls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

#define PEM_MAX (4u << 20)
#define DIRS_MAX 4

static int fail_file(const char *path, int err, struct arrow_error *error)
{
	return arrow_fail(error, err, "cannot read the certificate in %s: %m", path);
}

/* Adds a file of authorities to those that are known. */
static int add_authorities(struct tls_files *files, const char *path, struct arrow_error *error)
{
	_cleanup_free_ char *text = NULL;
	char *all;
	size_t size;
	int e = read_file(AT_FDCWD, path, PEM_MAX, &text, &size);

	if (e < 0)
		return fail_file(path, -e, error);
	all = realloc(files->authorities, files->size + size + 2);
	if (!all)
		return fail_file(path, ENOMEM, error);
	memcpy(all + files->size, text, size);
	files->authorities = all;
	files->size += size;
	all[files->size++] = '\n';
	all[files->size] = '\0';
	return 0;
}

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && strcmp(name + n - m, end) == 0;
}

/* Takes NAME.cert, whose key is NAME.key beside it. */
static int take_own(
	struct tls_files *files, const char *dir, const char *name, struct arrow_error *error)
{
	_cleanup_free_ char *cert = path_format("%s/%s", dir, name);
	_cleanup_free_ char *key =
		path_format("%s/%.*s.key", dir, (int)(strlen(name) - strlen(".cert")), name);

	if (!cert || !key)
		return fail_file(dir, ENOMEM, error);
	if (access(key, R_OK) < 0)
		return arrow_fail(error, errno,
			"cannot use the certificate %s: its key %s cannot be read: %m", cert, key);
	if (!files->cert) {
		files->cert = STEAL(cert);
		files->key = STEAL(key);
	}
	return 0;
}

static int read_dir(
	struct tls_files *files, const char *dir, const char *system, struct arrow_error *error)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	struct dirent *entry;
	int e = 0;

	if (!d && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
		return 0;
	if (!d)
		return arrow_fail(error, errno, "cannot look into %s: %m", dir);
	while (e == 0 && (entry = readdir(d))) {
		if (ends_with(entry->d_name, ".crt")) {
			_cleanup_free_ char *path = path_format("%s/%s", dir, entry->d_name);

			/* What libcurl is given replaces the system's, so those come first. */
			if (!files->authorities && system && access(system, R_OK) == 0)
				e = add_authorities(files, system, error);
			if (e == 0)
				e = path ? add_authorities(files, path, error)
					 : fail_file(dir, ENOMEM, error);
		} else if (ends_with(entry->d_name, ".cert")) {
			e = take_own(files, dir, entry->d_name, error);
		}
	}
	return e;
}

int tls_find(struct tls_files *files, const struct registry_settings *settings, const char *host,
	const char *system, struct arrow_error *error)
{
	const char *config = settings->config_dir, *home = settings->home;
	char *dirs[DIRS_MAX] = {NULL};
	int e = 0;

	*files = (struct tls_files){0};
	/* A host comes from the user or from a URL; it must not lead elsewhere. */
	if (strchr(host, '/') || host[0] == '.')
		return 0;
	dirs[0] = path_format(TLS_CERTS_DIR "/%s", host);
	dirs[1] = path_format("/etc/containers/certs.d/%s", host);
	if (config) {
		dirs[2] = path_format("%s/containers/certs.d/%s", config, host);
		dirs[3] = path_format("%s/docker/certs.d/%s", config, host);
	} else if (home) {
		dirs[2] = path_format("%s/.config/containers/certs.d/%s", home, host);
		dirs[3] = path_format("%s/.config/docker/certs.d/%s", home, host);
	}
	for (int i = 0; e == 0 && i < DIRS_MAX && dirs[i]; i++)
		e = read_dir(files, dirs[i], system, error);
	for (int i = 0; i < DIRS_MAX; i++)
		free(dirs[i]);
	if (e < 0)
		tls_release(files);
	return e;
}

void tls_release(struct tls_files *files)
{
	free(files->authorities);
	free(files->cert);
	free(files->key);
	*files = (struct tls_files){0};
}
