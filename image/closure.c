// SPDX-License-Identifier: Apache-2.0
#include "image/closure.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image/search.h"
#include "util/cleanup.h"
#include "util/io.h"

#define OBJECTS_MAX 4096u

/* Two files that the loader in the image would look for at one path. */
static int check_collision(struct closure *c, const struct closure_object *o, const char *label,
	struct arrow_error *error)
{
	for (size_t i = 0; i < c->object_count; i++) {
		const struct closure_object *other = c->objects[i];

		if (other != o && !strcmp(other->guest, o->guest) &&
			strcmp(other->identity, o->identity) != 0)
			return arrow_fail(error, EEXIST,
				"cannot run %s: %s and %s would both be %s in its image; run it with --rootfs",
				label, other->host, o->host, o->guest);
	}
	return 0;
}

/* " (wanted by X)", or nothing when it is the program itself that wants it. */
static char *wanted_by(const struct closure_object *asker)
{
	return asker && asker->loader ? path_format(" (needed by %s)", asker->host) : strdup("");
}

/*
 * Takes a file as a library if it can be one.
 * Returns 1 when taken, 0 when the loader would look further, or a negative errno.
 */
static int try_library(struct search *s, const struct closure_candidate *from, bool optional,
	struct arrow_error *error)
{
	_cleanup_close_ int fd = open(from->host, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *by = NULL;
	struct closure_object *object;
	struct elf_info elf = {0};
	const char *why = "it is not a library";
	struct stat st;
	int e;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		e = closure_add_probe(s->closure, from->host, fd < 0 ? NULL : &st);
		return e < 0 ? arrow_no_memory(error) : 0;
	}

	e = elf_info_read(&elf, fd, &why);
	if (e == 0 && elf.foreign) {
		elf_info_release(&elf);
		e = closure_add_probe(s->closure, from->host, &st);
		return e < 0 ? arrow_no_memory(error) : 0;
	}
	if (e == 0 && elf.type != ET_DYN) {
		elf_info_release(&elf);
		e = -EBADMSG;
	}
	if (e == -ENOEXEC || e == -EBADMSG) {
		if (optional) {
			e = closure_add_probe(s->closure, from->host, &st);
			return e < 0 ? arrow_no_memory(error) : 0;
		}
		by = wanted_by(from->loader);
		return arrow_fail(error, -e,
			"cannot run %s: it needs %s%s, but %s is not usable: %s; reinstall it",
			s->label, from->name, by ? by : "", from->host, why);
	}
	if (e < 0)
		return arrow_fail(error, -e, "cannot read %s: %m", from->host);

	if (s->closure->object_count >= OBJECTS_MAX) {
		elf_info_release(&elf);
		return arrow_fail(error, E2BIG, "cannot run %s: it needs more than %u libraries",
			s->label, OBJECTS_MAX);
	}
	e = closure_add_object(s->closure, from, &elf, &st, &object);
	if (e < 0)
		return arrow_no_memory(error);
	e = check_collision(s->closure, object, s->label, error);
	return e < 0 ? e : 1;
}

static bool is_loaded(const struct search *s, const char *name)
{
	const struct closure *c = s->closure;

	if (s->musl && search_musl_builtin(name))
		return true;
	for (size_t i = 0; i < c->object_count; i++) {
		const struct closure_object *o = c->objects[i];

		if (!strcmp(o->name, name))
			return true;
		/* Only glibc knows a library by the name that it gives itself. */
		if (!s->musl && o->elf.soname && !strcmp(o->elf.soname, name))
			return true;
	}
	return false;
}

/* A name with a slash is a path, looked up nowhere else, on the host as in the image. */
static int add_by_path(struct search *s, const struct closure_object *asker, const char *name,
	struct arrow_error *error)
{
	_cleanup_free_ char *host = search_expand(s, name, asker, SEARCH_HOST);
	_cleanup_free_ char *guest = search_expand(s, name, asker, SEARCH_GUEST);
	_cleanup_free_ char *by = wanted_by(asker);
	_cleanup_free_ char *normal = guest ? path_normalize(guest) : NULL;
	struct closure_candidate from = {host, normal, name, asker};
	int r;

