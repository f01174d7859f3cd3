// SPDX-License-Identifier: Apache-2.0
/* arrow pull and arrow push. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/input/settings.h"
#include "cli/registry.h"
#include "image/oci/image.h"
#include "registry/insecure.h"
#include "registry/transfer.h"
#include "util/cleanup.h"
#include "util/event.h"
#include "util/io.h"
#include "util/paths.h"

enum { OPT_PLATFORM = 256, OPT_VERIFY, OPT_TLS_VERIFY };

struct input {
	const char *name, *verify;
	bool all, quiet, insecure, push;
	char *architecture, *variant; /* of --platform; owned */
};

/* clang-format off */
#define COMMON_OPTIONS \
	{"platform", OPT_PLATFORM, "OS/ARCH[/VARIANT]", 0, "The image for this platform (linux and the host's)", 0}, \
	{"quiet", 'q', 0, 0, "Print no progress", 0}, \
	{"tls-verify", OPT_TLS_VERIFY, "BOOL", OPTION_ARG_OPTIONAL, "false: take any certificate, and plain HTTP", 0}

static const struct argp_option pull_options[] = {
	{"all-tags", 'a', 0, 0, "Pull all tags of the repository", 0},
	{"verify", OPT_VERIFY, "KEY", 0, "Pull only what this public key (a PEM file) has signed", 0},
	COMMON_OPTIONS,
	{0},
};

static const struct argp_option push_options[] = {
	{"all-tags", 'a', 0, 0, "Push all tags that the repository has here", 0},
	COMMON_OPTIONS,
	{0},
};
/* clang-format on */

/* linux/ARCH[/VARIANT]; ARCH alone will do. */
static void parse_platform(struct input *in, const char *text, const struct argp_state *state)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *os = NULL, *arch;

	if (copy && strchr(copy, '/'))
		os = strsep(&rest, "/");
	arch = copy ? strsep(&rest, "/") : NULL;
	if (!arch || !*arch || (os && strcmp(os, "linux") != 0) || (rest && strchr(rest, '/')))
		argp_error(state, "--platform takes linux/ARCH[/VARIANT], not \"%s\"", text);
	free(in->architecture);
	free(in->variant);
	in->architecture = arch ? strdup(arch) : NULL;
	in->variant = rest ? strdup(rest) : NULL;
}

