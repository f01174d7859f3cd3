// SPDX-License-Identifier: Apache-2.0
#include "core/client/copy.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/client/entries.h"
#include "core/client/exec.h"
#include "core/client/manage.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/sigpipe.h"

/*
 * Docker's rules. A source that ends in "/." is what is in it. A destination that is a directory
 * gets the source in it; one that is a file is replaced by a file, and refuses a directory; one
 * that is not there is what the source is then called, unless it ends in "/".
 */

static void cleanup_writer(struct archive **a)
{
	archive_write_free(*a);
}

static void cleanup_reader(struct archive **a)
{
	archive_read_free(*a);
}

/* A destination, as far as the rules ask for it. */
struct place {
	bool exists, directory;
	char *path; /* links resolved, where it exists; owned */
};

/* Where the source goes: what it is called, in which directory. */
struct target {
	char *directory; /* owned */
	char *name;      /* owned; NULL: as it is called */
};

static void target_release(struct target *t)
{
	free(t->directory);
	free(t->name);
}

#define _cleanup_target_ __attribute__((cleanup(target_release)))

static bool ends_in(const char *path, const char *end)
{
	size_t n = strlen(path), m = strlen(end);

	return n >= m && strcmp(path + n - m, end) == 0;
}

/* A path means a directory by its look. */
static bool names_directory(const char *path)
{
	return ends_in(path, "/") || ends_in(path, "/.") || strcmp(path, ".") == 0;
}

static bool names_content(const char *path)
{
	return ends_in(path, "/.") || strcmp(path, ".") == 0;
}

/* The last part of a path; "." for a root, and for what ends in one. Owned by the caller. */
static char *base_of(const char *path)
{
	size_t end = strlen(path), start;

	while (end > 1 && path[end - 1] == '/')
		end--;
	start = end;
	while (start > 0 && path[start - 1] != '/')
		start--;
	return end > start && path[start] != '/' ? strndup(path + start, end - start) : strdup(".");
}

/* What is in front of the last part. Owned by the caller. */
static char *parent_of(const char *path)
{
	size_t end = strlen(path);

	while (end > 1 && path[end - 1] == '/')
		end--;
	while (end > 0 && path[end - 1] != '/')
		end--;
	while (end > 1 && path[end - 1] == '/')
		end--;
	return end > 0 ? strndup(path, end) : strdup(".");
}

static int copy_choose_target(const struct place *place, const char *asked,
	bool source_is_directory, struct target *target, struct arrow_error *error)
{
	if (place->exists && place->directory) {
		target->directory = strdup(place->path);
	} else if (place->exists && source_is_directory) {
		return arrow_fail(error, ENOTDIR,
			"cannot copy directory: the destination '%s' is a file", asked);
	} else if (!place->exists && !source_is_directory && names_directory(asked)) {
		return arrow_fail(error, ENOENT, "no such directory: '%s'", asked);
	} else {
		const char *path = place->exists ? place->path : asked;

		/* A directory by the look of it, that is not there: what it shall be called. */
		target->name = base_of(path);
		target->directory = parent_of(path);
		if (target->name && strcmp(target->name, ".") == 0) {
			_cleanup_free_ char *without = parent_of(path);

			free(target->name);
			free(target->directory);
			target->name = without ? base_of(without) : NULL;
			target->directory = without ? parent_of(without) : NULL;
		}
		if (!target->name)
			return arrow_no_memory(error);
	}
	return target->directory ? 0 : arrow_no_memory(error);
}

/* An absolute path in the Arrow. Owned by the caller. */
static char *guest_path(const char *path)
{
	return path_format("%s%s", path[0] == '/' ? "" : "/", path);
}

/*
 * Looks at a path of the Arrow.
 *   follow:     what it leads to counts, where it is a link
 *   may_be_missing: a path that is not there is a place that does not exist, else an error
 */
static int copy_look_in_guest(const struct arrow_paths *paths, const struct arrow_copy *copy,
	const char *path, bool follow, bool may_be_missing, struct place *place,
	struct arrow_error *error)
{
	const char *argv[] = {"look", path, NULL};
	_cleanup_free_ struct entries_reader *reader = calloc(1, sizeof(*reader));
	struct arrow_worker worker;
	int r, found = 0;

