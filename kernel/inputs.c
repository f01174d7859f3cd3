// SPDX-License-Identifier: Apache-2.0
#include "kernel/inputs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/build.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/process.h"

#define SOURCE_DIR "/usr/src"

/* What the build runs or includes, and the package of Debian that has it. */
static const struct {
	const char *what; /* a program, or the path of a header */
	const char *package;
} needed[] = {
	{"gcc", "gcc"}, {"ld", "binutils"}, {"strip", "binutils"}, {"make", "make"},
	{"flex", "flex"}, {"bison", "bison"}, {"bc", "bc"}, {"xz", "xz-utils"}, {"tar", "tar"},
	{"/usr/include/stdlib.h", "libc6-dev"}, {"/usr/include/gelf.h", "libelf-dev"}, /* objtool */
};

static bool is_there(const char *what)
{
	_cleanup_free_ char *path = NULL;

	if (*what == '/')
		return access(what, R_OK) == 0;
	path = process_find(what);
	return path;
}

/* Adds a word to a list of words, once. Returns 0 or -ENOMEM. */
static int add_word(char **words, const char *word)
{
	char *longer;

	if (strstr(*words, word))
		return 0;
	longer = path_format("%s%s%s", *words, **words ? " " : "", word);
	if (!longer)
		return -ENOMEM;
	free(*words);
	*words = longer;
	return 0;
}

static int find_missing(bool has_source, char **packages, struct arrow_error *error)
{
	int r = 0;

	*packages = strdup(has_source ? "" : "linux-source-6.12");
	for (size_t i = 0; *packages && r == 0 && i < sizeof(needed) / sizeof(*needed); i++)
		if (!is_there(needed[i].what))
			r = add_word(packages, needed[i].package);
	if (*packages && r == 0)
		return 0;
	free(STEAL(*packages));
	return arrow_no_memory(error);
}

int arrow_kernel_build_needs(char **packages, struct arrow_error *error)
{
	_cleanup_free_ char *source = kernel_source_newest(SOURCE_DIR);

	return find_missing(source, packages, error);
}

static int check_tools(bool has_source, struct arrow_error *error)
{
	_cleanup_free_ char *packages = NULL;
	int r = find_missing(has_source, &packages, error);

	if (r < 0)
		return r;
	if (*packages)
		return arrow_fail(error, ENOENT,
			"cannot build a kernel without %s; run 'sudo apt-get install %s'", packages,
			packages);
	return 0;
}

char *kernel_source_newest(const char *path)
{
	_cleanup_closedir_ DIR *dir = opendir(path);
	_cleanup_free_ char *best = NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		const char *name = entry->d_name, *suffix = strstr(name, ".tar.xz");

		if (strncmp(name, "linux-source-", 13) != 0 || !suffix || suffix[7] != '\0')
			continue;
		if (best && strverscmp(name, best) <= 0)
			continue;
		free(best);
		best = strdup(name);
	}
	return best ? path_format("%s/%s", path, best) : NULL;
}

static int first_line(char **line, const char *program, struct arrow_error *error)
{
	const char *const argv[] = {program, "--version", NULL};
	int r = process_run(
		&(struct process_options){.argv = argv, .output = line, .deadline_ms = 30000},
		error);

	if (r < 0)
		return r;
	(*line)[strcspn(*line, "\n")] = '\0';
	return 0;
}

static int hash_source(struct kernel_inputs *inputs, struct arrow_error *error)
{
	_cleanup_close_ int fd = open(inputs->source, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : digest_fd(fd, inputs->source_hash);

	return r < 0 ? arrow_fail(error, -r, "cannot read the source %s: %m", inputs->source) : 0;
}

int kernel_inputs_find(struct kernel_inputs *inputs, const char *source, struct arrow_error *error)
{
	int r;

	memset(inputs, 0, sizeof(*inputs));
	inputs->source = source ? realpath(source, NULL) : kernel_source_newest(SOURCE_DIR);
	if (source && !inputs->source)
		return arrow_fail(error, errno, "cannot read the source %s: %m", source);
	r = check_tools(inputs->source, error);
	if (r == 0 && inputs->source) /* check_tools() fails without one */
		r = hash_source(inputs, error);
	if (r == 0)
		r = first_line(&inputs->compiler, "gcc", error);
	if (r == 0)
		r = first_line(&inputs->binutils, "ld", error);
	if (r < 0)
		kernel_inputs_release(inputs);
	return r;
}

void kernel_inputs_release(struct kernel_inputs *inputs)
{
	free(inputs->source);
	free(inputs->compiler);
	free(inputs->binutils);
	memset(inputs, 0, sizeof(*inputs));
}
