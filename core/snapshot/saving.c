// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/template/jailroot.h"
#include "core/snapshot/saved_files.h"
#include "core/spec/spec_json.h"
#include "core/template/idle.h"
#include "util/cleanup.h"
#include "util/io.h"

#define CONVERT_DEADLINE_MS 300000u

uint64_t saved_memory(const struct arrow_spec *spec)
{
	return (spec->limits.memory + (1u << 20) - 1) & ~((1ull << 20) - 1);
}

int saved_about_digest(const json_t *about, char hex[DIGEST_HEX])
{
	json_t *rest = json_copy((json_t *)about);
	_cleanup_free_ char *text = NULL;

	json_object_del(rest, "digest");
	text = rest ? json_dumps(rest, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
	json_decref(rest);
	return text ? digest_data(text, strlen(text), hex) : -ENOMEM;
}

int saved_identity(const struct arrow_engine_choice *choice, char **text, struct arrow_error *error)
{
	size_t size = 0;
	FILE *f = open_memstream(text, &size);
	int r;

	if (!f)
		return arrow_fail(error, ENOMEM, "out of memory");
	r = choice->engine->identify(f, choice->mode, choice->settings, error);
	if (fclose(f) != 0 && r == 0)
		r = arrow_fail(error, ENOMEM, "out of memory");
	return r;
}

static int saving_fail_write(const struct arrow_saving *s, int err, struct arrow_error *error)
{
	return arrow_fail(error, err, "cannot save to %s: %m", s->dir);
}

/* The lock of a killed one is free. One that is held is somebody's who saves there now. */
static int saving_lock_partial(struct arrow_saving *s, struct arrow_error *error)
{
	for (int tries = 0; tries < 2; tries++) {
		if (mkdir(s->partial, 0700) == 0) {
			s->partial_fd = open(s->partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			if (s->partial_fd < 0 || flock(s->partial_fd, LOCK_EX | LOCK_NB) < 0)
				return saving_fail_write(s, errno, error);
			return 0;
		}
		if (errno != EEXIST)
			return saving_fail_write(s, errno, error);
		s->partial_fd = open(s->partial, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (s->partial_fd < 0 || flock(s->partial_fd, LOCK_EX | LOCK_NB) < 0) {
			int err = errno;

			close_keep_errno(steal_fd(&s->partial_fd));
			return arrow_fail(error, err == EWOULDBLOCK ? EBUSY : err,
				"another 'arrow save' is writing to %s", s->partial);
		}
		remove_tree(AT_FDCWD, s->partial);
		close_keep_errno(steal_fd(&s->partial_fd));
	}
	return saving_fail_write(s, EEXIST, error);
}

/* An empty file, for the keeper to write. */
static int saving_make_file(
	const struct arrow_saving *s, const char *name, struct arrow_error *error)
{
	_cleanup_close_ int fd =
		openat(s->partial_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd < 0 ? saving_fail_write(s, errno, error) : 0;
}

int arrow_saving_begin(struct arrow_saving *s, const char *dir, struct arrow_error *error)
{
	_cleanup_free_ char *cwd = dir[0] == '/' ? NULL : getcwd(NULL, 0);
	size_t n = strlen(dir);
	int r;

	*s = (struct arrow_saving){.partial_fd = -1};
	while (n > 1 && dir[n - 1] == '/')
		n--;
	s->dir = path_format("%s%s%.*s", cwd ? cwd : "", cwd ? "/" : "", (int)n, dir);
	s->partial = s->dir ? path_format("%s.partial", s->dir) : NULL;
	s->stream = s->dir ? path_format("%s/stream", s->partial) : NULL;
	if (!s->dir || !s->partial || !s->stream)
		r = arrow_fail(error, ENOMEM, "out of memory");
	else if (rmdir(s->dir) < 0 && errno != ENOENT)
		r = errno == ENOTDIR || errno == ENOTEMPTY || errno == EEXIST
			    ? arrow_fail(error, EEXIST,
				      "cannot save to %s: %s already exists there; remove it, or choose another directory",
				      dir,
				      errno == ENOTDIR ? "a file" : "a directory that is not empty")
			    : saving_fail_write(s, errno, error);
	else
		r = saving_lock_partial(s, error);
	if (r == 0)
		r = saving_make_file(s, "stream", error);
	if (r == 0)
		r = saving_make_file(s, "blocks", error);
	if (r < 0)
		arrow_saving_end(s);
	return r;
}

/* Runs the VM's events until it is loaded. */
static int saving_wait_loaded(struct arrow_vm *vm, struct arrow_error *error)
{
	uint64_t end = now_ms() + CONVERT_DEADLINE_MS, now;

	while (!vm->loaded) {
		struct pollfd p[ARROW_VM_FDS];

		for (unsigned int i = 0; i < ARROW_VM_FDS; i++)
			p[i] = (struct pollfd){vm->fds[i], POLLIN, 0};
		now = now_ms();
		if (now >= end)
			return arrow_fail(error, ETIMEDOUT,
				"%s did not load the saved VM within %u s", vm->engine->name,
				CONVERT_DEADLINE_MS / 1000);
		if (poll(p, ARROW_VM_FDS, (int)(end - now)) < 0 && errno != EINTR)
			return arrow_fail(error, errno, "cannot wait for the saved VM to load: %m");
		for (unsigned int i = 0; i < ARROW_VM_FDS; i++) {
			if (p[i].revents && vm->engine->handle(vm, i) == ARROW_VM_ENDED)
				return arrow_fail(
					error, EIO, "%s", vm->ended ? vm->ended : "it ended");
		}
		if (vm->problem && !vm->loaded)
			return arrow_fail(error, EIO, "%s", vm->problem);
	}
	return 0;
}

/*
 * The engine that is to restore it loads it here, without running it: into a memory file that
 * others can map. What it cannot load is found now, not at the first restore.
 */
static int saving_convert(const struct arrow_saving *s, const struct arrow_paths *paths,
	const struct arrow_engine_choice *choice, const struct arrow_saved_facts *facts, int ram_fd,
	int state_fd, struct arrow_error *error)
{
	struct arrow_nic nics[NET_CARDS_MAX];
	_cleanup_free_ char *jail = NULL;
	const struct arrow_disk disk = {.fd = -1};
	_cleanup_close_ int stream_fd = open(s->stream, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int channel = -1, console = -1, channel_guest = -1, console_guest = -1;
	struct arrow_vm_config config = {
		.name = "saved",
		.kernel_fd = -1,
		.initrd_fd = -1,
		.append = "",
		.memory = saved_memory(facts->spec),
		.vcpus = arrow_spec_vcpus(facts->spec),
		.disks = &disk,
		.n_disks = 1,
		.nics = facts->nics,
		.n_nics = facts->n_nics,
		.origin = ARROW_VM_CONVERT,
		.ram_fd = ram_fd,
		.state_fd = state_fd,
		.stream_fd = stream_fd,
		.share_fd = -1,
		.userns_fd = -1,
		.mode = choice->mode,
		.settings = choice->settings,
		.tsc_khz = choice->tsc_khz,
	};
	struct arrow_vm *vm = NULL;
	int pair[2], r;

	if (stream_fd < 0 || ftruncate(ram_fd, (off_t)config.memory) < 0)
		return saving_fail_write(s, errno, error);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return saving_fail_write(s, errno, error);
	channel = pair[0];
	config.channel_fd = channel_guest = pair[1];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return saving_fail_write(s, errno, error);
	console = pair[0];
	config.console_fd = console_guest = pair[1];

	r = arrow_jail_root(paths->data, choice->engine, choice->settings, &jail, error);
	config.jail_root = jail;
	if (r == 0)
		r = arrow_idle_nics_open(nics, &config, error);
	if (r < 0)
		return r;
	config.nics = nics;
	r = choice->engine->start(&vm, &config, error);
	if (r == 0)
		r = saving_wait_loaded(vm, error);
	if (r == 0)
		r = choice->engine->save(vm, CONVERT_DEADLINE_MS, error);
	if (vm)
		choice->engine->free(vm);
	arrow_idle_nics_close(nics, config.n_nics);
	/* The engine's process had made the memory its own. */
	if (r == 0 && (fchown(ram_fd, geteuid(), getegid()) < 0 || fchmod(ram_fd, 0600) < 0))
		r = arrow_fail(error, errno, "cannot take ownership of its memory file: %m");
	return r < 0 ? arrow_error_prefix(error, r, "cannot save to %s", s->dir) : 0;
}

/* The root image as it is: a second name where the file system can, else a copy. */
static int saving_add_root(const struct arrow_saving *s, int root_fd, struct arrow_error *error)
{
	_cleanup_free_ char *link = path_format("/proc/self/fd/%d", root_fd);
	_cleanup_close_ int fd = -1;
	off_t at = 0;
	ssize_t n;

	if (!link)
		return arrow_fail(error, ENOMEM, "out of memory");
	if (linkat(AT_FDCWD, link, s->partial_fd, "root", AT_SYMLINK_FOLLOW) == 0)
		return 0;
	fd = openat(s->partial_fd, "root", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return saving_fail_write(s, errno, error);
	while ((n = copy_file_range(root_fd, &at, fd, NULL, 1u << 30, 0)) > 0)
		;
	if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))
		while ((n = sendfile(fd, root_fd, &at, 1u << 30)) > 0)
			;
	return n < 0 || fsync(fd) < 0 ? saving_fail_write(s, errno, error) : 0;
}

static int saving_describe(const struct arrow_saving *s, const struct arrow_engine_choice *choice,
	const struct arrow_saved_facts *facts, const int fds[4], struct arrow_error *error)
{
	static const char *const names[] = {"ram", "state", "root", "blocks"};
	_cleanup_free_ char *identity = NULL, *version = NULL, *text = NULL;
	json_t *digests = json_object(), *cards = json_array(), *about;
	char hex[DIGEST_HEX], when[TIME_TEXT];
	int r = saved_identity(choice, &identity, error);

	if (r == 0)
		r = choice->engine->probe(choice->settings, &version, error);
	for (size_t i = 0; r == 0 && i < 4; i++) {
		if (fds[i] < 0)
			continue;
		r = digest_sparse(fds[i], hex);
		if (r < 0)
			r = saving_fail_write(s, -r, error);
		json_object_set_new(digests, names[i], json_string(hex));
	}
	for (unsigned int i = 0; i < facts->n_nics; i++)
		json_array_append_new(cards, json_integer(facts->nics[i].kind));
	if (r < 0) {
		json_decref(digests);
		json_decref(cards);
		return r;
	}
	time_text(time(NULL), when);
	about = json_pack(
		"{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:o, s:o, s:{s:s, s:s, s:s, s:s, s:I}, "
		"s:o}",
		"format", SAVED_FORMAT, "saved", when, "arrow", ARROW_VERSION, "id", facts->id,
		"name", facts->name, "kernel", facts->kernel, "image", facts->image, "stdin",
		(int)facts->stdin_open, "digests", digests, "cards", cards, "machine", "engine",
		choice->engine->name, "accel", choice->mode->name, "version", version, "identity",
		identity, "tsc_khz", (json_int_t)choice->tsc_khz, "spec",
		arrow_spec_to_json(facts->spec));
	if (about && saved_about_digest(about, hex) == 0 &&
		json_object_set_new(about, "digest", json_string(hex)) == 0)
		text = json_dumps(about, JSON_INDENT(2));
	json_decref(about);
	if (!text)
		return arrow_fail(error, ENOMEM, "out of memory");
	r = write_file_atomic(s->partial_fd, "arrow.json", 0600, text, strlen(text));
	return r < 0 ? saving_fail_write(s, -r, error) : 0;
}

/* What the engine has translated, or -1: an empty file is none. */
static int saving_open_code(const struct arrow_saving *s)
{
	int fd = openat(s->partial_fd, "blocks", O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0)
		return fd;
	close_keep_errno(fd);
	unlinkat(s->partial_fd, "blocks", 0);
	return -1;
}

int arrow_saving_finish(struct arrow_saving *s, const struct arrow_paths *paths,
	const struct arrow_saved_facts *facts, struct arrow_error *error)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
	_cleanup_close_ int ram_fd = openat(s->partial_fd, "ram", flags, 0600);
	_cleanup_close_ int state_fd = openat(s->partial_fd, "state", flags, 0600);
	_cleanup_close_ int code_fd = saving_open_code(s);
	_cleanup_free_ char *engine = path_format("%s:%s", facts->engine, facts->accel);
	struct arrow_engine_choice choice;
	int r = ram_fd < 0 || state_fd < 0 ? saving_fail_write(s, errno, error) : 0;

	if (r == 0)
		r = engine ? arrow_engine_choose(
				     &choice, engine, facts->settings, paths->run, error)
			   : arrow_fail(error, ENOMEM, "out of memory");
	if (r == 0)
		r = saving_convert(s, paths, &choice, facts, ram_fd, state_fd, error);
	if (r == 0)
		r = saving_add_root(s, facts->root_fd, error);
	if (r == 0)
		r = saving_describe(s, &choice, facts,
			(int[]){ram_fd, state_fd, facts->root_fd, code_fd}, error);
	if (r == 0 && (unlink(s->stream) < 0 || fsync(ram_fd) < 0 || fsync(state_fd) < 0 ||
			      (code_fd >= 0 && fsync(code_fd) < 0) || fsync(s->partial_fd) < 0 ||
			      rename(s->partial, s->dir) < 0))
		r = saving_fail_write(s, errno, error);
	return r;
}

void arrow_saving_end(struct arrow_saving *s)
{
	/* Ours only if we have its lock; once it has its name there is nothing here. */
	if (s->partial_fd >= 0)
		remove_tree(AT_FDCWD, s->partial);
	close_keep_errno(s->partial_fd);
	free(s->dir);
	free(s->partial);
	free(s->stream);
	*s = (struct arrow_saving){.partial_fd = -1};
}
