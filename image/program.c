// SPDX-License-Identifier: Apache-2.0
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/closure.h"
#include "image/erofs.h"
#include "image/index.h"
#include "image/program.h"
#include "image/store.h"
#include "util/cleanup.h"
#include "util/digest.h"
#include "util/io.h"
#include "util/process.h"

/* First in what is hashed; another one makes all images anew. */
#define FORMAT "arrow-program-image 2"
#define COPY_SIZE ((size_t)256 * 1024)
#define CHANGES_MAX 2

/* What a program's root holds beside it. */
static const struct skeleton {
	const char *path; /* relative; parents first */
	mode_t mode;
	const char *content; /* NULL for a directory */
} skeleton[] = {
	{"bin", 0755, NULL},
	{"dev", 0755, NULL},
	{"etc", 0755, NULL},
	{"etc/group", 0644, "root:x:0:\nnobody:x:65534:\n"},
	{"etc/nsswitch.conf", 0644, "passwd: files\ngroup: files\nhosts: files dns\n"},
	{"etc/passwd", 0644,
		"root:x:0:0:root:/root:/bin/sh\n"
		"nobody:x:65534:65534:nobody:/:/bin/false\n"},
	{"proc", 0755, NULL},
	{"root", 0700, NULL},
	{"run", 0755, NULL},
	{"sys", 0755, NULL},
	{"tmp", 01777, NULL},
	{"usr", 0755, NULL},
	{"var", 0755, NULL},
	{"var/tmp", 01777, NULL},
};

#define SKELETON_COUNT (sizeof(skeleton) / sizeof(skeleton[0]))

/* The program as the user named it. */
struct program {
	const char *label; /* what the user typed */
	char *path;        /* where it was found */
	char *real;        /* its real path */
	const char *name;  /* points into path */
};

static void program_release(struct program *p)
{
	free(p->path);
	free(p->real);
}
#define _cleanup_program_ __attribute__((cleanup(program_release)))

/* Looks for a name in the current directory and in PATH. *path stays NULL if it is nowhere. */
static int program_find_name(const char *name, char **path)
{
	_cleanup_free_ char *here = path_format("./%s", name);
	struct stat st;

	if (!here)
		return -ENOMEM;
	*path = process_find(here);
	if (!*path)
		*path = process_find(name);
	/* Not runnable, but what the user most likely means: tell why it is not. */
	if (!*path && stat(here, &st) == 0)
		*path = STEAL(here);
	return 0;
}

bool arrow_image_has_program(const char *label)
{
	_cleanup_free_ char *path = NULL;
	struct stat st;

	if (strchr(label, '/'))
		return stat(label, &st) == 0 && S_ISREG(st.st_mode);
	return *label && program_find_name(label, &path) == 0 && path && stat(path, &st) == 0 &&
	       S_ISREG(st.st_mode);
}

static int program_fail_exec(const char *label, int err, const char *why, struct arrow_error *error)
{
	return arrow_fail_status(
		error, ARROW_STATUS_NOT_EXEC, err, "cannot run %s: %s", label, why);
}

/* Sets the error for a path that cannot be looked at. */
static int program_fail_missing(const char *label, int err, struct arrow_error *error)
{
	if (err == ENOENT)
		return arrow_fail_status(
			error, ARROW_STATUS_NOT_FOUND, err, "cannot run %s: no such file", label);
	if (err == ENOTDIR)
		return arrow_fail_status(error, ARROW_STATUS_NOT_FOUND, err,
			"cannot run %s: no such file: a part of the path is not a directory",
			label);
	return arrow_fail_status(error, ARROW_STATUS_NOT_EXEC, err, "cannot run %s: %m", label);
}

