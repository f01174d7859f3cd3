// SPDX-License-Identifier: Apache-2.0
#include "registry/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"
#include "util/process.h"

#define FILE_MAX (1024u * 1024)
#define FILES_MAX 4
#define HELPER_DEADLINE_MS 60000u

/* The files that may exist, in order; the first is the one that a login writes. */
struct files {
	char *paths[FILES_MAX];
	size_t n;
};

static void files_release(struct files *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->paths[i]);
	f->n = 0;
}
#define _cleanup_files_ __attribute__((cleanup(files_release)))

static int add_file(struct files *f, char *path)
{
	if (!path)
		return -ENOMEM;
	f->paths[f->n++] = path;
	return 0;
}

static int find_files(struct files *f, const struct registry_settings *s)
{
	const char *home = s->home ? s->home : "/root";
	int e;

	if (s->auth_file)
		return add_file(f, strdup(s->auth_file));
	e = add_file(f, s->docker_config ? path_format("%s/config.json", s->docker_config)
					 : path_format("%s/.docker/config.json", home));
	if (e == 0)
		e = add_file(f, s->runtime_dir
					? path_format("%s/containers/auth.json", s->runtime_dir)
					: path_format("/run/containers/%u/auth.json", geteuid()));
	if (e == 0)
		e = add_file(f, s->config_dir
					? path_format("%s/containers/auth.json", s->config_dir)
					: path_format("%s/.config/containers/auth.json", home));
	return e;
}

/* A file that is not there reads as an empty object. */
static int read_config(const char *path, char **text, size_t *size, struct arrow_error *error)
{
	int e = read_file(AT_FDCWD, path, FILE_MAX, text, size);

	if (e == -ENOENT || e == -ENOTDIR || (e == 0 && *size == 0)) {
		if (e == 0)
			free(*text);
		*text = strdup("{}");
		*size = 2;
		e = *text ? 0 : -ENOMEM;
	}
	if (e < 0)
		return arrow_fail(error, -e, "cannot read the credentials in %s: %m", path);
	return 0;
}

static int bad_file(const char *path, struct arrow_error *error)
{
	return arrow_fail(error, EINVAL,
		"the credentials in %s are not valid JSON of docker or podman; repair or remove the file, then log in again",
		path);
}

/* In the child: the secret is read from a file in memory, so it is never on a command line. */
static int take_input(void *arg)
{
	const int *fd = arg;

	return dup2(*fd, STDIN_FILENO) < 0 ? -1 : 0;
}

static int open_input(const char *text)
{
	int fd = memfd_create("credentials", MFD_CLOEXEC);

	if (fd < 0 || write_full(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET) < 0) {
		close_keep_errno(fd);
		return -EIO;
	}
	return fd;
}

/* Runs docker-credential-NAME VERB. output may be NULL. */
static int call_helper(const char *name, const char *verb, const char *input, char **output,
	struct arrow_error *error)
{
	_cleanup_free_ char *program = path_format("docker-credential-%s", name);
	_cleanup_close_ int fd = open_input(input);
	const char *argv[] = {program, verb, NULL};
	const struct process_options options = {
		.argv = argv,
		.userns_fd = -1,
		.deadline_ms = HELPER_DEADLINE_MS,
		.output = output,
		.prepare = take_input,
		.arg = &fd,
	};

	if (!program || fd < 0)
		return arrow_fail(error, ENOMEM, "cannot call the credential helper %s", name);
	return process_run(&options, error);
}

/* Helpers know Docker Hub by the URL that docker stores it under. */
static const char *helper_key(const char *host)
{
	return strcmp(host, "docker.io") == 0 ? CREDENTIALS_DOCKER_HUB : host;
}

static int ask_helper(struct credentials *c, const char *name, const char *host, const char *file,
	struct arrow_error *error)
{
	_cleanup_error_ struct arrow_error why = ARROW_ERROR_INIT;
	_cleanup_free_ char *output = NULL;
	int r = call_helper(name, "get", helper_key(host), &output, &why);