	if (!host || !normal || !by)
		return arrow_no_memory(error);
	if (host[0] != '/')
		s->closure->relative = true;
	if (search_is_covered(normal))
		return arrow_fail(error, ENOENT,
			"cannot run %s: it needs %s%s by that path, where an Arrow has a directory of its own; link it by name or run it with --rootfs",
			s->label, name, by);
	r = try_library(s, &from, false, error);
	if (r == 0)
		r = arrow_fail(error, ENOENT,
			"cannot run %s: it needs %s%s, and there is no such library; install it or run with --rootfs",
			s->label, name, by);
	return r < 0 ? r : 0;
}

/* Finds the library of a name for an object, if it is not there yet. */
static int add_needed(struct search *s, const struct closure_object *asker, const char *name,
	bool optional, struct arrow_error *error)
{
	_cleanup_free_ char *by = NULL;
	struct search_place place = {0};
	int r;

	if (is_loaded(s, name))
		return 0;
	if (strchr(name, '/'))
		return add_by_path(s, asker, name, error);

	search_begin(s, asker, name);
	while ((r = search_next(s, &place)) > 0) {
		struct closure_candidate from = {place.host, place.guest, name, asker};

		r = try_library(s, &from, optional, error);
		search_place_release(&place);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	if (r < 0)
		return arrow_no_memory(error);
	if (optional)
		return 0;
	by = wanted_by(asker);
	return arrow_fail(error, ENOENT,
		"cannot run %s: it needs %s%s, which is nowhere in %s; install it or run with --rootfs",
		s->label, name, by ? by : "", s->searched ? s->searched : "its directories");
}

static int not_exec(struct arrow_error *error, int err, const char *label, const char *why)
{
	return arrow_fail_status(
		error, ARROW_STATUS_NOT_EXEC, err, "cannot run %s: %s", label, why);
}

/* Whether the kernel could start it. */
static int check_program(const struct elf_info *elf, const char *label, struct arrow_error *error)
{
	char host[32], machine[32];

	if (elf->foreign && elf->machine != elf_host_machine())
		return arrow_fail_status(error, ARROW_STATUS_NOT_EXEC, ENOEXEC,
			"cannot run %s: it is built for %s, this host is %s; build it for this one",
			label, elf_machine_name(elf->machine, machine),
			elf_machine_name(elf_host_machine(), host));
	if (elf->foreign)
		return arrow_fail_status(error, ARROW_STATUS_NOT_EXEC, ENOEXEC,
			"cannot run %s: it is a %s program of another width or byte order than this host's; build it for this one",
			label, elf_machine_name(elf->machine, machine));
	if (elf->type == ET_CORE)
		return not_exec(error, ENOEXEC, label, "it is a core file, not a program");
	if (elf->type == ET_REL)
		return not_exec(error, ENOEXEC, label, "it is an object file; link it first");
	if (elf->type != ET_EXEC && elf->type != ET_DYN)
		return not_exec(error, ENOEXEC, label, "it is an ELF file but not a program");
	if (!elf->loadable)
		return not_exec(error, ENOEXEC, label, "it has nothing to load; link it again");

	/*
	 * A position-independent program that needs no interpreter, and a dynamic loader, are of
	 * a shared library's type too; but they need no library and have somewhere to start.
	 */
	if (elf->type == ET_DYN && !elf->interpreter && !elf->pie &&
		(elf->entry == 0 || elf->needed[0]))
		return not_exec(error, ENOEXEC, label, "it is a shared library, not a program");
	return 0;
}

static int add_program(
	struct search *s, const char *program, const char *guest, struct arrow_error *error)
{
	_cleanup_close_ int fd = open(program, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct closure_candidate from = {program, guest, program, NULL};
	struct closure_object *object;
	struct elf_info elf = {0};
	const char *why = NULL;
	char start[2] = "";
	struct stat st;
	int e;

	if (fd < 0 && errno == EACCES)
		return not_exec(error, EACCES, s->label,
			"permission denied: it cannot be read, which copying it into its image takes; run chmod +r on it");
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return arrow_fail_status(error, ARROW_STATUS_NOT_FOUND, errno,
			"cannot run %s: no such file", s->label);
	if (fd < 0 || fstat(fd, &st) < 0)
		return arrow_fail(error, errno, "cannot read %s: %m", s->label);

	e = elf_info_read(&elf, fd, &why);
	if (e == -ENOEXEC && pread(fd, start, 2, 0) == 2 && !memcmp(start, "#!", 2))
		return not_exec(error, ENOEXEC, s->label,
			"not an ELF program: it is a script, and there is no interpreter beside it; run it with --rootfs DIR, which has one");
	if (e == -ENOEXEC || e == -EBADMSG)
		return arrow_fail_status(error, ARROW_STATUS_NOT_EXEC, -e,
			"cannot run %s: not an ELF program: %s", s->label, why);
	if (e < 0)
		return arrow_fail(error, -e, "cannot read %s: %m", s->label);
	e = check_program(&elf, s->label, error);
	if (e < 0) {
		elf_info_release(&elf);
		return e;
	}
	e = closure_add_object(s->closure, &from, &elf, &st, &object);
	return e < 0 ? arrow_no_memory(error) : 0;
}

static int add_interpreter(struct search *s, struct arrow_error *error)
{
	const char *path = s->closure->objects[0]->elf.interpreter;
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *normal = path_normalize(path);
	struct closure_candidate from = {path, path, slash ? slash + 1 : path, NULL};
	int r;

	if (!normal)
		return arrow_no_memory(error);
	if (path[0] != '/' || search_is_covered(normal))
		return arrow_fail_status(error, ARROW_STATUS_NOT_EXEC, ENOEXEC,
			"cannot run %s: an Arrow has a directory of its own where its loader %s is; link it with another or run it with --rootfs",
			s->label, path);
	r = try_library(s, &from, false, error);
	if (r == 0)
		r = arrow_fail(error, ENOENT,
			"cannot run %s: its loader %s is missing; install it or run with --rootfs",
			s->label, path);
	return r < 0 ? r : 0;
}

int closure_find(struct closure *closure, const char *program, const char *label, const char *guest,
	const char *library_path, struct arrow_error *error)
{
	_cleanup_search_ struct search s = {
		.closure = closure, .label = label, .library_path = library_path};
	bool habits = false;
	int e;

	*closure = (struct closure){0};
	e = add_program(&s, program, guest, error);
	if (e == 0 && closure->objects[0]->elf.interpreter) {
		e = add_interpreter(&s, error);
		if (e == 0 && search_prepare(&s, closure->objects[1]->host) < 0)
			e = arrow_no_memory(error);
	} else if (e == 0) {
		return 0;
	}

	/* Breadth first, as the loaders do: who asks first decides where a library is found. */
	for (size_t i = 0; e == 0 && i < closure->object_count; i++) {
		const struct closure_object *o = closure->objects[i];

		for (size_t k = 0; e == 0 && o->elf.needed[k]; k++)
			e = add_needed(&s, o, o->elf.needed[k], false, error);

		/* glibc loads it by itself when a thread is cancelled or ends, or aborts. */
		if (e == 0 && i + 1 == closure->object_count && !s.musl && !habits) {
			habits = true;
			e = add_needed(&s, closure->objects[0], "libgcc_s.so.1", true, error);
		}
	}
	if (e < 0)
		closure_release(closure);
	return e;
}