/* Finds the program, and checks what the index cannot know: that this user may execute it. */
static int program_resolve(struct program *p, const char *label, struct arrow_error *error)
{
	struct stat st;

	*p = (struct program){.label = label};
	if (strchr(label, '/'))
		p->path = strdup(label);
	else if (label[0] && program_find_name(label, &p->path) == 0 && !p->path)
		return arrow_fail_status(error, ARROW_STATUS_NOT_FOUND, ENOENT,
			"cannot run %s: no such program here or in PATH", label);
	else if (!label[0])
		return arrow_fail_status(error, ARROW_STATUS_NOT_FOUND, ENOENT,
			"cannot run a program without a name");
	if (!p->path)
		return arrow_fail(error, ENOMEM, "cannot run %s: out of memory", label);

	if (stat(p->path, &st) < 0)
		return program_fail_missing(label, errno, error);
	if (S_ISDIR(st.st_mode))
		return program_fail_exec(label, EISDIR, "it is a directory", error);
	if (!S_ISREG(st.st_mode))
		return program_fail_exec(label, EACCES, "it is not a regular file", error);
	if (faccessat(AT_FDCWD, p->path, X_OK, AT_EACCESS) < 0) {
		if (errno != EACCES || (st.st_mode & 0111))
			return arrow_fail_status(error, ARROW_STATUS_NOT_EXEC, errno,
				"cannot run %s: permission denied: its mode %03o or its file system does not let you execute it",
				label, st.st_mode & 07777u);
		return arrow_fail_status(error, ARROW_STATUS_NOT_EXEC, EACCES,
			"cannot run %s: permission denied: it is not executable; run chmod +x %s",
			label, p->path);
	}
	p->real = realpath(p->path, NULL);
	if (!p->real)
		return program_fail_missing(label, errno, error);
	p->name = strrchr(p->path, '/') + 1;
	return 0;
}

/* ---- making it ---- */

static int by_guest_path(const void *a, const void *b)
{
	const struct closure_object *const *x = a;
	const struct closure_object *const *y = b;

	return strcmp((*x)->guest, (*y)->guest);
}

/* A file of the image, as it goes into the digest: path, mode, and content or link. */
static void note_file(struct digest *d, const char *path, mode_t mode, char kind, const char *what)
{
	char head[32];
	int n = snprintf(head, sizeof(head), "%c %04o /", kind, (unsigned int)mode);

	digest_add(d, head, (size_t)n);
	digest_add(d, path, strlen(path) + 1);
	digest_add(d, what, strlen(what) + 1);
}