	if (!reader)
		return arrow_no_memory(error);
	r = arrow_worker_start(paths, copy->name, argv, ARROW_WORKER_SHORT, &worker, error);
	if (r < 0)
		return r;
	reader->fd = worker.out;
	while (found < 3 && (r = entries_next(reader, error)) > 0) {
		/* The second tells of what a link leads to. */
		if (found++ > 0 && !follow)
			continue;
		place->exists = reader->e.type != ENTRY_LINK || !follow;
		place->directory = reader->e.type == ENTRY_DIRECTORY;
		free(place->path);
		place->path = guest_path(strcmp(reader->name, ".") == 0 ? "" : reader->name);
		if (!place->path)
			r = arrow_no_memory(error);
	}
	if (r == -ENOENT && found == 0 && may_be_missing) {
		arrow_error_clear(error);
		r = 0;
	}
	return arrow_worker_end(&worker, r > 0 ? 0 : r, error);
}

/* Writes what a worker sends, as a tar or into the current directory. */
static int copy_extract(int fd, const struct arrow_copy *copy,
	const struct entries_options *options, bool on_disk, struct arrow_error *error)
{
	__attribute__((cleanup(cleanup_writer))) struct archive *to =
		on_disk ? archive_write_disk_new() : archive_write_new();
	int flags = ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_XATTR |
		    ARCHIVE_EXTRACT_UNLINK | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
		    ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS;
	int r;

	if (!to)
		return arrow_no_memory(error);
	if (on_disk) {
		r = archive_write_disk_set_options(
			to, flags | (copy->owners ? ARCHIVE_EXTRACT_OWNER : 0));
	} else {
		r = archive_write_set_format_pax_restricted(to);
		if (r == ARCHIVE_OK)
			r = archive_write_open_fd(to, STDOUT_FILENO);
	}
	if (r != ARCHIVE_OK)
		return arrow_fail(
			error, EIO, "cannot write the copy: %s", archive_error_string(to));
	r = entries_extract(fd, options, to, on_disk, error);
	/* What is open of it is closed in any case; an error before is the one that counts. */
	if (archive_write_close(to) < ARCHIVE_WARN && r == 0)
		r = arrow_fail(error, EIO, "cannot write the copy: %s", archive_error_string(to));
	return r;
}

static int copy_out_to(const struct arrow_paths *paths, const struct arrow_copy *copy,
	const char *guest, const struct entries_options *options, bool on_disk,
	struct arrow_error *error)
{
	const char *argv[] = {"send", guest, copy->follow ? "-L" : NULL, NULL};
	struct arrow_worker worker;
	int r = arrow_worker_start(paths, copy->name, argv, 0, &worker, error);

	if (r < 0)
		return r;
	r = copy_extract(worker.out, copy, options, on_disk, error);
	return arrow_worker_end(&worker, r, error);
}

static int copy_look_here(const char *path, struct place *place, struct arrow_error *error)
{
	struct stat st;

	place->exists = stat(path, &st) == 0;
	if (!place->exists)
		return errno == ENOENT ? 0 : arrow_fail(error, errno, "%s: %m", path);
	place->directory = S_ISDIR(st.st_mode);
	place->path = realpath(path, NULL);
	return place->path ? 0 : arrow_fail(error, errno, "%s: %m", path);
}

static int copy_out(
	const struct arrow_paths *paths, const struct arrow_copy *copy, struct arrow_error *error)
{
	_cleanup_target_ struct target target = {0};
	_cleanup_free_ char *guest = guest_path(copy->guest);
	_cleanup_free_ char *last = base_of(copy->guest);
	/* Of what ends in "..", the content comes. */
	const char *base = last && strcmp(last, "..") == 0 ? "." : last;
	struct entries_options options = {.from = base, .owners = copy->owners};
	struct place source = {0}, place = {0};
	int r;

	if (!guest || !base)
		return arrow_no_memory(error);
	if (strcmp(copy->host, "-") == 0) {
		options.owners = true; /* a tar says whose each file is */
		return copy_out_to(paths, copy, guest, &options, false, error);
	}
	r = copy_look_in_guest(paths, copy, guest, copy->follow || names_directory(copy->guest),
		false, &source, error);
	if (r == 0)
		r = copy_look_here(copy->host, &place, error);
	if (r == 0)
		r = copy_choose_target(&place, copy->host, source.directory, &target, error);
	if (r == 0 && !target.directory)
		r = arrow_no_memory(error);
	free(source.path);
	free(place.path);
	if (r != 0)
		return r;
	if (chdir(target.directory) < 0)
		return arrow_fail(error, errno, "no such directory: '%s': %m", target.directory);
	options.to = target.name;
	options.single = !source.directory;
	/* The content of a directory becomes the directory of that name. */
	if (target.name && strcmp(base, ".") == 0) {
		if (mkdir(target.name, 0755) < 0 || chdir(target.name) < 0)
			return arrow_fail(error, errno, "cannot make '%s': %m", target.name);
	}
	return copy_out_to(paths, copy, guest, &options, true, error);
}