	/* Having none is told by a failure, with this text of the protocol. */
	if (r == -EIO && ((output && strstr(output, "credentials not found")) ||
				 (why.text && strstr(why.text, "credentials not found"))))
		return 0;
	if (r < 0)
		return arrow_fail(error, -r,
			"cannot get the credentials of %s: %s; the helper is named in %s", host,
			why.text, file);
	r = credentials_parse_helper(c, output, strlen(output));
	OPENSSL_cleanse(output, strlen(output));
	if (r < 0)
		return arrow_fail(error, -r,
			"docker-credential-%s, named in %s, does not answer as a credential helper should",
			name, file);
	return r;
}

int credentials_find(struct credentials *c, const struct registry_settings *settings,
	const char *host, const char *repository, struct arrow_error *error)
{
	_cleanup_files_ struct files files = {0};

	*c = (struct credentials){0};
	if (find_files(&files, settings) < 0)
		return arrow_no_memory(error);
	for (size_t i = 0; i < files.n; i++) {
		const char *path = files.paths[i];
		_cleanup_free_ char *text = NULL, *helper = NULL;
		size_t size = 0;
		int r = read_config(path, &text, &size, error);

		/* Another program's file that we may not read is not ours to complain of. */
		if (r == -EACCES && i > 0) {
			arrow_error_clear(error);
			continue;
		}
		if (r < 0)
			return r;
		r = credentials_parse(c, text, size, host, repository, &helper);
		OPENSSL_cleanse(text, size);
		if (r < 0)
			return bad_file(path, error);
		if (helper)
			r = ask_helper(c, helper, host, path, error);
		if (r < 0)
			return r;
		if (r > 0) {
			c->source =
				helper ? path_format("docker-credential-%s", helper) : strdup(path);
			return c->source ? 0 : arrow_no_memory(error);
		}
	}
	return 0;
}

/* The file's directory is made, and a symbolic link to the file is kept. */
static char *real_target(const char *path)
{
	_cleanup_free_ char *dir = strdup(path);
	char *slash = dir ? strrchr(dir, '/') : NULL;
	char *real;

	if (slash && slash != dir) {
		*slash = '\0';
		if (mkdir_all(dir, 0700) < 0)
			return NULL;
	}
	real = realpath(path, NULL);
	return real ? real : strdup(path);
}

/*
 * Locks the file against another arrow that changes it, by one beside it that nobody else can lock,
 * as others could the directory. A descriptor, or -errno.
 */
static int lock_beside(const char *path)
{
	_cleanup_free_ char *name = path_format("%s.lock", path);
	_cleanup_close_ int fd = -1;

	if (!name)
		return -ENOMEM;
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	while (fd >= 0 && flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return -errno;
	return fd < 0 ? -errno : steal_fd(&fd);
}

/* lock: what lock_beside() gave before the file was read; what was not locked is not written. */
static int write_config(int lock, const char *path, const json_t *file, struct arrow_error *error)
{
	_cleanup_free_ char *text = json_dumps(file, JSON_INDENT(8));
	int e = lock < 0 ? lock : -ENOMEM;

	if (lock >= 0 && text) {
		e = write_file_atomic(AT_FDCWD, path, 0600, text, strlen(text));
		OPENSSL_cleanse(text, strlen(text));
	}
	if (e < 0)
		return arrow_fail(error, -e, "cannot write the credentials in %s: %m", path);
	return 0;
}

static json_t *object_at(json_t *file, const char *key)
{
	json_t *object = json_object_get(file, key);

	if (!json_is_object(object)) {
		object = json_object();
		if (json_object_set_new(file, key, object) < 0)
			return NULL;
	}
	return object;
}

/* {"auth": base64(user:password)} as docker writes it. */
static json_t *make_entry(const struct credentials *c)
{
	_cleanup_free_ char *pair =
		path_format("%s:%s", c->username, c->password ? c->password : "");
	_cleanup_free_ unsigned char *auth = NULL;
	json_t *entry;
	size_t n;

	if (!pair)
		return NULL;
	n = strlen(pair);
	auth = calloc(1, (n + 2) / 3 * 4 + 1);
	if (!auth)
		return NULL;
	EVP_EncodeBlock(auth, (const unsigned char *)pair, (int)n);
	entry = json_pack("{s:s}", "auth", (const char *)auth);
	if (entry && c->token)
		json_object_set_new(entry, "identitytoken", json_string(c->token));
	OPENSSL_cleanse(pair, n);
	OPENSSL_cleanse(auth, strlen((char *)auth));
	return entry;
}

static int store_by_helper(
	const struct credentials *c, const char *name, const char *host, struct arrow_error *error)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "ServerURL", helper_key(host), "Username",
		c->token ? "<token>" : c->username, "Secret", c->token ? c->token : c->password);
	_cleanup_free_ char *input = o ? json_dumps(o, JSON_COMPACT) : NULL;
	int r;

	json_decref(o);
	if (!input)
		return arrow_fail(error, EINVAL,
			"cannot store a password that is not UTF-8 by docker-credential-%s", name);
	r = call_helper(name, "store", input, NULL, error);
	OPENSSL_cleanse(input, strlen(input));
	return arrow_error_prefix(error, r, "cannot store the credentials of %s", host);
}

