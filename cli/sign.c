// SPDX-License-Identifier: Apache-2.0
/* arrow image sign, and arrow image verify. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/print.h"
#include "trust/policy.h"
#include "trust/sign.h"
#include "util/paths.h"

enum { OPT_KEY = 256 };

struct input {
	const char *name, *key;
};

/* clang-format off */
static const struct argp_option sign_options[] = {
	{"key", OPT_KEY, "FILE", 0, "Private key, a PEM file: ed25519 or ECDSA P-256", 0},
	{0},
};
static const struct argp_option verify_options[] = {
	{"key", OPT_KEY, "FILE", 0, "Public key, a PEM file", 0},
	{0},
};
/* clang-format on */

static error_t sign_parse(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;

	switch (key) {
	case OPT_KEY:
		in->key = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (in->name)
			cli_argument_error(state, "too many arguments: '%s'", arg);
		in->name = arg;
		return 0;
	case ARGP_KEY_END:
		if (!in->name || !in->key)
			cli_argument_error(state, "requires a key and an image: --key FILE IMAGE");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp sign_argp = {sign_options, sign_parse, "--key FILE IMAGE",
	"Sign a local image.\v"
	"The signature covers the image under that name, and is pushed with it. "
	"Create a key with 'openssl genpkey -algorithm ed25519'.",
	NULL, NULL, NULL};

static const struct argp verify_argp = {verify_options, sign_parse, "--key FILE IMAGE",
	"Check whether a local image is signed with a key.", NULL, NULL, NULL};

static int sign_image(
	const struct input *in, const struct oci_store *store, struct arrow_error *error)
{
	_cleanup_key_ struct trust_key key = {0};
	char digest[OCI_DIGEST_SIZE];
	int e = trust_key_read_private(&key, in->key, error);

	if (e == 0)
		e = trust_sign(store, in->name, &key, digest, error);
	if (e == 0)
		puts(digest);
	return e;
}

static int verify_image(
	const struct input *in, const struct oci_store *store, struct arrow_error *error)
{
	_cleanup_signatures_ struct signatures signatures = {0};
	_cleanup_oci_image_ struct oci_image image = {0};
	_cleanup_key_ struct trust_key key = {0};
	const char *digests[] = {image.top.digest, image.descriptor.digest, NULL};
	int e = trust_key_read_public(&key, in->key, error);

	if (e == 0)
		e = oci_image_find(&image, store, in->name, NULL, error);
	for (size_t i = 0; e == 0 && digests[i]; i++)
		e = signatures_load(&signatures, store, digests[i], error);
	if (e == 0 && !image.name)
		e = arrow_fail(error, EINVAL,
			"a signature is made for a name, and '%s' is the id of an image", in->name);
	if (e == 0)
		e = trust_key_check(&key, image.name, digests, &signatures, error);
	if (e == 0)
		puts(image.top.digest);
	return e;
}

static int sign_run(const struct argp *argp, int argc, char **argv,
	int (*work)(
		const struct input *in, const struct oci_store *store, struct arrow_error *error))
{
	_cleanup_oci_store_ struct oci_store store = {.fd = -1, .blobs_fd = -1, .lock_fd = -1};
	struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_paths paths = {0};
	struct input in = {0};
	int e;

	cli_parse(argp, argc, argv, 0, &in);
	e = cli_paths_init(&paths, &error);
	if (e == 0)
		e = oci_store_open(&store, paths.data, &error);
	if (e == 0)
		e = work(&in, &store, &error);
	arrow_paths_release(&paths);
	return e < 0 ? cli_error(&error) : 0;
}

int cmd_sign(int argc, char **argv)
{
	return sign_run(&sign_argp, argc, argv, sign_image);
}

int cmd_verify(int argc, char **argv)
{
	return sign_run(&verify_argp, argc, argv, verify_image);
}