/* What the worker says when it has taken all, or why it has not. */
static int copy_read_answer(struct arrow_worker *worker, int r, struct arrow_error *error)
{
	_cleanup_free_ struct entries_reader *reader = calloc(1, sizeof(*reader));
	_cleanup_error_ struct arrow_error theirs = ARROW_ERROR_INIT;
	int answer;

	close_keep_errno(steal_fd(&worker->in));
	if (!reader)
		return r;
	reader->fd = worker->out;
	answer = entries_next(reader, &theirs);
	/* The Arrow knows best why it takes no more. */
	if (answer == 0 || (r < 0 && r != -EPIPE))
		return r;
	arrow_error_clear(error);
	return arrow_fail(
		error, EIO, "%s", theirs.text ? theirs.text : "the Arrow sent an invalid answer");
}

static int copy_send_stdin(int fd, const struct entries_options *options, struct arrow_error *error)
{
	__attribute__((cleanup(cleanup_reader))) struct archive *from = archive_read_new();

	if (!from)
		return arrow_no_memory(error);
	archive_read_support_filter_all(from);
	archive_read_support_format_tar(from);
	archive_read_support_format_empty(from);
	if (archive_read_open_fd(from, STDIN_FILENO, 65536) != ARCHIVE_OK)
		return arrow_fail(error, EINVAL, "stdin is not a tar archive: %s",
			archive_error_string(from));
	return entries_send_archive(from, fd, options, error);
}

static int copy_in_to(const struct arrow_paths *paths, const struct arrow_copy *copy,
	const char *source, const char *directory, const struct entries_options *options,
	struct arrow_error *error)
{
	/* The worker says why it takes no more. */
	_cleanup_sigpipe_ struct sigpipe_block block = sigpipe_block();
	const char *argv[] = {"receive", directory, NULL};
	struct arrow_worker worker;
	int r = arrow_worker_start(paths, copy->name, argv, ARROW_WORKER_INPUT, &worker, error);

	if (r < 0)
		return r;
	r = source ? entries_send_path(source, copy->follow, worker.in, options, error)
		   : copy_send_stdin(worker.in, options, error);
	r = copy_read_answer(&worker, r, error);
	return arrow_worker_end(&worker, r, error);
}

static int copy_in(
	const struct arrow_paths *paths, const struct arrow_copy *copy, struct arrow_error *error)
{
	bool from_stdin = strcmp(copy->host, "-") == 0;
	_cleanup_target_ struct target target = {0};
	_cleanup_free_ char *guest = guest_path(copy->guest);
	_cleanup_free_ char *base = base_of(copy->host);
	/* A tar says whose each file is. */
	struct entries_options options = {.from = base, .owners = copy->owners || from_stdin};
	struct place place = {0};
	struct stat st;
	int r;

	if (!guest || !base)
		return arrow_no_memory(error);
	/* A link with a slash behind it is what it leads to, without a word of ours. */
	if (!from_stdin && (copy->follow ? stat(copy->host, &st) : lstat(copy->host, &st)) < 0)
		return arrow_fail(error, errno, "%s: %m", copy->host);
	r = copy_look_in_guest(paths, copy, guest, true, true, &place, error);
	if (r == 0 && from_stdin && !(place.exists && place.directory))
		r = arrow_fail(error, ENOTDIR, "the destination '%s' must be a directory", guest);
	if (r == 0)
		r = copy_choose_target(
			&place, guest, !from_stdin && S_ISDIR(st.st_mode), &target, error);
	free(place.path);
	if (r < 0)
		return r;
	options.to = names_content(copy->host) && !target.name ? "." : target.name;
	if (strcmp(base, ".") == 0 && !options.to)
		options.to = ".";
	return copy_in_to(
		paths, copy, from_stdin ? NULL : copy->host, target.directory, &options, error);
}

int arrow_copy_out(
	const struct arrow_paths *paths, const struct arrow_copy *copy, struct arrow_error *error)
{
	int r = libarchive_load(error);

	if (r == 0)
		r = copy_out(paths, copy, error);
	if (r == 0)
		arrow_event_named(paths, copy->name, "archive-path");
	return r;
}

int arrow_copy_in(
	const struct arrow_paths *paths, const struct arrow_copy *copy, struct arrow_error *error)
{
	int r = libarchive_load(error);

	if (r == 0)
		r = copy_in(paths, copy, error);
	if (r == 0)
		arrow_event_named(paths, copy->name, "extract-to-dir");
	return r;
}
