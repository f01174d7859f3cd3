// SPDX-License-Identifier: Apache-2.0
/* arrow build and arrow import. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/input/values.h"
#include "cli/output/print.h"
#include "package/build.h"
#include "trust/sign.h"
#include "util/cleanup.h"
#include "util/io.h"

#define ARROWFILE "Arrowfile"

enum {
	OPT_ENTRYPOINT = 256,
	OPT_CMD,
	OPT_CPUS,
	OPT_IIDFILE,
	OPT_KERNEL,
	OPT_LABEL,
	OPT_MESSAGE,
	OPT_PORT,
	OPT_RESTART,
	OPT_SIGN,
	OPT_STOP_SIGNAL,
	OPT_USER,
	OPT_VOLUME,
	OPT_WITH_KERNEL,
};

struct input {
	struct arrow_build build;
	struct arrow_strings operands;
	const char *file, *sign, *id_file;
	bool quiet;
	struct arrow_error error;
};

/* clang-format off */
static const struct argp_option build_options[] = {
	{"tag", 't', "NAME[:TAG]", 0, "Name of the image; can be given several times", 0},
	{"file", 'f', "FILE", 0, "Read the Arrowfile from this file (./Arrowfile)", 0},
	{"quiet", 'q', 0, 0, "Print only the id", 0},
	{"iidfile", OPT_IIDFILE, "FILE", 0, "Write the id of the image to this file", 0},
	{"entrypoint", OPT_ENTRYPOINT, "WORD|JSON", 0, "Command to start: a word, or a JSON list of words", 0},
	{"cmd", OPT_CMD, "WORD|JSON", 0, "Default arguments; can be given several times", 0},
	{"env", 'e', "NAME=VALUE", 0, "Set an environment variable", 0},
	{"port", OPT_PORT, "PORT[/udp]", 0, "Declare a port that the program listens on", 0},
	{"volume", OPT_VOLUME, "DIR", 0, "Declare a directory that holds data", 0},
	{"user", OPT_USER, "USER[:GROUP]", 0, "User to run the program as", 0},
	{"workdir", 'w', "DIR", 0, "Working directory of the program", 0},
	{"stop-signal", OPT_STOP_SIGNAL, "SIGNAL", 0, "Signal to stop the program with", 0},
	{"kernel", OPT_KERNEL, "KERNEL", 0, "Kernel profile to run on", 0},
	{"with-kernel", OPT_WITH_KERNEL, 0, 0, "Include that kernel, as a layer that images share", 0},
	{"memory", 'm', "SIZE", 0, "Default memory of the VM", 0},
	{"cpus", OPT_CPUS, "N", 0, "Default number of CPUs", 0},
	{"restart", OPT_RESTART, "POLICY", 0, "Default restart policy", 0},
	{"label", OPT_LABEL, "KEY=VALUE", 0, "Set a label", 0},
	{"sign", OPT_SIGN, "KEY", 0, "Sign the image with this private key (a PEM file)", 0},
	{0},
};

static const struct argp_option import_options[] = {
	{"change", 'c', "INSTRUCTION", 0, "Apply a Dockerfile instruction: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME or WORKDIR", 0},
	{"message", 'm', "TEXT", 0, "Comment in the history of the image", 0},
	{"quiet", 'q', 0, 0, "Print nothing", 0},
	{0},
};
/* clang-format on */

/* Returns 1 for an option that is not here. */
static int build_parse_value(struct input *in, int key, const char *arg)
{
	struct arrow_build *b = &in->build;
	struct arrow_error *e = &in->error;

	switch (key) {
	case 't':
		return cli_add_string(&b->names, arg, e);
	case 'e':
		return arrow_build_env(b, arg, e);
	case 'w':
		return arrow_build_workdir(b, arg, e);
	case 'c':
		return arrow_build_change(b, arg, e);
	case OPT_ENTRYPOINT:
		return arrow_build_words(&b->entrypoint, arg, e);
	case OPT_CMD:
		return arrow_build_words(&b->cmd, arg, e);
	case OPT_MESSAGE:
		return cli_set_string(&b->message, arg, e);
	case OPT_KERNEL:
		return cli_set_string(&b->kernel, arg, e);
	case OPT_WITH_KERNEL:
		b->with_kernel = true;
		return 0;
	case 'm':
		return arrow_build_memory(b, arg, e);
	case OPT_CPUS:
		return arrow_build_cpus(b, arg, e);
	case OPT_RESTART:
		return arrow_build_restart(b, arg, e);
	case OPT_LABEL:
		return arrow_build_label(b, arg, e);
	case OPT_PORT:
		return arrow_build_port(b, arg, e);
	case OPT_STOP_SIGNAL:
		return arrow_build_signal(b, arg, e);
	case OPT_USER:
		return cli_set_string(&b->user, arg, e);
	case OPT_VOLUME:
		return arrow_build_volume(b, arg, e);
	case ARGP_KEY_ARG:
		return cli_add_string(&in->operands, arg, e);
	default:
		return 1;
	}
}

static error_t build_parse(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;
	int r = 0;

	/* One line, from the first thing that is wrong. */
	if (in->error.text)
		return 0;
	if (key == 'f')
		in->file = arg;
	else if (key == 'q')
		in->quiet = true;
	else if (key == OPT_SIGN)
		in->sign = arg;
	else if (key == OPT_IIDFILE)
		in->id_file = arg;
	else
		r = build_parse_value(in, key, arg);
	if (r < 0 && key != ARGP_KEY_ARG)
		cli_name_option(state, key, &in->error);
	return r == 1 ? ARGP_ERR_UNKNOWN : 0;
}