static int stage_skeleton(int root, struct digest *d)
{
	for (size_t i = 0; i < SKELETON_COUNT; i++) {
		const struct skeleton *k = &skeleton[i];
		_cleanup_close_ int fd = -1;
		int e;

		note_file(
			d, k->path, k->mode, k->content ? 'f' : 'd', k->content ? k->content : "");
		if (!k->content) {
			if (mkdirat(root, k->path, 0700) < 0 ||
				fchmodat(root, k->path, k->mode, 0) < 0)
				return -errno;
			continue;
		}
		fd = openat(root, k->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
		e = write_full(fd, k->content, strlen(k->content));
		if (e < 0)
			return e;
		if (fchmod(fd, k->mode) < 0)
			return -errno;
	}
	return 0;
}

/* Makes the directories above a path, whatever the umask. */
static int stage_parents(int root, const char *path)
{
	_cleanup_free_ char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	for (char *p = strchr(copy, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdirat(root, copy, 0700) == 0) {
			if (fchmodat(root, copy, 0755, 0) < 0)
				return -errno;
		} else if (errno != EEXIST) {
			return -errno;
		}
		*p = '/';
	}
	return 0;
}

/* Copies a file and hashes what was copied. -ESTALE if it is not what the closure saw. */
static int program_copy_object(const struct closure_object *o, int out, char hex[DIGEST_HEX])
{
	_cleanup_close_ int in = open(o->host, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *buf = malloc(COPY_SIZE);
	char identity[IDENTITY_SIZE];
	struct digest *d;
	struct stat st;
	ssize_t n;
	int e = 0;

	if (in < 0)
		return errno == ENOENT || errno == ENOTDIR ? -ESTALE : -errno;
	d = buf ? digest_begin() : NULL;
	if (!d)
		return -ENOMEM;
	while (e == 0 && (n = read_full(in, buf, COPY_SIZE)) != 0) {
		if (n < 0) {
			e = (int)n;
			break;
		}
		digest_add(d, buf, (size_t)n);
		e = write_full(out, buf, (size_t)n);
	}
	digest_end(d, hex);
	if (e < 0)
		return e;

	if (fstat(in, &st) < 0)
		return -errno;
	identity_format(&st, identity);
	return strcmp(identity, o->identity) == 0 ? 0 : -ESTALE;
}

/* The object before this one that is the same file by another name, or NULL. */
static const struct closure_object *same_file(
	struct closure_object *const *objects, size_t i, bool *same_path)
{
	*same_path = false;
	for (size_t k = 0; k < i; k++)
		if (!strcmp(objects[k]->identity, objects[i]->identity)) {
			*same_path = !strcmp(objects[k]->guest, objects[i]->guest);
			return objects[k];
		}
	return NULL;
}

static int stage_object(int root, struct closure_object *const *objects, size_t i, struct digest *d)
{
	const struct closure_object *o = objects[i], *same;
	const char *path = o->guest + 1;
	_cleanup_close_ int fd = -1;
	char hex[DIGEST_HEX];
	bool same_path;
	int e = stage_parents(root, path);

	if (e < 0)
		return e;
	/* The loader takes two names of one file for one library, so they stay one. */
	same = same_file(objects, i, &same_path);
	if (same_path)
		return 0;
	if (same) {
		note_file(d, path, 0755, 'l', same->guest);
		return linkat(root, same->guest + 1, root, path, 0) < 0 ? -errno : 0;
	}
	fd = openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	e = program_copy_object(o, fd, hex);
	if (e < 0)
		return e;
	note_file(d, path, 0755, 'f', hex);
	return fchmod(fd, 0755) < 0 ? -errno : 0;
}

/*
 * Lays out the tree in TEMP/root and gives the digest of what it holds.
 * -ESTALE without an error set if a file changed meanwhile.
 */
static int program_lay_out(struct image_temp *t, const struct closure *c, char digest[DIGEST_HEX],
	struct arrow_error *error)
{
	_cleanup_free_ struct closure_object **sorted =
		calloc(c->object_count, sizeof(struct closure_object *));
	const char *at = NULL;
	_cleanup_close_ int root = -1;
	struct digest *d;
	int e = 0;

	if (mkdirat(t->fd, "root", 0700) < 0)
		return image_store_fail(t->store, errno, error);
	root = openat(t->fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || fchmod(root, 0755) < 0)
		return image_store_fail(t->store, errno, error);
	d = sorted ? digest_begin() : NULL;
	if (!d)
		return image_store_fail(t->store, ENOMEM, error);

	memcpy(sorted, c->objects, c->object_count * sizeof(struct closure_object *));
	qsort(sorted, c->object_count, sizeof(struct closure_object *), by_guest_path);
	digest_add(d, FORMAT, sizeof(FORMAT));
	e = stage_skeleton(root, d);
	for (size_t i = 0; e == 0 && i < c->object_count; i++) {
		at = sorted[i]->host;
		e = stage_object(root, sorted, i, d);
	}
	digest_end(d, digest);

	if (e == 0 || e == -ESTALE)
		return e;
	if (e == -ENOSPC || e == -EDQUOT || !at)
		return image_store_fail(t->store, -e, error);
	return arrow_fail(error, -e, "cannot copy %s into an image: %m", at);
}

static int program_make_erofs(struct image_temp *t, const char *digest, struct arrow_error *error)
{
	_cleanup_free_ char *source = path_format("%s/root", t->path);
	_cleanup_free_ char *target = path_format("%s/image", t->path);
	const struct erofs_options o = {.source = source,
		.target = target,
		.digest = digest,
		.canonical = true,
		.userns_fd = -1};
	int e;

	if (!source || !target)
		return image_store_fail(t->store, ENOMEM, error);
	e = erofs_make(&o, error);
	if (e == -ENOSPC) {
		arrow_error_clear(error);
		return image_store_fail(t->store, ENOSPC, error);
	}
	return e;
}

/* Whether a file of the closure was written so lately that a further write would not show. */
static bool is_racy(const struct closure *c, int64_t started)
{
	for (size_t i = 0; i < c->object_count; i++)
		if (identity_racy(c->objects[i]->changed, started))
			return true;
	return false;
}

/*
 * Makes the image, or finds that it is there. Without an error set: -ESTALE if a file changes
 * meanwhile, -EAGAIN if one could do so unseen.
 */
static int program_make(struct arrow_image *image, const struct image_store *store,
	const struct program *p, const struct index_key *key, struct arrow_error *error)
{
	struct closure closure __attribute__((cleanup(closure_release))) = {0};
	_cleanup_temp_ struct image_temp temp = {.fd = -1};
	int64_t started = identity_clock();
	int e;

	e = closure_find(&closure, p->real, p->label, image->entrypoint, key->library_path, error);
	if (e < 0)
		return e;
	if (is_racy(&closure, started))
		return -EAGAIN;
	e = image_temp_begin(&temp, store, error);
	if (e < 0)
		return e;
	e = program_lay_out(&temp, &closure, image->digest, error);
	if (e < 0)
		return e;
	if (image_store_find(store, image->digest, &image->fd) < 0) {
		e = program_make_erofs(&temp, image->digest, error);
		if (e == 0)
			e = image_store_publish(
				&temp, image->digest, "program", p->real, &image->fd, error);
		if (e < 0)
			return e;
	}
	/* Without its entry the next start is slower, and that is all. */
	if (!closure.relative)
		index_write(&temp, key, image->digest, &closure);
	return 0;
}

int arrow_image_from_program(struct arrow_image *image, const char *store_path, const char *path,
	const char *library_path, struct arrow_error *error)
{
	_cleanup_store_ struct image_store store = {.fd = -1};
	_cleanup_program_ struct program program = {0};
	uint64_t end = now_ms() + IDENTITY_RACY_MS;
	struct index_key key;
	int e, changes = 0;

	*image = (struct arrow_image){.fd = -1};
	e = program_resolve(&program, path, error);
	if (e < 0)
		return e;
	e = image_store_open(&store, store_path, error);
	if (e < 0)
		return e;
	image->entrypoint = path_format("/bin/%s", program.name);
	if (!image->entrypoint)
		return arrow_fail(error, ENOMEM, "cannot run %s: out of memory", path);

	key = (struct index_key){program.real, program.name, library_path};
	if (key.library_path && !*key.library_path)
		key.library_path = NULL;
	if (index_find(&store, &key, image->digest) == 0 &&
		image_store_find(&store, image->digest, &image->fd) == 0)
		return 0;

	/* A compiler may just be writing it, or have written it within this tick of the clock. */
	for (;;) {
		e = program_make(image, &store, &program, &key, error);
		if (error->text || (e == -ESTALE && ++changes == CHANGES_MAX) ||
			(e != -ESTALE && e != -EAGAIN) || !identity_pause(end))
			break;
	}
	if (e < 0 && !error->text)
		e = arrow_fail(error, ESTALE,
			"cannot run %s: it or one of its libraries changes as it is copied; try again when nothing writes to it",
			path);
	if (e < 0)
		arrow_image_release(image);
	return e;
}

/* -ESTALE or -EAGAIN without an error set, as program_make(). */
static int program_lay_out_once(struct image_temp *temp, const struct program *program,
	const char *entrypoint, const char *library_path, struct arrow_error *error)
{
	struct closure closure __attribute__((cleanup(closure_release))) = {0};
	int64_t started = identity_clock();
	char digest[DIGEST_HEX];
	int e;

	e = closure_find(&closure, program->real, program->label, entrypoint, library_path, error);
	if (e < 0)
		return e;
	if (is_racy(&closure, started))
		return -EAGAIN;
	return program_lay_out(temp, &closure, digest, error);
}

int program_stage(struct image_temp *temp, const char *path, const char *library_path,
	char **entrypoint, struct arrow_error *error)
{
	_cleanup_program_ struct program program = {0};
	uint64_t end = now_ms() + IDENTITY_RACY_MS;
	int e = program_resolve(&program, path, error);

	if (e < 0)
		return e;
	*entrypoint = path_format("/bin/%s", program.name);
	if (!*entrypoint)
		return arrow_no_memory(error);
	for (int changes = 0;;) {
		e = program_lay_out_once(temp, &program, *entrypoint,
			library_path && *library_path ? library_path : NULL, error);
		if (error->text || (e != -ESTALE && e != -EAGAIN) ||
			(e == -ESTALE && ++changes == CHANGES_MAX) || !identity_pause(end))
			break;
		remove_tree(temp->fd, "root");
	}
	if (e < 0 && !error->text)
		return arrow_fail(error, ESTALE,
			"cannot pack %s: it or one of its libraries changes as it is copied; try again when nothing writes to it",
			path);
	return e;
}
