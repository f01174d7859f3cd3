// SPDX-License-Identifier: Apache-2.0
/* arrow save, load and export: images out of the store, and into it; a running Arrow to a
 * directory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/input/each.h"
#include "cli/input/options.h"
#include "cli/output/print.h"
#include "package/export.h"
#include "package/archive.h"
#include "package/images.h"
#include "core/instance/instance.h"
#include "core/snapshot/saved.h"
#include "util/cleanup.h"
#include "util/io.h"

enum { OPT_AS = 256, OPT_STOP };

struct input {
	struct arrow_strings operands;
	const char *file, *as;
	bool quiet, stop;
};

static error_t save_parse(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;

	switch (key) {
	case 'o':
	case 'i':
		in->file = arg;
		return 0;
	case 'q':
		in->quiet = true;
		return 0;
	case OPT_STOP:
		in->stop = true;
		return 0;
	case OPT_AS:
		in->as = arg;
		if (strcmp(arg, "oci") != 0 && strcmp(arg, "docker") != 0 &&
			strcmp(arg, "folder") != 0)
			argp_error(state, "--as takes oci, docker or folder, not '%s'", arg);
		return 0;
	case ARGP_KEY_ARG:
		return arrow_strings_add(&in->operands, arg) < 0 ? ENOMEM : 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option save_options[] = {
	{"output", 'o', "FILE", 0, "Write the images to this file instead of stdout", 0},
	{"stop", OPT_STOP, 0, 0, "Kill the Arrow once it is saved, instead of letting it run on",
		0},
	{0}};
static const struct argp_option load_options[] = {
	{"input", 'i', "FILE", 0, "Read from this file instead of stdin", 0},
	{"quiet", 'q', 0, 0, "Print nothing", 0}, {0}};
static const struct argp_option export_options[] = {
	{"as", OPT_AS, "oci|docker|folder", 0,
		"Write an OCI layout, an archive for 'docker load', or a folder that QEMU starts",
		0},
	{0}};

static const struct argp save_argp = {save_options, save_parse, "ARROW DIR\nIMAGE...",
	"Save a running Arrow to a directory, or write images to an archive.\v"
	"'arrow run --from DIR' starts Arrows that continue where the saved one was, any number of times, each with its own identity. "
	"DIR must not exist yet. An Arrow with volumes cannot be saved; connections and pending input are lost. "
	"The archive of images is an OCI layout that 'docker load' and 'podman load' read, too.",
	NULL, NULL, NULL};
static const struct argp load_argp = {load_options, save_parse, NULL,
	"Load images from an archive.\v"
	"The archive comes from 'arrow save', 'docker save' or 'podman save', or is an OCI layout, plain or compressed with gzip or zstd. "
	"To load a root file system, use 'arrow import'.",
	NULL, NULL, NULL};
static const struct argp export_argp = {export_options, save_parse, "IMAGE PATH",
	"Write an image as an OCI layout, an archive, or a folder that QEMU starts.\v"
	"Without --as, a PATH that ends in .tar becomes an archive for 'docker load', any other PATH an OCI layout. "
	"The folder holds the kernel, the loader, the image's root and its job; run.sh and run.cmd in it start the image with QEMU alone.",
	NULL, NULL, NULL};

/* An archive that is not whole does not stay. */
static int save_to(char *const *names, size_t n, const char *path, const struct arrow_paths *paths,
	struct arrow_error *error)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *temp = path_format("%s.tmp.%d", path, (int)getpid());
	struct stat st;
	int e;

	if (!temp)
		return arrow_fail(error, ENOMEM, "out of memory");
	/* A device or pipe is written to as it is. */
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			return arrow_fail(error, errno, "cannot write %s: %m", path);
		return arrow_images_save(paths, names, n, fd, error);
	}
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return arrow_fail(error, errno, "cannot write %s: %m", path);
	e = arrow_images_save(paths, names, n, fd, error);
	if (e == 0 && rename(temp, path) < 0)
		e = arrow_fail(error, errno, "cannot write %s: %m", path);
	if (e < 0)
		unlink(temp);
	return e;
}

static bool save_is_image(const struct arrow_paths *paths, const char *name)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	json_t *image = NULL;
	bool found = arrow_images_inspect(paths, name, &image, &error) == 0;

	json_decref(image);
	return found;
}

