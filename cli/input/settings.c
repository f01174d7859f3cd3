// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/input/settings.h"
#include "util/cleanup.h"
#include "util/io.h"

/* An environment variable that holds an absolute path, else NULL. */
static const char *settings_path(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] == '/' ? value : NULL;
}

static char *settings_data_dir(struct arrow_error *error)
{
	const char *dir = settings_path("ARROW_DATA_DIR");
	const char *home;
	struct passwd *pw;

	if (dir)
		return strdup(dir);
	if (geteuid() == 0)
		return strdup(ARROW_SYSTEM_DATA);
	dir = settings_path("XDG_DATA_HOME");
	if (dir)
		return path_format("%s/arrow", dir);

	home = settings_path("HOME");
	if (!home) {
		pw = getpwuid(geteuid());
		home = pw ? pw->pw_dir : NULL;
	}
	if (!home) {
		arrow_fail(error, ENOENT,
			"no place for images and kernels: HOME is not set; set ARROW_DATA_DIR");
		return NULL;
	}
	return path_format("%s/.local/share/arrow", home);
}

static char *settings_run_dir(void)
{
	const char *dir = settings_path("ARROW_RUN_DIR");

	if (dir)
		return strdup(dir);
	if (geteuid() == 0)
		return strdup("/run/arrow");
	dir = settings_path("XDG_RUNTIME_DIR");
	if (dir && access(dir, W_OK) == 0)
		return path_format("%s/arrow", dir);
	return path_format("/tmp/arrow-%u", (unsigned int)geteuid());
}

/* The number in a variable, or `otherwise` where it holds none. */
static unsigned long settings_number(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);
	char *end;
	unsigned long value;

	if (!text || *text < '0' || *text > '9')
		return otherwise;
	value = strtoul(text, &end, 0);
	return *end ? otherwise : value;
}

static void settings_print_note(const char *line, void *arg)
{
	fprintf(stderr, "arrow: %s\n", line);
}

/* A limit, with k, m, g or t behind it; 0 where it is not set. */
static int settings_limit(const char *name, uint64_t *limit, struct arrow_error *error)
{
	static const char units[] = "kmgt";
	const char *text = getenv(name), *unit;
	unsigned long long value;
	char *end;

	*limit = 0;
	if (!text || !*text)
		return 0;
	errno = 0;
	value = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end | 0x20) : NULL;
	if (errno || text[0] < '0' || text[0] > '9' || (*end && (!unit || end[1])) || value == 0 ||
		value > UINT64_MAX >> 41)
		return arrow_fail(error, EINVAL,
			"invalid %s '%s': give a number, or one with k, m, g or t behind it", name,
			text);
	*limit = unit ? value << (10 * (unit - units + 1)) : value;
	return 0;
}

static int settings_read(struct arrow_settings *s, const char *data, struct arrow_error *error)
{
	const char *zygote = getenv("ARROW_ZYGOTE");
	unsigned long idle, forks;
	int r;

	*s = (struct arrow_settings){.engine = arrow_engine_defaults,
		.notes = {.write = settings_print_note},
		.interactive = isatty(STDERR_FILENO),
		.library_path = getenv("LD_LIBRARY_PATH"),
		.source_date_epoch = getenv("SOURCE_DATE_EPOCH")};
	idle = settings_number("ARROW_ZYGOTE_IDLE", s->engine.zygote_idle_s);
	forks = settings_number("ARROW_ZYGOTE_FORKS", s->engine.zygote_forks);
	s->engine.qemu = getenv("ARROW_QEMU");
	s->engine.data_dir = data;
	s->engine.zygote = !zygote || strcmp(zygote, "off") != 0;
	s->engine.zygote_idle_s = idle > UINT_MAX ? UINT_MAX : (unsigned int)idle;
	s->engine.zygote_forks = forks == 0 || forks > UINT_MAX ? UINT_MAX : (unsigned int)forks;
	s->engine.jail_uid_base = settings_number("ARROW_JAIL_UID_BASE", s->engine.jail_uid_base);
	r = settings_limit("ARROW_IMAGE_MAX_SIZE", &s->image_limits.max_size, error);
	return r < 0 ? r
		     : settings_limit("ARROW_IMAGE_MAX_FILES", &s->image_limits.max_files, error);
}

int cli_paths_init(struct arrow_paths *paths, struct arrow_error *error)
{
	_cleanup_free_ char *data = settings_data_dir(error), *run = NULL;
	int r;

	*paths = (struct arrow_paths){0};
	if (!data)
		return error->text ? -ENOENT : arrow_no_memory(error);
	run = settings_run_dir();
	if (!run)
		return arrow_no_memory(error);
	r = arrow_paths_init(paths, data, run, error);
	if (r < 0)
		return r;
	paths->settings = calloc(1, sizeof(*paths->settings));
	if (!paths->settings) {
		arrow_paths_release(paths);
		return arrow_no_memory(error);
	}
	r = settings_read(paths->settings, paths->data, error);
	if (r < 0)
		arrow_paths_release(paths);
	return r;
}

const char *cli_settings_network(void)
{
	return getenv("ARROW_NETWORK");
}

const char *cli_settings_variable(const char *name)
{
	return getenv(name);
}