static error_t transfer_parse_option(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;

	switch (key) {
	case 'a':
		in->all = true;
		return 0;
	case 'q':
		in->quiet = true;
		return 0;
	case OPT_VERIFY:
		in->verify = arg;
		return 0;
	case OPT_PLATFORM:
		parse_platform(in, arg, state);
		return 0;
	case OPT_TLS_VERIFY:
		in->insecure = !registry_tls_verify(arg, state);
		return 0;
	case ARGP_KEY_ARG:
		if (in->name)
			cli_argument_error(state, "takes one image, not \"%s\" too", arg);
		in->name = arg;
		return 0;
	case ARGP_KEY_END:
		if (!in->name)
			cli_argument_error(state,
				"say which image, as in '%s registry.example/app:1'",
				in->push ? "arrow push" : "arrow pull");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp pull_argp = {pull_options, transfer_parse_option, "NAME[:TAG|@DIGEST]",
	"Download an image from a registry.\v"
	"A name without a host is of Docker Hub. "
	"Layers that are here are not downloaded again, nor what an earlier pull got that was cut off. "
	"Who logged in with docker, podman or 'arrow login' is logged in.",
	NULL, NULL, NULL};

static const struct argp push_argp = {push_options, transfer_parse_option, "IMAGE",
	"Upload an image to a registry, with its signatures.\v"
	"Layers that are there are not uploaded again; those of another repository of the same registry are mounted.",
	NULL, NULL, NULL};

/* All tags of a repository, there. */
static int pull_all(const struct transfer_options *o, struct registry *r, struct http *h,
	struct oci_reference *reference, struct arrow_error *error)
{
	_cleanup_strv_ char **tags = NULL;
	int e = registry_list_tags(r, h, &tags, error);

	for (size_t i = 0; e == 0 && tags[i]; i++) {
		_cleanup_free_ char *name = oci_reference_name(reference);
		_cleanup_free_ char *text = name ? path_format("%s:%s", name, tags[i]) : NULL;
		_cleanup_reference_ struct oci_reference one = {0};

		/* The list comes from outside, and signatures are no images. */
		if (strncmp(tags[i], "sha256-", 7) == 0)
			continue;
		e = text ? oci_reference_parse(&one, text, error) : arrow_no_memory(error);
		if (e == 0)
			e = transfer_pull(o, r, h, &one, error);
	}
	return e;
}

/* All tags of a repository, here. */
static int push_all(const struct transfer_options *o, struct registry *r, struct http *h,
	struct oci_reference *reference, struct arrow_error *error)
{
	_cleanup_entries_ struct oci_entries entries = {0};
	int e = oci_store_list(o->store, &entries, error);
	bool found = false;

	for (size_t i = 0; e == 0 && i < entries.n; i++) {
		_cleanup_reference_ struct oci_reference one = {0};

		if (!entries.v[i].name)
			continue;
		e = oci_reference_parse(&one, entries.v[i].name, error);
		if (e < 0 || strcmp(one.domain, reference->domain) != 0 ||
			strcmp(one.path, reference->path) != 0 || !one.tag)
			continue;
		found = true;
		e = transfer_push(o, r, h, &one, error);
	}
	if (e == 0 && !found)
		e = arrow_fail(error, ENOENT, "there is no image of %s/%s here", reference->domain,
			reference->path);
	return e;
}

/* What is not here is told before the registry is asked for anything. */
static int check_local(const struct transfer_options *o, const struct oci_reference *reference,
	struct arrow_error *error)
{
	_cleanup_free_ char *whole = oci_reference_format(reference);
	struct oci_image image;
	int e = whole ? oci_image_find(&image, o->store, whole, o->architecture, error)
		      : arrow_no_memory(error);

	if (e == 0)
		oci_image_release(&image);
	return e;
}

static int pull_transfer(const struct input *in, const struct transfer_options *given,
	struct http *h, struct oci_reference *reference, const char *data,
	struct arrow_error *error)
{
	_cleanup_registry_ struct registry r = {0};
	_cleanup_oci_store_ struct oci_store store = {.fd = -1, .blobs_fd = -1, .lock_fd = -1};
	struct transfer_options o = *given;
	int e = oci_store_open(&store, data, error);

	o.store = &store;
	if (e == 0 && in->push && !in->all)
		e = check_local(&o, reference, error);
	if (e == 0)
		e = registry_open(
			&r, h, reference->domain, reference->path, NULL, o.registry, error);
	if (e < 0)
		return e;
	if (in->push && o.out)
		fprintf(o.out, "The push refers to repository [%s/%s]\n", reference->domain,
			reference->path);
	if (in->all)
		return in->push ? push_all(&o, &r, h, reference, error)
				: pull_all(&o, &r, h, reference, error);
	return in->push ? transfer_push(&o, &r, h, reference, error)
			: transfer_pull(&o, &r, h, reference, error);
}

/* What was asked for: a tag and a digest go together, and the digest counts. */
static int parse_name(
	const struct input *in, struct oci_reference *reference, struct arrow_error *error)
{
	const char *slash = strrchr(in->name, '/'), *last = slash ? slash : in->name;
	int e = oci_reference_parse(reference, in->name, error);

	if (e == 0 && in->all && strpbrk(last, ":@"))
		return arrow_fail(
			error, EINVAL, "--all-tags takes a name without tag, not \"%s\"", in->name);
	if (e == 0 && in->push && reference->digest)
		return arrow_fail(error, EINVAL,
			"cannot push by digest: name a tag instead in \"%s\"", in->name);
	return e;
}

/* For `arrow events`, as Docker names it: without its tag in the attribute. */
static void transfer_write_event(
	const char *data, const char *action, const struct oci_reference *reference)
{
	_cleanup_free_ char *familiar = oci_reference_familiar(reference);
	_cleanup_free_ char *name = oci_reference_name(reference);

	if (familiar)
		event_write(data, "image", action, familiar,
			json_pack("{s:s}", "name", name ? name : familiar));
}

static int transfer_run(struct input *in, struct arrow_error *error)
{
	_cleanup_reference_ struct oci_reference reference = {0};
	_cleanup_policy_ struct trust_policy policy = {0};
	_cleanup_free_ char *whole = NULL;
	_cleanup_key_ struct trust_key key = {0};
	struct registry_options registry = {.push = in->push};
	struct transfer_options o = {.registry = &registry,
		.stop = registry_stop(),
		.policy = &policy,
		.verify = in->verify ? &key : NULL,
		.architecture = in->architecture,
		.variant = in->variant,
		.out = in->quiet ? NULL : stdout};
	struct arrow_paths paths = {0};
	struct http *h = NULL;
	int e = parse_name(in, &reference, error);

	if (e == 0)
		e = cli_paths_init(&paths, error);
	if (e == 0)
		e = registry_http_options(&registry.http,
			in->insecure || registry_is_insecure(reference.domain), error);
	if (e == 0 && in->verify)
		e = trust_key_read_public(&key, in->verify, error);
	if (e == 0 && !in->push)
		e = trust_policy_load(&policy, paths.data, error);
	if (e == 0)
		e = http_setup(error);
	if (e == 0 && !(h = http_new(&registry.http)))
		e = arrow_no_memory(error);
	if (e == 0)
		e = pull_transfer(in, &o, h, &reference, paths.data, error);
	http_free(h);
	if (e == 0)
		transfer_write_event(paths.data, in->push ? "push" : "pull", &reference);
	arrow_paths_release(&paths);
	if (e < 0)
		return e;
	whole = oci_reference_format(&reference);
	if (whole && !in->push && !in->all)
		puts(whole);
	return fflush(stdout) < 0 || ferror(stdout)
		       ? arrow_fail(error, EIO, "cannot write to stdout")
		       : 0;
}

static int transfer_main(const struct argp *argp, bool push, int argc, char **argv)
{
	struct arrow_error error = ARROW_ERROR_INIT;
	struct input in = {.push = push};
	int status = 0;

	cli_parse(argp, argc, argv, 0, &in);
	if (transfer_run(&in, &error) < 0)
		status = registry_end(&error);
	free(in.architecture);
	free(in.variant);
	return status;
}

int cmd_pull(int argc, char **argv)
{
	return transfer_main(&pull_argp, false, argc, argv);
}

int cmd_push(int argc, char **argv)
{
	return transfer_main(&push_argp, true, argc, argv);
}