int credentials_store(const struct credentials *c, const struct registry_settings *settings,
	const char *host, char **where, bool *plain, struct arrow_error *error)
{
	_cleanup_files_ struct files files = {0};
	_cleanup_free_ char *path = NULL, *text = NULL, *helper = NULL;
	_cleanup_credentials_ struct credentials old = {0};
	_cleanup_close_ int lock = -1;
	json_t *file, *auths, *entry;
	size_t size;
	int r;

	if (find_files(&files, settings) < 0)
		return arrow_no_memory(error);
	path = real_target(files.paths[0]);
	if (!path)
		return arrow_fail(
			error, errno, "cannot make the directory of %s: %m", files.paths[0]);
	lock = lock_beside(path);
	r = read_config(path, &text, &size, error);
	if (r < 0)
		return r;
	r = credentials_parse(&old, text, size, host, NULL, &helper);
	if (r < 0)
		return bad_file(path, error);
	*plain = !helper;
	*where = helper ? path_format("docker-credential-%s", helper) : strdup(path);
	if (!*where)
		return arrow_no_memory(error);
	if (helper && (r = store_by_helper(c, helper, host, error)) < 0)
		return r;

	file = json_loadb(text, size, 0, NULL);
	auths = object_at(file, "auths");
	entry = helper ? json_object() : make_entry(c);
	if (!entry || json_object_set_new(auths, helper_key(host), entry) < 0)
		r = arrow_fail(error, ENOMEM, "cannot keep the credentials of %s", host);
	else
		r = write_config(lock, path, file, error);
	json_decref(file);
	return r < 0 ? r : 0;
}

/* Takes a host's entries out of one file, and out of its helper. Returns whether it had any. */
static int erase_in(const char *path, const char *host, struct arrow_error *error)
{
	_cleanup_free_ char *real = realpath(path, NULL);
	_cleanup_credentials_ struct credentials old = {0};
	_cleanup_free_ char *text = NULL, *helper = NULL;
	_cleanup_close_ int lock = -1;
	bool had = false;
	size_t size;
	int r;

	/* A file that is not there has no entries, and gets no lock beside it. */
	if (!real && errno == ENOENT)
		return 0;
	lock = lock_beside(real ? real : path);
	r = read_config(path, &text, &size, error);
	if (r < 0)
		return r;
	r = credentials_parse(&old, text, size, host, NULL, &helper);
	if (r < 0)
		return bad_file(path, error);
	if (helper) {
		_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;

		had = call_helper(helper, "erase", helper_key(host), NULL, &ignored) == 0;
	}
	if (r > 0) {
		json_t *file = json_loadb(text, size, 0, NULL);
		json_t *auths = json_object_get(file, "auths");

		r = (json_object_del(auths, host) == 0) +
		    (json_object_del(auths, helper_key(host)) == 0);
		if (r > 0) {
			had = true;
			r = write_config(lock, real ? real : path, file, error);
		}
		json_decref(file);
	}
	return r < 0 ? r : had;
}

int credentials_erase(const struct registry_settings *settings, const char *host, unsigned int *n,
	struct arrow_error *error)
{
	_cleanup_files_ struct files files = {0};

	*n = 0;
	if (find_files(&files, settings) < 0)
		return arrow_no_memory(error);
	for (size_t i = 0; i < files.n; i++) {
		int r = erase_in(files.paths[i], host, error);

		if (r < 0)
			return r;
		*n += (unsigned int)r;
	}
	return 0;
}
