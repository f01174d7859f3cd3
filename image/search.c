// SPDX-License-Identifier: Apache-2.0
#include "image/search.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/io.h"

#define GLIBC_CACHE "/etc/ld.so.cache"
#define MUSL_DEFAULTS "/lib:/usr/local/lib:/usr/lib"
#define INTERPRETER_MAX ((size_t)64 * 1024 * 1024)
#define SEARCHED_MAX 512u

#if defined(__x86_64__)
#define MULTIARCH "x86_64-linux-gnu"
#define PLATFORM "x86_64"
#elif defined(__aarch64__)
#define MULTIARCH "aarch64-linux-gnu"
#define PLATFORM "aarch64"
#endif

bool search_is_covered(const char *normal)
{
	static const char *const mounts[] = {"/dev", "/proc", "/run", "/sys", "/tmp"};

	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		size_t n = strlen(mounts[i]);

		if (!strncmp(normal, mounts[i], n) && (normal[n] == '/' || normal[n] == '\0'))
			return true;
	}
	return false;
}

bool search_musl_builtin(const char *name)
{
	static const char *const names[] = {"c.", "pthread.", "rt.", "m.", "dl.", "util.", "xnet."};

	if (strncmp(name, "lib", 3) != 0)
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(name + 3, names[i], strlen(names[i])))
			return true;
	return false;
}

/* Length of "$NAME" or "${NAME}" at the start of text; 0 if it is not that. */
static size_t search_token(const char *text, const char *name)
{
	size_t n = strlen(name);

	if (!strncmp(text + 1, name, n))
		return 1 + n;
	if (text[1] == '{' && !strncmp(text + 2, name, n) && text[2 + n] == '}')
		return 3 + n;
	return 0;
}

char *search_expand(const struct search *s, const char *text, const struct closure_object *o,
	enum search_side side)
{
	const char *path = side == SEARCH_HOST ? o->host : o->guest;
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *origin = NULL, *out = NULL;
	size_t size;
	FILE *f;

	origin = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	f = open_memstream(&out, &size);
	if (!origin || !f) {
		if (f)
			fclose(f);
		return NULL;
	}
	while (*text) {
		size_t n = 0;

		if (*text == '$') {
			if ((n = search_token(text, "ORIGIN")))
				fputs(origin, f);
			else if (!s->musl && s->lib && (n = search_token(text, "LIB")))
				fputs(s->lib, f);
			else if (!s->musl && (n = search_token(text, "PLATFORM")))
				fputs(PLATFORM, f);
		}
		if (n == 0)
			fputc(*text++, f);
		text += n;
	}
	return fclose(f) == 0 ? STEAL(out) : NULL;
}

/* ---- the loader's own directories ---- */

/* Whether a loader has exactly this string among its constants. */
static bool has_string(const char *data, size_t size, const char *string)
{
	size_t n = strlen(string) + 1;
	const char *at = data;

	while ((at = memmem(at, size - (size_t)(at - data), string, n))) {
		if (at == data || (unsigned char)at[-1] < ' ')
			return true;
		at++;
	}
	return false;
}

/*
 * Distributions configure glibc's default directories, and no file says how; the loader itself
 * holds them as strings.
 */
static int glibc_defaults(struct search *s, const char *interpreter)
{
	static const char *const known[] = {"/lib/" MULTIARCH "/", "/usr/lib/" MULTIARCH "/",
		"/lib64/", "/usr/lib64/", "/lib/", "/usr/lib/"};
	const size_t count = sizeof(known) / sizeof(known[0]);
	_cleanup_free_ char *data = NULL;
	size_t size = 0, found = 0;

	s->defaults = calloc(count + 2, sizeof(char *));
	if (!s->defaults)
		return -ENOMEM;
	if (read_file(AT_FDCWD, interpreter, INTERPRETER_MAX, &data, &size) == -ENOMEM)
		return -ENOMEM;
	for (size_t i = 0; data && i < count; i++) {
		if (!has_string(data, size, known[i]))
			continue;
		s->defaults[found] = strndup(known[i], strlen(known[i]) - 1);
		if (!s->defaults[found++])
			return -ENOMEM;
	}
	if (found == 0) {
		/* One of its own kind: such a loader looks beside itself. */
		const char *slash = strrchr(interpreter, '/');

		s->defaults[0] = strndup(interpreter, (size_t)(slash - interpreter));
		if (!s->defaults[0])
			return -ENOMEM;
	}
	s->lib = s->defaults[0] + 1;
	return ldcache_read(&s->cache, GLIBC_CACHE);
}