/*
 * Whether the operands are an Arrow and a directory: 1, or 0 for images. The name of an Arrow
 * decides, but where both are names of images, too: then nothing is done.
 */
static int save_names_arrow(
	const struct input *in, const struct arrow_paths *paths, struct arrow_error *error)
{
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	char *const *v = in->operands.v;
	char id[ARROW_ID_HEX];

	if (in->stop)
		return 1;
	if (in->operands.n != 2 || in->file || arrow_instance_find(paths, v[0], id, &ignored) < 0)
		return 0;
	if (save_is_image(paths, v[0]) && save_is_image(paths, v[1]))
		return arrow_fail(error, EINVAL,
			"'%s' is an Arrow and an image, and '%s' is an image: write './%s' for a directory, or use -o FILE for the images",
			v[0], v[1], v[1]);
	return 1;
}

static int save_arrow(struct input *in, const struct arrow_paths *paths, struct arrow_error *error)
{
	int r;

	if (in->operands.n != 2 || in->file)
		return arrow_fail(error, EINVAL, "requires a running Arrow and a directory");
	r = arrow_save(paths, in->operands.v[0], in->operands.v[1], in->stop, error);
	if (r < 0)
		return r;
	puts(in->operands.v[1]);
	return cli_flush();
}

static int save_work(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	int r = save_names_arrow(in, paths, error);

	if (r != 0)
		return r < 0 ? r : save_arrow(in, paths, error);
	if (in->operands.n == 0)
		return arrow_fail(error, EINVAL, "requires the images to save");
	if (in->file)
		return save_to(in->operands.v, in->operands.n, in->file, paths, error);
	if (isatty(STDOUT_FILENO))
		return arrow_fail(error, EINVAL,
			"refusing to write an archive to a terminal: use -o FILE or redirect stdout");
	return arrow_images_save(paths, in->operands.v, in->operands.n, STDOUT_FILENO, error);
}

static int load_work(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	_cleanup_close_ int fd = -1;
	struct arrow_strings log = {0};
	int e;

	if (in->operands.n > 0)
		return arrow_fail(error, EINVAL,
			"too many arguments: load reads the archive from stdin, or from FILE with -i");
	if (in->file) {
		fd = open(in->file, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return arrow_fail(error, errno, "cannot open %s: %m", in->file);
	} else if (isatty(STDIN_FILENO)) {
		return arrow_fail(error, EINVAL,
			"refusing to read an archive from a terminal: use -i FILE or redirect stdin");
	}
	e = arrow_images_load(paths, in->file ? fd : STDIN_FILENO,
		in->file ? in->file : "the archive", &log, error);
	/* Of an archive with a bad image the others were loaded. */
	for (size_t i = 0; !in->quiet && i < log.n; i++)
		puts(log.v[i]);
	fflush(stdout); /* before an error */
	arrow_strings_release(&log);
	return e < 0 ? e : cli_flush();
}

static int export_work(const struct arrow_paths *paths, void *arg, struct arrow_error *error)
{
	struct input *in = arg;
	const char *path, *as = in->as;
	size_t n;

	if (in->operands.n != 2)
		return arrow_fail(error, EINVAL, "requires an image and a path to write it to");
	path = in->operands.v[1];
	n = strlen(path);
	if (!as)
		as = n > 4 && strcmp(path + n - 4, ".tar") == 0 ? "docker" : "oci";
	if (strcmp(as, "docker") == 0)
		return save_to(in->operands.v, 1, path, paths, error);
	if (strcmp(as, "folder") == 0)
		return arrow_export_folder(paths, in->operands.v[0], path, error);
	return arrow_images_export_layout(paths, in->operands.v[0], path, error);
}

static int save_run(const struct argp *argp, cli_work work, int argc, char **argv)
{
	struct input in = {0};
	int status;

	cli_parse(argp, argc, argv, 0, &in);
	status = cli_with_paths(work, &in);
	arrow_strings_release(&in.operands);
	return status;
}

int cmd_save(int argc, char **argv)
{
	return save_run(&save_argp, save_work, argc, argv);
}

int cmd_load(int argc, char **argv)
{
	return save_run(&load_argp, load_work, argc, argv);
}

int cmd_export(int argc, char **argv)
{
	return save_run(&export_argp, export_work, argc, argv);
}