/* Here -m is the message. */
static error_t build_parse_import(int key, char *arg, struct argp_state *state)
{
	return build_parse(key == 'm' ? OPT_MESSAGE : key, arg, state);
}

static const struct argp build_argp = {build_options, build_parse, "[PROGRAM|DIR]",
	"Build an image from a program with everything it needs, or from a directory.\v"
	"Without PROGRAM or DIR, or with -f, the image is described by an Arrowfile, which options override. "
	"The same inputs give the same digest.",
	NULL, NULL, NULL};

static const struct argp import_argp = {import_options, build_parse_import,
	"FILE|-|DIR|docker-daemon:IMAGE|podman:IMAGE [NAME]",
	"Create an image from a file system or from an image of another tool.\v"
	"FILE, or stdin with '-', is an archive of a root file system, of 'docker save' or 'podman save', or of an OCI layout, plain or compressed with gzip or zstd. "
	"DIR is a root file system or an OCI layout. "
	"Without NAME, the image keeps its own names.",
	NULL, NULL, NULL};

static int build_sign(const struct arrow_strings *names, const struct trust_key *key,
	const struct arrow_paths *paths, struct arrow_error *error)
{
	_cleanup_oci_store_ struct oci_store store = {.fd = -1, .blobs_fd = -1, .lock_fd = -1};
	int e = oci_store_open(&store, paths->data, error);

	for (size_t i = 0; e == 0 && i < names->n; i++)
		e = trust_sign(&store, names->v[i], key, NULL, error);
	return e;
}

/* As Docker: without a newline. One of an earlier build is gone by then. */
static int build_write_id(const char *path, const char *id, struct arrow_error *error)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int r = fd < 0 ? -errno : write_full(fd, id, strlen(id));

	return r < 0 ? arrow_fail(error, -r, "cannot write the id to %s: %m", path) : 0;
}

static int build_work(struct input *in, const struct arrow_paths *paths)
{
	_cleanup_key_ struct trust_key key = {0};
	char id[OCI_DIGEST_SIZE];
	int e;

	if (in->operands.n > 1)
		return arrow_fail(&in->error, EINVAL,
			"too many arguments: '%s'; an image is built from one program or directory",
			in->operands.v[1]);
	if (in->operands.n == 1) {
		e = cli_set_string(&in->build.source, in->operands.v[0], &in->error);
		if (e < 0)
			return e;
	}
	if (in->file || !in->build.source) {
		if (!in->file && access(ARROWFILE, F_OK) < 0)
			return arrow_fail(&in->error, EINVAL,
				"requires a program or directory, as in 'arrow build -t hello ./hello', or an Arrowfile in the current directory");
		e = arrow_build_file(&in->build, in->file ? in->file : ARROWFILE, &in->error);
		if (e < 0)
			return e;
	}
	if (!in->build.source)
		return arrow_fail(&in->error, EINVAL,
			"the Arrowfile has neither 'program:' nor 'directory:'");
	if (in->sign && in->build.names.n == 0)
		return arrow_fail(&in->error, EINVAL,
			"a signature is made for a name: name the image with --tag");
	if (in->sign) {
		e = trust_key_read_private(&key, in->sign, &in->error);
		if (e < 0)
			return e;
	}
	if (in->id_file && unlink(in->id_file) < 0 && errno != ENOENT)
		return arrow_fail(&in->error, errno, "cannot write the id to %s: %m", in->id_file);
	e = arrow_build_image(paths, &in->build, id, &in->error);
	if (e == 0 && in->sign)
		e = build_sign(&in->build.names, &key, paths, &in->error);
	if (e == 0 && in->id_file)
		e = build_write_id(in->id_file, id, &in->error);
	if (e < 0)
		return e;
	puts(id);
	for (size_t i = 0; !in->quiet && i < in->build.names.n; i++)
		fprintf(stderr, "Successfully tagged %s\n", in->build.names.v[i]);
	return cli_flush();
}

static int import_work(struct input *in, const struct arrow_paths *paths)
{
	struct arrow_strings log = {0};
	int e;

	if (in->operands.n < 1 || in->operands.n > 2)
		return arrow_fail(&in->error, EINVAL,
			"requires what to import and a name for it, as in 'arrow import root.tar app:1'");
	e = arrow_import(paths, in->operands.v[0], in->operands.n == 2 ? in->operands.v[1] : NULL,
		&in->build, &log, &in->error);
	/* Of an archive with a bad image the others are there. */
	for (size_t i = 0; !in->quiet && i < log.n; i++)
		puts(log.v[i]);
	fflush(stdout); /* before an error */
	arrow_strings_release(&log);
	return e < 0 ? e : cli_flush();
}

static int build_run(const struct argp *argp,
	int (*act)(struct input *, const struct arrow_paths *), int argc, char **argv)
{
	struct input in = {.error = ARROW_ERROR_INIT};
	struct arrow_paths paths = {0};
	int r;

	cli_parse(argp, argc, argv, 0, &in);
	r = in.error.text ? -EINVAL : cli_paths_init(&paths, &in.error);
	if (r == 0)
		r = act(&in, &paths);
	if (r < 0)
		r = cli_error(&in.error);
	arrow_paths_release(&paths);
	arrow_strings_release(&in.operands);
	arrow_build_release(&in.build);
	return r;
}

int cmd_build(int argc, char **argv)
{
	return build_run(&build_argp, build_work, argc, argv);
}

int cmd_import(int argc, char **argv)
{
	return build_run(&import_argp, import_work, argc, argv);
}