/* /lib/ld-musl-x86_64.so.1 reads /etc/ld-musl-x86_64.path, if that is there. */
static int musl_defaults(struct search *s, const char *interpreter)
{
	const char *base = strrchr(interpreter, '/') + 1;
	size_t n = strcspn(base, "."), up = (size_t)(base - 1 - interpreter);
	_cleanup_free_ char *file = NULL;
	int e;

	while (up > 0 && interpreter[up - 1] != '/')
		up--;
	file = path_format(
		"%.*s/etc/%.*s.path", up > 0 ? (int)up - 1 : 0, interpreter, (int)n, base);
	s->defaults = calloc(4, sizeof(char *));
	if (!file || !s->defaults)
		return -ENOMEM;
	s->defaults[0] = strdup("/lib");
	s->defaults[1] = strdup("/usr/local/lib");
	s->defaults[2] = strdup("/usr/lib");
	if (!s->defaults[0] || !s->defaults[1] || !s->defaults[2])
		return -ENOMEM;

	e = read_file(AT_FDCWD, file, 65536, &s->system, NULL);
	if (e == -ENOMEM)
		return e;
	if (e < 0) {
		s->system = strdup(e == -ENOENT ? MUSL_DEFAULTS : "");
		if (!s->system)
			return -ENOMEM;
	}
	return closure_add_probe(s->closure, file, NULL);
}

int search_prepare(struct search *s, const char *interpreter)
{
	const char *base = strrchr(interpreter, '/');
	_cleanup_free_ char *joined = NULL;
	int e;

	s->musl = base && !strncmp(base, "/ld-musl-", 9);
	if (s->musl)
		return musl_defaults(s, interpreter);

	e = glibc_defaults(s, interpreter);
	if (e < 0)
		return e;
	for (size_t i = 0; s->defaults[i]; i++) {
		char *more = path_format(
			"%s%s%s", joined ? joined : "", joined ? ":" : "", s->defaults[i]);

		if (!more)
			return -ENOMEM;
		free(joined);
		joined = more;
	}
	s->system = STEAL(joined);
	return closure_add_probe(s->closure, GLIBC_CACHE, NULL);
}

void search_release(struct search *s)
{
	ldcache_release(&s->cache);
	strv_free(s->defaults);
	free(s->system);
	free(s->searched);
}

void search_place_release(struct search_place *place)
{
	free(place->host);
	free(place->guest);
	*place = (struct search_place){0};
}

/* ---- one search ---- */

void search_begin(struct search *s, const struct closure_object *asker, const char *name)
{
	free(s->searched);
	s->searched = NULL;
	s->name = name;
	s->asker = asker;
	/* musl asks the environment first. */
	s->step = s->musl ? SEARCH_LIBRARY_PATH : SEARCH_RPATH;
	s->owner = asker;
	s->rest = NULL;
	s->cached = 0;
}

static enum search_step step_after(const struct search *s)
{
	if (s->musl)
		switch (s->step) {
		case SEARCH_LIBRARY_PATH:
			return SEARCH_RPATH;
		case SEARCH_RPATH:
			return SEARCH_DEFAULTS;
		case SEARCH_RUNPATH:
		case SEARCH_CACHE:
		case SEARCH_DEFAULTS:
		case SEARCH_END:
			return SEARCH_END;
		}
	if (s->step == SEARCH_RUNPATH && s->asker->elf.no_defaults)
		return SEARCH_END;
	return s->step + 1;
}

/* The list of directories of this step and this owner, or NULL if there is none. */
static const char *list_of_step(const struct search *s)
{
	const struct elf_info *elf = &s->owner->elf;

	switch (s->step) {
	case SEARCH_LIBRARY_PATH:
		return s->library_path;
	case SEARCH_RPATH:
		if (s->musl)
			return elf->runpath ? elf->runpath : elf->rpath;
		return s->asker->elf.runpath ? NULL : elf->rpath;
	case SEARCH_RUNPATH:
		return s->asker->elf.runpath;
	case SEARCH_DEFAULTS:
		return s->system;
	case SEARCH_CACHE:
	case SEARCH_END:
		break;
	}
	return NULL;
}

/* Goes on to the next list. */
static void next_list(struct search *s)
{
	s->rest = NULL;
	if (s->step == SEARCH_RPATH && s->owner->loader) {
		s->owner = s->owner->loader;
		return;
	}
	s->step = step_after(s);
	s->owner = s->asker;
}

/* Takes the next directory of the list: 1, 0 at its end, or -ENOMEM. */
static int next_directory(struct search *s, char **directory)
{
	const char *list = list_of_step(s);
	const char *separators = s->musl ? ":\n" : s->step == SEARCH_LIBRARY_PATH ? ":;" : ":";
	size_t n;

	/* An empty list is no list; an empty entry of one is the current directory. */
	if (!list || !*list || (s->rest && !*s->rest))
		return 0;
	/* rest stands at the separator before the next entry. */
	if (!s->rest)
		s->rest = list;
	else
		s->rest++;
	if (s->musl)
		s->rest += strspn(s->rest, separators);
	if (s->musl && !*s->rest)
		return 0;

	n = strcspn(s->rest, separators);
	*directory = n ? strndup(s->rest, n) : strdup(".");
	s->rest += n;
	return *directory ? 1 : -ENOMEM;
}

static int note_searched(struct search *s, const char *directory)
{
	char *more;

	if (s->searched && strlen(s->searched) > SEARCHED_MAX)
		return 0;
	more = path_format(
		"%s%s%s", s->searched ? s->searched : "", s->searched ? ":" : "", directory);
	if (!more)
		return -ENOMEM;
	free(s->searched);
	s->searched = more;
	return 0;
}

/* A default directory stays; what the image has no such way to find goes to the first of them. */
static const char *default_directory(const struct search *s, const char *directory)
{
	for (size_t i = 0; s->defaults[i]; i++)
		if (!strcmp(s->defaults[i], directory))
			return s->defaults[i];
	return s->defaults[0];
}

static int fill_place(struct search *s, const char *entry, struct search_place *place)
{
	bool own = s->step == SEARCH_RPATH || s->step == SEARCH_RUNPATH;
	const struct closure_object *owner =
		s->step == SEARCH_LIBRARY_PATH ? s->closure->objects[0] : s->owner;
	_cleanup_free_ char *host = search_expand(s, entry, owner, SEARCH_HOST);
	_cleanup_free_ char *guest = search_expand(s, entry, owner, SEARCH_GUEST);
	_cleanup_free_ char *normal_host = NULL, *normal = NULL;
	const char *directory;

	if (!host || !guest || !(normal = path_normalize(guest)) ||
		!(normal_host = path_normalize(host)))
		return -ENOMEM;
	if (host[0] != '/')
		s->closure->relative = true;
	if (own && guest[0] == '/' && !search_is_covered(normal))
		directory = normal;
	else
		directory = default_directory(s, host[0] == '/' ? normal_host : "");

	place->host = path_format("%s/%s", host, s->name);
	place->guest = path_format("%s/%s", directory, s->name);
	if (!place->host || !place->guest || note_searched(s, host) < 0) {
		search_place_release(place);
		return -ENOMEM;
	}
	return 1;
}

/* An entry of glibc's cache: its directory is what counts. */
static int next_cached(struct search *s, struct search_place *place)
{
	const char *path = ldcache_find(&s->cache, s->name, s->cached++);
	_cleanup_free_ char *directory = NULL;
	const char *slash;

	if (!path || !(slash = strrchr(path, '/')))
		return 0;
	directory = strndup(path, (size_t)(slash - path));
	if (!directory)
		return -ENOMEM;
	place->host = strdup(path);
	place->guest = path_format("%s/%s", default_directory(s, directory), s->name);
	if (place->host && place->guest)
		return 1;
	search_place_release(place);
	return -ENOMEM;
}

/* musl ignores a whole list that uses what it cannot expand. */
static bool is_ignored(const struct search *s)
{
	const char *list = list_of_step(s);

	if (!s->musl || s->step != SEARCH_RPATH || !list)
		return false;
	for (const char *p = strchr(list, '$'); p; p = strchr(p + 1, '$'))
		if (search_token(p, "ORIGIN") == 0)
			return true;
	return false;
}

int search_next(struct search *s, struct search_place *place)
{
	while (s->step != SEARCH_END) {
		_cleanup_free_ char *entry = NULL;
		int r;

		if (s->step == SEARCH_CACHE)
			r = next_cached(s, place);
		else if (is_ignored(s))
			r = 0;
		else
			r = next_directory(s, &entry);
		if (r > 0 && entry)
			r = fill_place(s, entry, place);
		if (r != 0)
			return r;
		next_list(s);
	}
	return 0;
}
